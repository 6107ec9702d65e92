package telegram_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter/telegram"
)

// Verify names the bot or the chat in its error, sends nothing, and shows no token.
func TestVerify(t *testing.T) {
	t.Parallel()
	const token = "1:pl4nted-t0ken"
	ok, refused := `{"ok":true,"result":{"id":1}}`, func(code, text string) string {
		return `{"ok":false,"error_code":` + code + `,"description":"` + text + `"}`
	}
	for name, tc := range map[string]struct{ me, chat, says string }{
		"good":                                 {ok, ok, ""},
		"a wrong token":                        {refused("401", "Unauthorized"), ok, "bot: "},
		"a wrong chat":                         {ok, refused("400", "Bad Request: chat not found"), "chat: "},
		"a chat that the bot was removed from": {ok, refused("403", "Forbidden: bot was kicked from the group chat"), "chat: "},
		"a group that has moved":               {ok, refused("400", "Bad Request: group chat was upgraded to a supergroup chat"), ""},
		"not Telegram":                         {"<html>", ok, "bot: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var others []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				answer := tc.me
				switch {
				case strings.HasSuffix(r.URL.Path, "/getChat"):
					answer = tc.chat
				case !strings.HasSuffix(r.URL.Path, "/getMe"):
					others = append(others, r.URL.Path)
				}
				if _, code, found := strings.Cut(answer, `"error_code":`); found {
					status, _ := strconv.Atoi(code[:3])
					w.WriteHeader(status)
				}
				_, _ = w.Write([]byte(answer))
			}))
			t.Cleanup(srv.Close)
			ch, err := telegram.New(telegram.Config{Token: secret.New(token), ChatID: "-100", APIURL: srv.URL, RetryMax: -1}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			err = ch.Verify(t.Context())
			if (err == nil) != (tc.says == "") || err != nil && !strings.HasPrefix(err.Error(), tc.says) {
				t.Errorf("%v, want %q", err, tc.says)
			}
			if err != nil && strings.Contains(err.Error(), "pl4nted") {
				t.Errorf("the error shows the token: %v", err)
			}
			if len(others) > 0 {
				t.Errorf("it called %v", others)
			}
		})
	}
}

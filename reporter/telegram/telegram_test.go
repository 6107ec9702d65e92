package telegram_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/telegram"
)

const planted = "123456:pl4nted-t0ken"

func bot(t *testing.T) *localstack.BotAPI {
	t.Helper()
	b, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: planted})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func channel(tb testing.TB, url string, logs *bytes.Buffer, edits ...func(*telegram.Config)) *telegram.Channel {
	tb.Helper()
	cfg := telegram.Config{
		Token: secret.New(planted), ChatID: "-100123", APIURL: url, RetryMax: 2,
		RetryWaitMin: time.Millisecond, RetryWaitMax: 2 * time.Millisecond, Timeout: time.Minute,
	}
	for _, e := range edits {
		e(&cfg)
	}
	c, err := telegram.New(cfg, slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// verdictOf describes the error of a send.
func verdictOf(err error) string {
	var e *reporter.SendError
	switch {
	case err == nil:
		return "sent"
	case !errors.As(err, &e):
		return "error"
	case e.Verdict == reporter.VerdictWait:
		return "wait " + e.After.String()
	case e.Verdict == reporter.VerdictMoved:
		return "moved to " + e.To
	}
	return e.Verdict.String()
}

// Every fault gets its verdict, and no error or log line shows the token.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	five := localstack.BotFault{Status: 502, Description: "Bad Gateway"}
	for name, tc := range map[string]struct {
		faults []localstack.BotFault
		html   string
		token  string
		want   string
		calls  int
	}{
		"sent":               {want: "sent", calls: 1},
		"401":                {token: "1:wrong", want: "account", calls: 1},
		"403":                {faults: []localstack.BotFault{{Status: 403, Description: "Forbidden: bot was kicked"}}, want: "receiver", calls: 1},
		"404":                {faults: []localstack.BotFault{{Status: 404, Description: "Not Found"}}, want: "account", calls: 1},
		"429":                {faults: []localstack.BotFault{{Status: 429, Description: "Too Many Requests", RetryAfter: 7300}}, want: "wait 2h1m40s", calls: 1},
		"429 without a time": {faults: []localstack.BotFault{{Status: 429}}, want: "wait 30s", calls: 1},
		"503 with a time":    {faults: []localstack.BotFault{{Status: 503, Header: 600}}, want: "wait 10m0s", calls: 1},
		"migrated":           {faults: []localstack.BotFault{{Status: 400, Description: "Bad Request: group chat was upgraded", MigrateTo: -100999}}, want: "moved to -100999", calls: 1},
		"unknown tag":        {html: "<h1>x</h1>", want: "markup", calls: 1},
		"500":                {faults: []localstack.BotFault{{Status: 500}}, want: "ambiguous", calls: 1},
		"502":                {faults: []localstack.BotFault{five}, want: "ambiguous", calls: 1},
		"504":                {faults: []localstack.BotFault{{Status: 504, Proxy: true}}, want: "ambiguous", calls: 1},
		"503":                {faults: []localstack.BotFault{{Status: 503}}, want: "error", calls: 1},
		"a proxy's 404":      {faults: []localstack.BotFault{{Status: 404, Proxy: true}}, want: "error", calls: 1},
		"a proxy's 413":      {faults: []localstack.BotFault{{Status: 413, Proxy: true}}, want: "error", calls: 1},
		"a proxy's 403":      {faults: []localstack.BotFault{{Status: 403, Proxy: true}}, want: "error", calls: 1},
		"answer lost":        {faults: []localstack.BotFault{{Cut: true, Accept: true}}, want: "ambiguous", calls: 1},
		"no answer":          {faults: []localstack.BotFault{{Hang: true}}, want: "ambiguous", calls: 1},
		"garbage":            {faults: []localstack.BotFault{{Garbage: true, Accept: true}}, want: "ambiguous", calls: 1},
		"half an answer":     {faults: []localstack.BotFault{{HalfAnAnswer: true, Accept: true}}, want: "ambiguous", calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bot(t)
			b.Fail(tc.faults...)
			var logs bytes.Buffer
			c := channel(t, b.URL(), &logs, func(cfg *telegram.Config) {
				if tc.token != "" {
					cfg.Token = secret.New(tc.token)
				}
				if len(tc.faults) > 0 && tc.faults[0].Hang {
					cfg.Timeout = time.Second
				}
			})
			part := reporter.Part{HTML: "<b>x</b>"}
			if tc.html != "" {
				part.HTML = tc.html
			}
			id, err := c.Send(t.Context(), part, reporter.SendOptions{})
			if got := verdictOf(err); got != tc.want {
				t.Errorf("verdict %q (%v), want %q", got, err, tc.want)
			}
			if (id != "") != (err == nil) {
				t.Errorf("message id %q beside %v", id, err)
			}
			if n := b.Calls(); n != tc.calls {
				t.Errorf("%d calls, want %d", n, tc.calls)
			}
			if text := fmt.Sprintf("%v %+v %#v", err, err, err) + logs.String(); strings.Contains(text, planted) || strings.Contains(text, "pl4nted") {
				t.Errorf("shows the token: %s", text)
			}
		})
	}
}

func TestServerThatIsAwayIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	var logs bytes.Buffer
	for _, url := range []string{"http://127.0.0.1:1", "http://nowhere.invalid", "https://127.0.0.1:1"} {
		// A look-up of a name may wait for a name server that is away.
		c := channel(t, url, &logs, func(cfg *telegram.Config) { cfg.Timeout = time.Second })
		_, err := c.Send(t.Context(), reporter.Part{HTML: "x"}, reporter.SendOptions{})
		if verdictOf(err) != "error" {
			t.Errorf("%s: %v", url, err)
		}
		if strings.Contains(fmt.Sprint(err)+logs.String(), "pl4nted") {
			t.Errorf("shows the token: %v %s", err, &logs)
		}
	}
	for _, bad := range []string{"ftp://x", "::", "api.telegram.org"} {
		if _, err := telegram.New(telegram.Config{APIURL: bad}, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("api_url %q was accepted", bad)
		}
	}
}

// A redirect would send the token to another server.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	other := bot(t)
	srv := &http.Server{Handler: http.RedirectHandler(other.URL()+"/bot"+planted+"/sendMessage", http.StatusTemporaryRedirect)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	var logs bytes.Buffer
	if _, err := channel(t, "http://"+l.Addr().String(), &logs).Send(t.Context(), reporter.Part{HTML: "x"}, reporter.SendOptions{}); err == nil {
		t.Error("a redirect counts as sent")
	}
	if other.Calls() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	b := bot(t)
	var logs bytes.Buffer
	c := channel(t, b.URL(), &logs, func(cfg *telegram.Config) { cfg.ThreadID, cfg.Silent = 7, true })
	for _, send := range []struct {
		part reporter.Part
		opts reporter.SendOptions
	}{
		{reporter.Part{HTML: "<b>a &lt; b</b>"}, reporter.SendOptions{}},
		{reporter.Part{HTML: "<b>a &lt; b</b>", Plain: true}, reporter.SendOptions{To: "-100999"}},
		{reporter.Part{HTML: "again"}, reporter.SendOptions{Repeat: true}},
		{reporter.Part{HTML: "<html>whole</html>", Document: "報告.html"}, reporter.SendOptions{}},
		{reporter.Part{HTML: "<b>picture</b>", Picture: picture(t), Buttons: []reporter.Button{{Text: "頁面", URL: "https://r.example.org/x?a=1&b=2"}}}, reporter.SendOptions{ReplyTo: "3", Repeat: true}},
		{reporter.Part{HTML: "text", Buttons: []reporter.Button{{Text: "1", URL: "https://a.example"}, {Text: "2", URL: "https://b.example"}}}, reporter.SendOptions{ReplyTo: "not a number"}},
	} {
		if _, err := c.Send(t.Context(), send.part, send.opts); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	got := b.Messages()
	if got[0].Plain != "a < b" || got[0].ChatID != "-100123" || got[0].ThreadID != "7" || !got[0].Silent {
		t.Errorf("first: %+v", got[0])
	}
	if got[1].Text != "a < b" || got[1].ChatID != "-100999" {
		t.Errorf("plain: %+v", got[1])
	}
	if !strings.Contains(got[2].Plain, "可能重複") || !strings.HasSuffix(got[2].Plain, "again") {
		t.Errorf("repeat: %+v", got[2])
	}
	if got[3].Document != "報告.html" || got[3].Content != "<html>whole</html>" || !got[3].Silent {
		t.Errorf("document: %+v", got[3])
	}
	if p := got[4]; !bytes.Equal(p.Photo, picture(t)) || !strings.HasSuffix(p.Plain, "picture") || !strings.Contains(p.Plain, "可能重複") ||
		p.ReplyTo != 3 || p.ThreadID != "7" || len(p.Buttons) != 1 || p.Buttons[0].URL != "https://r.example.org/x?a=1&b=2" {
		t.Errorf("picture: %+v", p)
	}
	if p := got[5]; p.ReplyTo != 0 || len(p.Buttons) != 2 || p.Photo != nil {
		t.Errorf("buttons: %+v", p)
	}
}

func picture(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 10, 10))); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// The descriptions of Telegram, and of its own servers, decide whether the chat, the message or a part of it is refused.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	for want, descriptions := range map[string][]string{
		"receiver": {
			"chat not found", "message thread not found", "TOPIC_CLOSED", "TOPIC_DELETED", "TOPIC_ID_INVALID",
			"not enough rights to send text messages to the chat", "CHAT_WRITE_FORBIDDEN", "need administrator rights in the channel chat",
			"CHAT_RESTRICTED", "PEER_ID_INVALID", "group chat was upgraded to a supergroup chat", "have no rights to send a message",
			"CHAT_SEND_PLAIN_FORBIDDEN", "CHAT_ADMIN_REQUIRED", "have no write access to the chat", "USER_BANNED_IN_CHANNEL",
			"chat_id is empty", "CHANNEL_PRIVATE", "user not found", "the group chat was deleted", "CHAT_GUEST_SEND_FORBIDDEN",
			"private chat not found", "Invalid chat identifier specified", "Empty chat_id specified", "CHAT_ID_INVALID", "CHANNEL_INVALID",
			"can't access the chat", "can't access the topic", "chat is deactivated", "have no access to the chat", "chat is not accessible",
			"topic not found", "invalid message thread identifier specified", "invalid forum topic identifier specified", "chat is not a forum",
			"chat doesn't have topics", "chat doesn't have threads", "chat can't have message threads", "TOPIC_NOT_MODIFIED",
			"not enough rights", "CHAT_RIGHT_FORBIDDEN", "CHAT_FORBIDDEN", "bot was kicked from the group chat", "user is deactivated",
			"USER_IS_BLOCKED", "USER_DEACTIVATED", "INPUT_USER_DEACTIVATED", "USER_ID_INVALID", "PEER_FLOOD", "CHAT_SEND_SOMETHING_FORBIDDEN",
			"bot is not a member of the supergroup chat",
		},
		"picture": {
			"not enough rights to send photos to the chat", "CHAT_SEND_PHOTOS_FORBIDDEN", "CHAT_SEND_MEDIA_FORBIDDEN", "IMAGE_PROCESS_FAILED",
			"PHOTO_INVALID_DIMENSIONS", "file is too big", "not enough rights to send documents to the chat", "wrong file identifier/HTTP URL specified",
			"message caption is too long", "CHAT_SEND_DOCS_FORBIDDEN", "PHOTO_SAVE_FILE_INVALID", "PHOTO_EXT_INVALID", "MEDIA_EMPTY", "FILE_PARTS_INVALID",
			"invalid file identifier", "photo must be non-empty", "document must be non-empty", "there is no document in the request",
			"there is no photo in the request", "failed to upload file", "can't use file of type Document as Photo", "Request Entity Too Large",
		},
		"buttons": {
			"inline keyboard button URL 'http://x' is invalid: Wrong HTTP URL", "BUTTON_URL_INVALID", "reply markup is too long",
			"can't parse reply keyboard markup JSON object", "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
		},
		"reply":   {"message to be replied not found", "REPLY_MESSAGE_ID_INVALID", "can't parse reply parameters JSON object"},
		"markup":  {"can't parse entities: Unsupported start tag \"h1\" at byte offset 0", "ENTITY_BOUNDS_INVALID", "ENTITIES_TOO_LONG"},
		"refused": {"message is too long", "message text is empty", "strings must be encoded in UTF-8", "something new"},
		"account": {"FROZEN_METHOD_INVALID", "Logged out", "USER_DEACTIVATED_BAN"},
	} {
		for _, text := range descriptions {
			b := bot(t)
			b.Fail(localstack.BotFault{Status: 400, Description: "Bad Request: " + text})
			_, err := channel(t, b.URL(), &bytes.Buffer{}).Send(t.Context(), reporter.Part{HTML: "x"}, reporter.SendOptions{})
			if got := verdictOf(err); got != want {
				t.Errorf("%q is %s, want %s", text, got, want)
			}
			if !strings.HasSuffix(fmt.Sprint(err), text) {
				t.Errorf("%q is shown as %q", text, err)
			}
		}
	}
}

// Answers that a proxy made, changed or truncated, and answers of the Bot API in unusual forms.
func TestUnusualAnswers(t *testing.T) {
	t.Parallel()
	const refusal = `{"ok":false,"error_code":%d,"description":"%s","parameters":{%s}}`
	flood := func(parameters string) string {
		return fmt.Sprintf(refusal, 429, "Too Many Requests: retry after 35", parameters)
	}
	for name, tc := range map[string]struct {
		status int
		header string // "Name: value|Name: value"
		body   string
		want   string
	}{
		"sent":                               {200, "", `{"ok":true,"result":{"message_id":7}}`, "sent"},
		"sent, without an id":                {200, "", `{"ok":true,"result":{}}`, "ambiguous"},
		"a login page":                       {200, "", "<html>log in</html>", "ambiguous"},
		"an empty 200":                       {200, "", "", "ambiguous"},
		"204":                                {204, "", "", "ambiguous"},
		"not ok, without a code":             {200, "", `{"ok":false}`, "ambiguous"},
		"a refusal whose status was changed": {200, "", fmt.Sprintf(refusal, 403, "Forbidden: bot was kicked", ""), "receiver"},
		"a flood whose status was changed":   {200, "", flood(`"retry_after":35`), "wait 35s"},
		"half a JSON":                        {200, "", `{"ok":true,"resu`, "ambiguous"},
		"JSON of something else":             {200, "", `{"status":"up"}`, "ambiguous"},
		"302":                                {302, "Location: https://login.example/", "", "error"},
		"304":                                {304, "", "", "error"},
		"408":                                {408, "", "", "error"},
		"409":                                {409, "", fmt.Sprintf(refusal, 409, "Conflict: terminated by other getUpdates request", ""), "error"},
		"413 of Telegram":                    {413, "", fmt.Sprintf(refusal, 413, "Request Entity Too Large", ""), "picture"},
		"413 of a proxy":                     {413, "", "<html>413</html>", "error"},
		"421":                                {421, "", fmt.Sprintf(refusal, 421, "Misdirected Request: unallowed token specified", ""), "account"},
		"407":                                {407, "", "<html>proxy authentication</html>", "error"},
		"401 of a proxy":                     {401, "", "<html>who are you</html>", "error"},
		"401":                                {401, "", fmt.Sprintf(refusal, 401, "Unauthorized", ""), "account"},
		"404":                                {404, "", fmt.Sprintf(refusal, 404, "Not Found", ""), "account"},
		"an empty 400":                       {400, "", "", "error"},
		"500 that restarts":                  {500, "", fmt.Sprintf(refusal, 500, "Internal Server Error: restart", ""), "ambiguous"},
		"500 of a proxy":                     {500, "", "<html>500</html>", "ambiguous"},
		"501":                                {501, "", "", "error"},
		"503":                                {503, "", "<html>503</html>", "error"},
		"520":                                {520, "", "", "ambiguous"},
		"524":                                {524, "", "<html>a timeout occurred</html>", "ambiguous"},
		"521":                                {521, "", "", "error"},
		"429":                                {429, "", flood(`"retry_after":35`), "wait 35s"},
		"429 with another header":            {429, "Retry-After: 40", flood(`"retry_after":35`), "wait 40s"},
		"429 in words only":                  {429, "", flood(""), "wait 35s"},
		"429 without any time":               {429, "", fmt.Sprintf(refusal, 429, "Too Many Requests", ""), "wait 30s"},
		"429 with a text":                    {429, "", flood(`"retry_after":"36"`), "wait 36s"},
		"429 with a fraction":                {429, "", flood(`"retry_after":36.2`), "wait 37s"},
		"429 below zero":                     {429, "", fmt.Sprintf(refusal, 429, "Too Many Requests", `"retry_after":-5`), "wait 30s"},
		"429 for years":                      {429, "", flood(`"retry_after":99999999999999`), "wait 168h0m0s"},
		"429 beyond all numbers":             {429, "", flood(`"retry_after":1e300`), "wait 168h0m0s"},
		"429 with null":                      {429, "", flood(`"retry_after":null`), "wait 35s"},
		"429 of a proxy":                     {429, "", "<html>slow down</html>", "wait 30s"},
		"429 of a proxy with a time":         {429, "Retry-After: 90", "<html>slow down</html>", "wait 1m30s"},
		"503 with a date":                    {503, "Retry-After: Wed, 22 Apr 2026 00:10:00 GMT|Date: Wed, 22 Apr 2026 00:00:00 GMT", "", "wait 10m0s"},
		"503 with a date that has passed":    {503, "Retry-After: Wed, 22 Apr 2026 00:00:00 GMT|Date: Wed, 22 Apr 2026 00:10:00 GMT", "", "wait 30s"},
		"503 with zero":                      {503, "Retry-After: 0", "", "wait 30s"},
		"503 with nonsense":                  {503, "Retry-After: soon", "", "error"},
		"503 below zero":                     {503, "Retry-After: -1", "", "error"},
		"502 with a time":                    {502, "Retry-After: 5", "", "wait 5s"},
		"moved":                              {400, "", fmt.Sprintf(refusal, 400, "Bad Request: group chat was upgraded to a supergroup chat", `"migrate_to_chat_id":-1001234567890`), "moved to -1001234567890"},
		"moved, as a text":                   {400, "", fmt.Sprintf(refusal, 400, "Bad Request: group chat was upgraded to a supergroup chat", `"migrate_to_chat_id":"-1001234567890"`), "moved to -1001234567890"},
		"moved to nothing":                   {400, "", fmt.Sprintf(refusal, 400, "Bad Request: group chat was upgraded to a supergroup chat", `"migrate_to_chat_id":null`), "receiver"},
		"parameters that are no object":      {400, "", `{"ok":false,"error_code":400,"description":"Bad Request: chat not found","parameters":[]}`, "receiver"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for line := range strings.SplitSeq(tc.header, "|") {
					if key, value, ok := strings.Cut(line, ": "); ok {
						w.Header().Set(key, value)
					}
				}
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			}))
			defer srv.Close()
			_, err := channel(t, srv.URL, &bytes.Buffer{}).Send(t.Context(), reporter.Part{HTML: "x"}, reporter.SendOptions{})
			if got := verdictOf(err); got != tc.want {
				t.Errorf("verdict %q (%v), want %q", got, err, tc.want)
			}
		})
	}
}

// A message whose connection ends without an answer may have arrived, unless the request was not written.
func TestConnectionsThatBreak(t *testing.T) {
	t.Parallel()
	refusal := `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`
	for name, tc := range map[string]struct {
		answer string // raw, after the request was read; the connection is closed then
		want   string
	}{
		"no answer":               {"", "ambiguous"},
		"half a status line":      {"HTTP/1.1 20", "ambiguous"},
		"not HTTP":                {"SSH-2.0-x\r\n", "ambiguous"},
		"half of a sent answer":   {"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"ok\":true,", "ambiguous"},
		"half a chunk":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"ok\":true,", "ambiguous"},
		"half of a refusal":       {"HTTP/1.1 400 Bad Request\r\nContent-Length: 900\r\n\r\n" + refusal[:40], "error"},
		"a refusal":               {"HTTP/1.1 400 Bad Request\r\n\r\n" + refusal, "receiver"},
		"a flood cut in its body": {"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 50\r\nContent-Length: 900\r\n\r\n{", "wait 50s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprint(conn, tc.answer)
				conn.Close()
			}))
			defer srv.Close()
			c := channel(t, srv.URL, &bytes.Buffer{}, func(cfg *telegram.Config) { cfg.Timeout = time.Minute })
			_, err := c.Send(t.Context(), reporter.Part{HTML: "x"}, reporter.SendOptions{})
			if got := verdictOf(err); got != tc.want {
				t.Errorf("verdict %q (%v), want %q", got, err, tc.want)
			}
		})
	}
}

// Refused pictures have another verdict than refused texts; buttons that Telegram would refuse are left out.
func TestRefusedExtras(t *testing.T) {
	t.Parallel()
	b := bot(t)
	c := channel(t, b.URL(), &bytes.Buffer{})
	_, err := c.Send(t.Context(), reporter.Part{HTML: "x", Picture: []byte("png")}, reporter.SendOptions{})
	if got := verdictOf(err); got != "picture" {
		t.Errorf("a picture that is none: %s", got)
	}
	_, err = c.Send(t.Context(), reporter.Part{HTML: " "}, reporter.SendOptions{})
	if got := verdictOf(err); got != "refused" {
		t.Errorf("an empty text: %s", got)
	}
	buttons := []reporter.Button{
		{Text: "a", URL: "http://localhost/"}, {Text: "b", URL: "https://b.example/x"}, {Text: "c", URL: "https://c.example:99999/"},
		{Text: "d", URL: "javascript:alert(1)"},
	}
	if _, err = c.Send(t.Context(), reporter.Part{HTML: "x", Buttons: buttons}, reporter.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := b.Messages()[0].Buttons; len(got) != 1 || got[0].Text != "b" {
		t.Errorf("the buttons are %v", got)
	}
}

// A probe is sent to the chat and the topic, and is refused if a message would be.
func TestProbe(t *testing.T) {
	t.Parallel()
	b := bot(t)
	c := channel(t, b.URL(), &bytes.Buffer{}, func(cfg *telegram.Config) { cfg.ThreadID = 7 })
	if err := c.Probe(t.Context(), ""); err != nil {
		t.Error(err)
	}
	b.SetChat("-100123/7", &localstack.BotFault{Status: 400, Description: "Bad Request: TOPIC_CLOSED"})
	if got := verdictOf(c.Probe(t.Context(), "")); got != "receiver" {
		t.Errorf("a closed topic: %s", got)
	}
	if err := c.Probe(t.Context(), "-100999"); err != nil || b.Actions("-100123") != 1 || b.Actions("-100999") != 1 {
		t.Errorf("another chat: %v", err)
	}
}

// The limits depend on the chat: a group's id is negative, and a name is that of a group or a channel.
func TestLimits(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]int{"42": 2, "-100123": 3, "@team": 3} {
		chat := channel(t, "http://127.0.0.1:1", &bytes.Buffer{}, func(cfg *telegram.Config) { cfg.ChatID = id }).Chat()
		if len(chat.Limits) != want || chat.Address != id || chat.Account != "telegram:123456" {
			t.Errorf("%s: %+v", id, chat)
		}
	}
}

func TestPictureStandsAboveShortTextsAndBehindLongOnes(t *testing.T) {
	t.Parallel()
	c := channel(t, "http://127.0.0.1:1", &bytes.Buffer{})
	for name, tc := range map[string]struct {
		length, parts, picture int
	}{
		"short":      {900, 1, 0},
		"long":       {1000, 2, 1},
		"two parts":  {6000, 3, 2},
		"a document": {40000, 3, 2},
	} {
		msg := reporter.Message{Title: "T <x>", HTML: strings.Repeat("長", tc.length), Picture: []byte("png"), Buttons: []reporter.Button{{Text: "b", URL: "https://b.example/"}}}
		parts := c.Split(msg)
		if len(parts) != tc.parts {
			t.Errorf("%s: %d parts, want %d", name, len(parts), tc.parts)
			continue
		}
		for n, p := range parts {
			if (p.Picture != nil) != (n == tc.picture) || (len(p.Buttons) > 0) != (n == 0) {
				t.Errorf("%s: part %d has picture %v and buttons %v", name, n, p.Picture != nil, p.Buttons)
			}
			if plain, err := localstack.ParseHTML(p.HTML); p.Picture != nil && (err != nil || utf8.RuneCountInString(plain) > 1024) {
				t.Errorf("%s: caption: %v, %d", name, err, utf8.RuneCountInString(plain))
			}
		}
	}
}

// join removes the marks of the parts and joins their texts.
func join(tb testing.TB, parts []reporter.Part) string {
	tb.Helper()
	var b strings.Builder
	for n, p := range parts {
		plain, err := localstack.ParseHTML(p.HTML)
		if err != nil {
			tb.Fatalf("part %d of %d is refused: %v\n%s", n+1, len(parts), err, p.HTML)
		}
		if utf8.RuneCountInString(plain) > 4096 {
			tb.Fatalf("part %d has %d code points", n+1, utf8.RuneCountInString(plain))
		}
		if len(p.HTML) > 30<<10 {
			tb.Fatalf("part %d has %d bytes", n+1, len(p.HTML))
		}
		if len(parts) > 1 {
			mark := fmt.Sprintf("(%d/%d)\n", n+1, len(parts))
			if !strings.HasPrefix(plain, mark) {
				tb.Fatalf("part %d is not marked: %.40q", n+1, plain)
			}
			plain = strings.TrimPrefix(plain, mark)
		}
		b.WriteString(plain)
	}
	return b.String()
}

func TestSplit(t *testing.T) {
	t.Parallel()
	var logs bytes.Buffer
	c := channel(t, "http://127.0.0.1:1", &logs)
	line := strings.Repeat("長", 99) + "\n"
	for name, tc := range map[string]struct {
		html  string
		parts int
	}{
		"short":                 {"<b>x</b>", 1},
		"exactly one":           {strings.Repeat("長", 4000), 1},
		"two by lines":          {strings.Repeat(line, 60), 2},
		"four by lines":         {strings.Repeat(line, 155), 4},
		"one endless line":      {strings.Repeat("x", 9000), 3},
		"words":                 {strings.Repeat("word ", 1500), 2},
		"entities":              {strings.Repeat("&lt;&amp;", 3000), 2},
		"a tag over the border": {"<b>" + strings.Repeat(line, 30) + "<i>" + strings.Repeat(line, 30) + "</i></b>", 2},
		"much markup":           {strings.Repeat("<b>x</b>\n", 6000), 3},
		"emoji":                 {strings.Repeat("👨‍👩‍👧", 1500), 2},
	} {
		parts := c.Split(reporter.Message{Title: "t", HTML: tc.html})
		if len(parts) != tc.parts {
			t.Errorf("%s: %d parts, want %d", name, len(parts), tc.parts)
		}
		want, err := localstack.ParseHTML(tc.html)
		if err != nil {
			t.Fatal(err)
		}
		if got := join(t, parts); got != want {
			t.Errorf("%s: the parts together are not the text", name)
		}
	}
	two := c.Split(reporter.Message{Title: "t", HTML: strings.Repeat(line, 60)})
	if !strings.HasSuffix(two[0].HTML, "\n") {
		t.Error("the cut is not at the end of a line")
	}
	long := c.Split(reporter.Message{Title: "日報 / <x>", HTML: "<b>" + strings.Repeat(line, 200) + "</b>", Summary: "<b>short</b>"})
	if len(long) != 2 || long[0].HTML != "<b>short</b>" || long[1].Document != "日報-x.html" || !strings.Contains(long[1].HTML, line+line) {
		t.Errorf("more than four parts: %d parts, %q, %q", len(long), long[0].HTML, long[1].Document)
	}
	for _, blank := range []string{"", "\n\n", "<b> </b>"} {
		if parts := c.Split(reporter.Message{Title: "a < b", HTML: blank}); len(parts) != 1 || parts[0].HTML != "a &lt; b" {
			t.Errorf("blank text %q: %+v", blank, parts)
		}
	}
}

// Actions share a row, links have rows of their own; a button whose data Telegram would refuse is left out.
func TestButtonsOfActions(t *testing.T) {
	t.Parallel()
	b := bot(t)
	c := channel(t, b.URL(), &bytes.Buffer{})
	token := strings.Repeat("x", reporter.ActionTokenLen)
	action := func(text string, kind reporter.ActionKind) reporter.Button {
		return reporter.Button{Text: text, Action: kind, Token: token}
	}
	all := []reporter.Button{
		action("✋", reporter.ActionAcknowledge), action("1h", reporter.ActionSilence1h), action("4h", reporter.ActionSilence4h),
		action("undo", reporter.ActionUnsilence), {Text: "page", URL: "https://r.example/i"}, action("release", reporter.ActionRelease),
		{Text: "no token", Action: reporter.ActionRelease}, {Text: "too long", Action: reporter.ActionKind(strings.Repeat("x", 42)), Token: token},
	}
	parts := c.Split(reporter.Message{HTML: "firing", Buttons: all})
	if _, err := c.Send(t.Context(), parts[0], reporter.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	var want []localstack.BotButton
	for n, row := range []int{0, 0, 0, 1, 2, 3} {
		button := localstack.BotButton{Row: row, Text: all[n].Text, URL: all[n].URL}
		if all[n].Action != "" {
			button.Data = string(all[n].Action) + ":" + token
		}
		want = append(want, button)
	}
	if got := b.Messages()[0].Buttons; !reflect.DeepEqual(got, want) {
		t.Errorf("buttons %+v, want %+v", got, want)
	}
}

// Telegram would refuse a message with such a button, and drop such a link without an error.
func TestAddressesThatTelegramDoesNotTakeAreText(t *testing.T) {
	t.Parallel()
	c := channel(t, "http://127.0.0.1:1", &bytes.Buffer{})
	parts := c.Split(reporter.Message{
		HTML: `<a href="http://localhost:9787/x">page</a> <a href="https://r.example/">list</a>`,
		Buttons: []reporter.Button{
			{Text: "page", URL: "http://localhost:9787/x"}, {Text: "port", URL: "http://r.example:0/"}, {Text: "", URL: "https://r.example/"},
			{Text: "list", URL: "https://r.example/"},
		},
	})
	want := []reporter.Part{{
		HTML:    `page (http://localhost:9787/x) <a href="https://r.example/">list</a>`,
		Buttons: []reporter.Button{{Text: "list", URL: "https://r.example/"}},
	}}
	if !reflect.DeepEqual(parts, want) {
		t.Errorf("parts are %+v, want %+v", parts, want)
	}
}

// A text whose markup was refused is sent plain, with its addresses if they fit.
func TestPlainTextFits(t *testing.T) {
	t.Parallel()
	b := bot(t)
	c := channel(t, b.URL(), &bytes.Buffer{})
	for _, n := range []int{1, 400} {
		html := strings.Repeat(`<a href="https://r.example/">list</a> `, n)
		if _, err := c.Send(t.Context(), reporter.Part{HTML: html, Plain: true}, reporter.SendOptions{Repeat: true}); err != nil {
			t.Errorf("%d links: %v", n, err)
		}
	}
	got := b.Messages()
	if len(got) != 2 || !strings.Contains(got[0].Plain, "list (https://r.example/)") || strings.Contains(got[1].Plain, "example") {
		t.Errorf("sent %+v", got)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("a\nb", 3000, 2)
	f.Add("<&>\"'", 900, 5)
	f.Add("日本語 ", 2500, 1)
	f.Add("\x17", 2583, 3)
	// Telegram removes control characters and trims spaces, so a part of these alone is not sent.
	visible := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf) {
				return -1
			}
			return r
		}, s)
	}
	var logs bytes.Buffer
	c := channel(f, "http://127.0.0.1:1", &logs)
	tags := [][2]string{{"", ""}, {"<b>", "</b>"}, {"<code>", "</code>"}, {`<a href="https://x.example/?a=1&amp;b=2">`, "</a>"}, {"<i><u>", "</u></i>"}, {"<pre>", "</pre>"}}
	f.Fuzz(func(t *testing.T, text string, times, tag int) {
		if !utf8.ValidString(text) || times < 0 || strings.ContainsRune(text, 0) {
			return
		}
		times %= 3000
		around := tags[(tag%len(tags)+len(tags))%len(tags)]
		// One tag around all of it, and one around each piece.
		markup := around[0] + strings.Repeat(html.EscapeString(text)+"<s>"+html.EscapeString(text)+"</s>", times) + around[1]
		want, err := localstack.ParseHTML(markup)
		if err != nil || utf8.RuneCountInString(want) > 15000 || len(markup) > 100_000 || visible(want) == "" {
			return
		}
		parts := c.Split(reporter.Message{Title: "t", HTML: markup, Summary: "s"})
		if len(parts) == 2 && parts[1].Document != "" {
			return
		}
		if got := join(t, parts); visible(got) != visible(want) {
			t.Errorf("the parts together are not the text:\n%q\n%q", got, want)
		}
	})
}

func TestStopDoesNotWaitForBackoff(t *testing.T) {
	t.Parallel()
	var logs bytes.Buffer
	c := channel(t, "http://127.0.0.1:1", &logs, func(cfg *telegram.Config) { cfg.RetryWaitMin, cfg.RetryWaitMax = time.Hour, time.Hour })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Send(ctx, reporter.Part{HTML: "x"}, reporter.SendOptions{}); err == nil {
		t.Error("a send to a closed port succeeded")
	}
}

// Edits replace texts, captions and buttons of sent messages. A message that cannot be edited has a verdict of its own, and an edit that
// changes nothing succeeds.
func TestEdit(t *testing.T) {
	t.Parallel()
	b := bot(t)
	c := channel(t, b.URL(), &bytes.Buffer{})
	send := func(part reporter.Part) reporter.Part {
		t.Helper()
		id, err := c.Send(t.Context(), part, reporter.SendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		part.MessageID, part.Caption, part.Picture = id, part.Picture != nil, nil
		return part
	}
	buttons := []reporter.Button{{Text: "page", URL: "https://r.example/x"}}
	text, photo := send(reporter.Part{HTML: "<b>a</b>", Buttons: buttons}), send(reporter.Part{HTML: "caption", Picture: picture(t)})
	gone, locked := send(reporter.Part{HTML: "gone"}), send(reporter.Part{HTML: "locked"})
	b.Delete(3)
	b.Lock(4)
	edit := func(p reporter.Part, html string) reporter.Part {
		p.HTML = html
		return p
	}
	wrongKind := edit(photo, "x")
	wrongKind.Caption = false
	for name, tc := range map[string]struct {
		part reporter.Part
		want string // a verdict; "" is none
	}{
		"not modified": {part: text}, "deleted": {edit(gone, "x"), "gone"}, "not to be edited": {edit(locked, "x"), "gone"},
		"no id": {reporter.Part{HTML: "x", MessageID: "x"}, "gone"}, "markup": {edit(text, "<x>"), "markup"},
		"too long": {edit(text, strings.Repeat("x", 4097)), "refused"}, "caption too long": {edit(photo, strings.Repeat("x", 1025)), "picture"},
		"a text that is a caption": {wrongKind, "gone"},
	} {
		if err := c.Edit(t.Context(), tc.part, reporter.SendOptions{}); (err == nil) != (tc.want == "") || err != nil && verdictOf(err) != tc.want {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	text.HTML, text.Buttons, text.Ambiguous, photo.HTML, photo.Plain = "<i>b</i>", nil, 1, "<b>new</b>", true
	for _, p := range []reporter.Part{text, photo} {
		if err := c.Edit(t.Context(), p, reporter.SendOptions{Repeat: p.Unknown()}); err != nil {
			t.Error(err)
		}
	}
	got := b.Messages()
	if !strings.HasPrefix(got[0].Plain, "🔁") || !strings.HasSuffix(got[0].Plain, "\nb") || len(got[0].Buttons) > 0 || got[1].Plain != "new" || got[1].Photo == nil {
		t.Errorf("the messages show %+v", got)
	}
	if texts := b.Texts(1); len(texts) != 2 || texts[0] != "a" {
		t.Errorf("the first message has shown %q", texts)
	}
}

// A message that is edited keeps its number of parts: text that does not fit is cut, and parts that are left over show no old text.
func TestRevise(t *testing.T) {
	t.Parallel()
	c := channel(t, "http://127.0.0.1:1", &bytes.Buffer{})
	button := []reporter.Button{{Text: "page", URL: "https://r.example/"}, {Text: "local", URL: "http://localhost/"}}
	line := strings.Repeat("長", 3000)
	for name, tc := range map[string]struct {
		sent, now reporter.Message
		caption   bool
		want      []string // beginnings of the parts
	}{
		"one part":           {sent: reporter.Message{HTML: "a"}, now: reporter.Message{HTML: "b"}, want: []string{"b"}},
		"one part, too long": {sent: reporter.Message{HTML: "a"}, now: reporter.Message{HTML: "b\n" + line + "\n" + line}, want: []string{"b\n" + line + "\n…"}},
		"a caption":          {sent: reporter.Message{HTML: "a", Picture: []byte("png")}, caption: true, now: reporter.Message{HTML: "b\n" + line}, want: []string{"b\n…"}},
		"a picture behind":   {sent: reporter.Message{HTML: line, Title: "t", Picture: []byte("png")}, now: reporter.Message{HTML: "b"}, want: []string{"b", "t"}},
		"fewer parts":        {sent: reporter.Message{HTML: line + "\n" + line}, now: reporter.Message{HTML: "b"}, want: []string{"<i>(1/2)</i>\nb", "<i>(2/2)</i>\n—"}},
		"more parts":         {sent: reporter.Message{HTML: line + "\n" + line}, now: reporter.Message{HTML: line + "\n" + line + "\nb\n" + line}, want: []string{"<i>(1/2)</i>\n" + line, "<i>(2/2)</i>\n" + line + "\nb\n…"}},
		"a document":         {sent: reporter.Message{Title: "t", Summary: "s", HTML: strings.Repeat(line+"\n", 6)}, now: reporter.Message{HTML: line, Summary: "s2"}, want: []string{"s2", "<!doctype"}},
	} {
		tc.sent.Buttons, tc.now.Buttons = button, button
		sent := c.Split(tc.sent)
		for n := range sent {
			sent[n].Caption, sent[n].Picture, sent[n].MessageID = sent[n].Picture != nil, nil, "1"
		}
		if sent[0].Caption != tc.caption {
			t.Fatalf("%s: caption %v", name, sent[0].Caption)
		}
		got := c.Revise(tc.now, sent)
		if len(got) != len(tc.want) || len(got) != len(sent) {
			t.Fatalf("%s: %d parts", name, len(got))
		}
		for n, p := range got {
			limit := 4096
			if p.Caption {
				limit = 1024
			}
			plain, err := localstack.ParseHTML(p.HTML)
			if !strings.HasPrefix(p.HTML, tc.want[n]) || p.MessageID != "1" || p.Document == "" && (err != nil || utf8.RuneCountInString(plain) > limit) {
				t.Errorf("%s: part %d is %.60q (%d characters), %v", name, n, p.HTML, utf8.RuneCountInString(plain), err)
			}
			if want := (n == 0); (len(p.Buttons) == 1) != want {
				t.Errorf("%s: part %d has buttons %v", name, n, p.Buttons)
			}
		}
	}
}

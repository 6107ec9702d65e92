package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

// bots answers as Telegram does, by the token's first digit and the chat.
func bots(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, method, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/bot"), "/")
		var in struct {
			Chat string `json:"chat_id"`
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		answer := func(status int, text string) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
		no := func(status int, why string) {
			answer(status, fmt.Sprintf(`{"ok":false,"error_code":%d,"description":%q}`, status, why))
		}
		yes := func(result string) { answer(http.StatusOK, `{"ok":true,"result":`+result+`}`) }
		switch {
		case strings.HasPrefix(token, "9"):
			no(http.StatusUnauthorized, "Unauthorized")
		case method == "getMe":
			yes(fmt.Sprintf(`{"id":1,"username":"reporter_bot","can_read_all_group_messages":%t}`, strings.HasPrefix(token, "7")))
		case method == "getWebhookInfo" && strings.HasPrefix(token, "8"):
			yes(`{"url":"https://hooks.example.org/planted-path?t=planted"}`)
		case method == "getWebhookInfo":
			yes(`{"url":""}`)
		case method == "getChat" && in.Chat == "-404":
			no(http.StatusBadRequest, "Bad Request: chat not found")
		case method == "getChatMember" && in.Chat == "-6":
			no(http.StatusNotFound, "Not Found")
		case method == "getChat" && in.Chat == "-5":
			yes(`{"type":"channel","title":"News"}`)
		case method == "getChat":
			yes(`{"type":"supergroup","title":"SRE \u001b[31m"}`)
		case method == "getChatMember" && in.Chat == "-3":
			yes(`{"status":"left"}`)
		case method == "getChatMember" && in.Chat == "-4":
			yes(`{"status":"restricted","is_member":true,"can_send_messages":false}`)
		case method == "getChatMember" && in.Chat == "-5":
			yes(`{"status":"administrator","can_post_messages":false}`)
		case method == "getChatMember":
			yes(`{"status":"member"}`)
		case method == "sendMessage":
			yes(`{"message_id":7}`)
		default:
			no(http.StatusNotFound, "Not Found")
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func diagnose(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Options{Path: path, Checks: []config.Check{CheckConfig}}.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range Doctor(t.Context(), c, slog.New(slog.DiscardHandler)) {
		fmt.Fprintf(&out, "%s %s: %s; %s\n", f.Result, f.What, f.Text, f.Remedy)
	}
	return out.String()
}

// Each planted fault is one line with its remedy, and no secret is shown.
func TestDoctorNamesEachPlantedFault(t *testing.T) {
	t.Parallel()
	const token = "123456:planted-planted-planted"
	api := bots(t)
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/private":
			w.WriteHeader(http.StatusUnauthorized)
		case "/api/v1/query":
			data := `{"resultType":"vector","result":[]}`
			if r.FormValue("query") == "time()" {
				data = fmt.Sprintf(`{"resultType":"scalar","result":[0,"%d"]}`, time.Now().Add(-time.Minute).Unix())
			}
			_, _ = io.WriteString(w, `{"status":"success","data":`+data+`}`)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	t.Cleanup(empty.Close)
	notADirectory := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notADirectory, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	receiver := func(token, chat, more string) string {
		return fmt.Sprintf("state: {path: %q}\nreceivers: [{name: oncall, telegram: {bot_token: %q, chat_id: %q, api_url: %q%s}}]\n",
			t.TempDir(), token, chat, api, more)
	}
	source := func(more string) string {
		return "sources: [{name: x, " + more + "}]\nqueries: [{name: q, source: x, metrics: [{name: my_q, help: Q.}], "
	}
	closed := "127.0.0.1:1"
	for name, tc := range map[string]struct{ yaml, want string }{
		"all is well":        {receiver(token, "-1", ""), "ok receiver oncall: @reporter_bot may write to SRE [31m;"},
		"no such method":     {receiver(token, "-6", ""), "ok receiver oncall: @reporter_bot may write to SRE [31m (its rights there were not checked)"},
		"revoked token":      {receiver("999:planted-planted-planted", "-1", ""), "fail receiver oncall: bot: 401 Unauthorized; the token is wrong or revoked"},
		"unknown chat":       {receiver(token, "-404", ""), "chat not found; add the bot to the chat"},
		"bot was removed":    {receiver(token, "-3", ""), "the bot is not a member of the chat; add the bot"},
		"bot may not write":  {receiver(token, "-4", ""), "the bot may not send messages in the chat; give the bot the right"},
		"bot may not post":   {receiver(token, "-5", ""), "the bot may not post in the channel; give the bot the right"},
		"chat has no topics": {receiver(token, "-1", ", thread_id: 5"), "the chat has no topics; remove thread_id"},
		"the bot can be polled": {receiver(token, "-1", "") + "telegram: {listen: true}",
			"ok telegram.listen: @reporter_bot can be polled; it receives commands and replies to its messages, because its privacy mode is on"},
		"privacy mode is off": {receiver("7"+token, "-1", "") + "telegram: {listen: true}", "it receives all messages of its groups"},
		"a webhook is set": {receiver("8"+token, "-1", "") + "telegram: {listen: true}",
			"fail telegram.listen: the updates of @reporter_bot go to a webhook at hooks.example.org; give that program another bot"},
		"a public chat": {receiver(token, "@team", "") + "telegram: {listen: true}",
			"warn telegram.listen: receiver oncall is a public chat: everyone can join it and act; list who may act under telegram.users"},
		"Bot API is down": {strings.ReplaceAll(receiver(token, "-1", ""), api, "http://"+closed),
			"connection refused; check api_url"},
		"state is below a file":   {fmt.Sprintf("state: {path: %q}", notADirectory+"/state"), "not a directory; check state.path"},
		"state database is down":  {"state: {dsn: 'postgres://u:planted@" + closed + "/d'}", "fail state: "},
		"database is down":        {source("kind: postgres, dsn: 'postgres://u:planted@"+closed+"/d'") + "sql: SELECT 1 AS value}]", "fail source x query q: postgres: connection refused; start the server"},
		"Redis is down":           {source("kind: redis, url: 'redis://:planted@"+closed+"'") + "redis: [LLEN, a]}]", "fail source x query q: "},
		"API refuses credentials": {source("kind: http, url: '"+empty.URL+"'") + "http: {path: /private}}]", "answered 401 Unauthorized; correct the credentials"},
		"Prometheus is down":      {"prometheus: {url: 'http://u:planted@" + closed + "'}", "fail prometheus: "},
		"clock of Prometheus":     {"prometheus: {url: '" + empty.URL + "'}", " behind this machine's; let NTP or chrony set both clocks"},
		"figures without series":  {"prometheus: {url: '" + empty.URL + "'}", "warn report daily: no series now for "},
		"Alertmanager is down":    {"alertmanagers: [{url: 'http://" + closed + "'}]", "fail alertmanager default: "},
		"program is down":         {"receivers: [{name: archive, httppost: {url: 'http://" + closed + "/planted'}}]", "fail receiver archive: "},
		"program takes messages":  {"receivers: [{name: archive, httppost: {url: '" + empty.URL + "/planted'}}]", "ok receiver archive: httppost " + empty.URL + " takes messages;"},
		"terminal":                {"receivers: [{name: console, terminal: {}}]", "ok receiver console: is of kind terminal, which doctor does not check"},
		"embedded database":       {"", "ok prometheus: the embedded database is used; it keeps 40d"},
		"short retention":         {"embedded: {retention: 5d}", "warn prometheus: the embedded database keeps 5d, the report daily looks back 7 days; set embedded.retention to 9d or more"},
		"no fallback":             {receiver(token, "-1", ""), "warn delivery: no fallback receiver; set delivery.fallback_receiver"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := diagnose(t, tc.yaml)
			if !strings.Contains(got, tc.want) {
				t.Errorf("does not say %q:\n%s", tc.want, got)
			}
			if strings.Contains(got, "planted") {
				t.Errorf("shows a secret:\n%s", got)
			}
			if n := strings.Count(got, "fail "); n > 1 {
				t.Errorf("%d lines for one fault:\n%s", n, got)
			}
		})
	}
}

// If no server answers, doctor ends in time and names each of them.
func TestDoctorEndsWhenNoServerAnswers(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	addr := silent.Addr().String()
	got := diagnose(t, strings.ReplaceAll(`
state: {dsn: "postgres://u:planted@ADDR/d?connect_timeout=60&sslmode=disable"}
sources:
  - {name: awoooi, kind: postgres, dsn: "postgres://u:planted@ADDR/d?connect_timeout=60&sslmode=disable"}
  - {name: cache, kind: redis, url: "redis://:planted@ADDR"}
  - {name: api, kind: http, url: "http://ADDR", timeout: 1m}
queries:
  - {name: c, source: cache, redis: [LLEN, a], timeout: 1m, metrics: [{name: my_c, help: C.}]}
  - {name: h, source: api, http: {path: /}, timeout: 1m, metrics: [{name: my_h, help: H.}]}
incidents: {details: {source: awoooi, timeout: 1m}}
prometheus: {url: "http://ADDR", timeout: 1m}
alertmanagers: [{url: "http://ADDR"}]
receivers: [{name: oncall, telegram: {bot_token: "123456:planted-planted-planted", chat_id: "-1", api_url: "http://ADDR"}}]
`, "ADDR", addr))
	for _, want := range []string{"state", "source awoooi", "source cache", "source api", "incidents.details", "prometheus", "alertmanager default", "receiver oncall"} {
		if !strings.Contains(got, "\nfail "+want) && !strings.HasPrefix(got, "fail "+want) {
			t.Errorf("%s does not fail:\n%s", want, got)
		}
	}
	if strings.Contains(got, "planted") {
		t.Errorf("shows a secret:\n%s", got)
	}
}

func TestSendTest(t *testing.T) {
	t.Parallel()
	c, err := config.Options{Path: ""}.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.Receivers = []config.Receiver{{Name: "oncall", Telegram: &config.Telegram{ChatID: "-1", APIURL: bots(t)}}}
	log := slog.New(slog.DiscardHandler)
	if id, err := SendTest(t.Context(), c, "oncall", log); err != nil || id != "7" {
		t.Errorf("message %q, %v", id, err)
	}
	if _, err := SendTest(t.Context(), c, "nobody", log); err == nil || !strings.Contains(err.Error(), `unknown receiver "nobody" (have oncall)`) {
		t.Errorf("error is %v", err)
	}
}

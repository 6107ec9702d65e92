package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/awoooi/awoooi-reporter/internal/auth"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

// sink keeps the events it was given, and whether its context outlived the request.
type sink struct {
	events []reporter.AlertEvent
	calls  int
	err    error
	during func(ctx context.Context)
}

func (s *sink) Accept(ctx context.Context, events []reporter.AlertEvent) error {
	s.calls++
	s.events = append(s.events, events...)
	if s.during != nil {
		s.during(ctx)
	}
	return s.err
}

const good = `{"version": "4", "groupKey": "{}:{a=\"b\"}", "truncatedAlerts": 2, "status": "firing", "receiver": "r", "later": {"x": 1},
	"groupLabels": {"a": "b"}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": [
	{"status": "firing", "labels": {"alertname": "A"}, "annotations": {"summary": "s"}, "startsAt": "2026-04-22T00:00:00.123456789Z",
	 "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p", "fingerprint": "f1"},
	{"status": "resolved", "labels": {"alertname": "A", "x": "y"}, "annotations": {}, "startsAt": "2026-04-22T08:00:00+08:00",
	 "endsAt": "2026-04-22T08:10:00+08:00", "generatorURL": "", "fingerprint": ""}]}`

func newHandler(t testing.TB, cfg webhook.Config, s webhook.Sink) (*webhook.Handler, *bytes.Buffer, *prometheus.Registry) {
	t.Helper()
	logs, reg := &bytes.Buffer{}, prometheus.NewRegistry()
	return webhook.New(cfg, s, slog.New(slog.NewTextHandler(logs, nil)), reg), logs, reg
}

func post(h http.Handler, body string, edits ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, e := range edits {
		e(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func contentType(kind string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Content-Type", kind) }
}

func TestEachAlertIsAnEventByItsOwnStatus(t *testing.T) {
	t.Parallel()
	s := &sink{}
	h, _, reg := newHandler(t, webhook.Config{}, s)
	if w := post(h, good); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	start := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	group := reporter.AlertEvent{Cluster: "default", GroupKey: `{}:{a="b"}`, Receiver: "r", ExternalURL: "http://am", GroupLabels: map[string]string{"a": "b"}, Truncated: 2}
	one, two := group, group
	one.Fingerprint, one.Firing, one.StartsAt = "f1", true, start.Add(123456789)
	one.Labels, one.Annotations, one.GeneratorURL = map[string]string{"alertname": "A"}, map[string]string{"summary": "s"}, "http://p"
	two.Fingerprint, two.StartsAt, two.EndsAt = "3a1c8c5a1b1a1a3c", start, start.Add(10*time.Minute)
	two.Labels, two.Annotations = map[string]string{"alertname": "A", "x": "y"}, map[string]string{}
	if len(s.events[1].Fingerprint) != 16 {
		t.Errorf("a missing fingerprint becomes %q", s.events[1].Fingerprint)
	}
	two.Fingerprint = s.events[1].Fingerprint
	if diff := cmp.Diff([]reporter.AlertEvent{one, two}, s.events); diff != "" {
		t.Error(diff)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body   string
		edit   func(*http.Request)
		code   int
		says   string
		noSink bool
	}{
		"good":                {good, nil, 200, "accepted", false},
		"no alerts":           {`{"version": "4", "groupKey": "g", "alerts": []}`, nil, 200, "accepted", true},
		"GET":                 {"", func(r *http.Request) { r.Method = http.MethodGet }, 405, "want POST", true},
		"a charset":           {good, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") }, 200, "accepted", false},
		"not JSON":            {"alerts!", nil, 400, "syntax error at byte", true},
		"empty":               {"", nil, 400, "ends at byte 0", true},
		"half":                {good[:len(good)/2], nil, 400, "ends at byte", true},
		"two":                 {good + good, nil, 400, "after the JSON object", true},
		"null":                {"null", nil, 400, "want an object", true},
		"array":               {"[]", nil, 400, "want an object", true},
		"another version":     {strings.Replace(good, `"4"`, `"5"`, 1), nil, 400, `version is "5"`, true},
		"version is a number": {strings.Replace(good, `"4"`, `4`, 1), nil, 400, `version is not a string`, true},
		"no version":          {strings.Replace(good, `"version": "4",`, "", 1), nil, 400, "version", true},
		"version of Grafana":  {strings.Replace(good, `"4"`, `"1"`, 1), nil, 400, `"1" with an orgId`, true},
		"no group key":        {strings.Replace(good, `"groupKey"`, `"groupkei"`, 1), nil, 400, "groupKey is missing", true},
		"alerts is an object": {`{"version": "4", "groupKey": "g", "alerts": {"x": [1]}}`, nil, 400, "alerts is not an array", true},
		"group labels":        {`{"version": "4", "groupKey": "g", "groupLabels": {"x": [1]}}`, nil, 400, "groupLabels is not", true},
		"truncated by -1":     {strings.Replace(good, `"truncatedAlerts": 2`, `"truncatedAlerts": -1`, 1), nil, 400, "not a number of alerts", true},
		"truncated by a text": {strings.Replace(good, `"truncatedAlerts": 2`, `"truncatedAlerts": "x"`, 1), nil, 400, "not a number", true},
		"a huge number":       {strings.Replace(good, `"truncatedAlerts": 2`, `"truncatedAlerts": `+strings.Repeat("9", 2000), 1), nil, 400, "not a number of alerts", true},
		"nested deeply":       {strings.Replace(good, `{"x": 1}`, strings.Repeat("[", 500)+strings.Repeat("]", 500), 1), nil, 400, "nested deeper than 64", true},
		"type in upper case":  {good, contentType("Application/JSON;charset=UTF-8"), 200, "accepted", false},
		"no type":             {good, contentType(""), 415, "want Content-Type: application/json", true},
		"type of a form":      {good, contentType("application/x-www-form-urlencoded"), 415, "application/json", true},
		"plain text":          {good, contentType("text/plain; application/json"), 415, "application/json", true},
		"another JSON type":   {good, contentType("application/jsonp"), 415, "application/json", true},
		"no type at all":      {good, contentType(";"), 415, "application/json", true},
		"compressed":          {good, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "without Content-Encoding", true},
		"not compressed":      {good, func(r *http.Request) { r.Header.Set("Content-Encoding", "identity") }, 200, "accepted", false},
		"too large":           {good + strings.Repeat(" ", 5000), nil, 413, "larger than 4000 bytes", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &sink{}
			h, logs, reg := newHandler(t, webhook.Config{MaxBody: 4000}, s)
			var edits []func(*http.Request)
			if tc.edit != nil {
				edits = append(edits, tc.edit)
			}
			w := post(h, tc.body, edits...)
			if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.says) || strings.Count(w.Body.String(), "\n") != 1 || w.Body.Len() > 200 {
				t.Errorf("%d %q, want %d and %q", w.Code, w.Body, tc.code, tc.says)
			}
			if (s.calls == 0) != tc.noSink {
				t.Errorf("the sink was called %d times", s.calls)
			}
			if (tc.code != 200) != strings.Contains(logs.String(), "webhook refused") {
				t.Errorf("log: %s", logs)
			}
			want := "# HELP awoooi_reporter_webhooks_total Webhooks received, by the status they were answered with.\n# TYPE awoooi_reporter_webhooks_total counter\n"
			for _, code := range []int{200, 400, 401, 404, 405, 413, 415, 503} {
				n := 0
				if code == tc.code {
					n = 1
				}
				want += fmt.Sprintf("awoooi_reporter_webhooks_total{code=\"%d\"} %d\n", code, n)
			}
			if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "awoooi_reporter_webhooks_total"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStorageTroubleAsksForAnotherTry(t *testing.T) {
	t.Parallel()
	h, logs, _ := newHandler(t, webhook.Config{}, &sink{err: errors.New("disk full at /secret/path")})
	w := post(h, good)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "disk") {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	if !strings.Contains(logs.String(), "disk full") {
		t.Errorf("log: %s", logs)
	}
}

// What was read whole is stored, also when the client has hung up meanwhile.
func TestNULBecomesTheReplacementCharacter(t *testing.T) {
	t.Parallel()
	s := &sink{}
	h, _, _ := newHandler(t, webhook.Config{}, s)
	if w := post(h, strings.ReplaceAll(good, `"summary": "s"`, `"summary": "\u0000\u0000a\\u0000\\\u0000"`)); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got, want := s.events[0].Annotations["summary"], "��a\\u0000\\�"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is held of bodies is bounded: others are refused at once, and what is held goes on. A small webhook still fits.
func TestOverloadIsRefusedEarly(t *testing.T) {
	t.Parallel()
	const held = 3 // of 10 MiB each
	begun, release := make(chan struct{}), make(chan struct{})
	s := &blocking{begun: begun, release: release}
	h, _, _ := newHandler(t, webhook.Config{}, s)
	large := strings.Repeat(" ", 10<<20-len(good)) + good
	answers := make(chan int, held)
	for range held {
		go func() { answers <- post(h, large).Code }()
		<-begun
	}
	w := post(h, large)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("a fourth large one: %d", w.Code)
	}
	go func() { answers <- post(h, good).Code }()
	<-begun
	close(release)
	for range held + 1 {
		if code := <-answers; code != http.StatusOK {
			t.Errorf("held: %d", code)
		}
	}
	go func() { <-begun }()
	if w := post(h, large); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d", w.Code)
	}
}

// Bodies of unknown length that arrive slowly hold only what has arrived of them.
func TestSlowBodiesBlockNobody(t *testing.T) {
	t.Parallel()
	s := &sink{}
	h, _, _ := newHandler(t, webhook.Config{}, s)
	const slow = 100
	answers := make(chan int, slow)
	var ends []*io.PipeWriter
	for range slow {
		r, w := io.Pipe()
		ends = append(ends, w)
		go func() {
			answers <- post(h, "", func(req *http.Request) { req.Body, req.ContentLength = r, -1 }).Code
		}()
		if _, err := io.WriteString(w, good[:50]); err != nil { // returns when it has been read
			t.Fatal(err)
		}
	}
	if w := post(h, strings.Repeat(" ", 10<<20-len(good))+good); w.Code != http.StatusOK {
		t.Errorf("a large one beside slow ones: %d", w.Code)
	}
	for _, w := range ends {
		w.CloseWithError(errors.New("connection reset"))
		if code := <-answers; code != http.StatusBadRequest {
			t.Errorf("cut: %d", code)
		}
	}
}

type blocking struct{ begun, release chan struct{} }

func (b *blocking) Accept(context.Context, []reporter.AlertEvent) error {
	b.begun <- struct{}{}
	<-b.release
	return nil
}

func TestHangUpDoesNotCutTheSink(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	s := &sink{during: func(inner context.Context) {
		leave()
		if inner.Err() != nil {
			t.Error("the sink was cut")
		}
		if _, bounded := inner.Deadline(); !bounded {
			t.Error("the sink has no deadline")
		}
	}}
	h, _, _ := newHandler(t, webhook.Config{}, s)
	post(h, good, func(r *http.Request) { *r = *r.WithContext(ctx) })
	if s.calls != 1 {
		t.Errorf("%d calls", s.calls)
	}
}

func TestOnlyWhoMayPostPosts(t *testing.T) {
	t.Parallel()
	bearer := func(s string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", s) }
	}
	basic := func(u, p string) func(*http.Request) { return func(r *http.Request) { r.SetBasicAuth(u, p) } }
	none := func(*http.Request) {}
	token := webhook.Config{Guard: auth.Guard{BearerToken: secret.New("t0ken")}}
	user := webhook.Config{Guard: auth.Guard{Username: "am", Password: secret.New("pw")}}
	both := webhook.Config{Guard: auth.Guard{BearerToken: secret.New("t0ken"), Username: "am", Password: secret.New("pw")}}
	for name, tc := range map[string]struct {
		cfg  webhook.Config
		edit func(*http.Request)
		code int
	}{
		"open":                      {webhook.Config{}, none, 200},
		"token":                     {token, bearer("Bearer t0ken"), 200},
		"token, scheme in any case": {token, bearer("bearer t0ken"), 200},
		"no token":                  {token, none, 401},
		"wrong token":               {token, bearer("Bearer t0kem"), 401},
		"empty token":               {token, bearer("Bearer "), 401},
		"longer token":              {token, bearer("Bearer t0ken2"), 401},
		"user for a token":          {token, basic("", "t0ken"), 401},
		"user":                      {user, basic("am", "pw"), 200},
		"wrong password":            {user, basic("am", "px"), 401},
		"wrong user":                {user, basic("an", "pw"), 401},
		"no user":                   {user, none, 401},
		"empty user and password":   {user, basic("", ""), 401},
		"token for a user":          {user, bearer("Bearer pw"), 401},
		"empty token for a user":    {user, bearer("Bearer "), 401},
		"both, by token":            {both, bearer("Bearer t0ken"), 200},
		"both, by user":             {both, basic("am", "pw"), 200},
		"both, by neither":          {both, basic("am", "t0ken"), 401},
	} {
		h, logs, _ := newHandler(t, tc.cfg, &sink{})
		w := post(h, good, tc.edit)
		if w.Code != tc.code || (tc.code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d, want %d", name, w.Code, tc.code)
		}
		if strings.Contains(logs.String()+w.Body.String(), "t0ke") {
			t.Errorf("%s: a token is shown: %s", name, logs)
		}
		h.SetConfig(webhook.Config{Guard: auth.Guard{BearerToken: secret.New("changed")}})
		if w := post(h, good, bearer("Bearer changed")); w.Code != 200 {
			t.Errorf("%s: after a reload: %d", name, w.Code)
		}
	}
}

// Whatever is posted, the handler neither fails nor blames the storage.
func FuzzWebhook(f *testing.F) {
	f.Add(good)
	f.Add(`{"version": "4", "groupKey": "g", "alerts": [{"status": "resolved", "startsAt": "9999-12-31T23:59:59Z"}]}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		s := &sink{}
		h, _, _ := newHandler(t, webhook.Config{}, s)
		w := post(h, body)
		if w.Code != 200 && w.Code != 400 && w.Code != 413 {
			t.Errorf("%d for %q", w.Code, body)
		}
		if w.Body.Len() > 200 {
			t.Errorf("%q for %q", w.Body, body)
		}
		for _, e := range s.events {
			if e.Fingerprint == "" || e.StartsAt.IsZero() || e.Firing != e.EndsAt.IsZero() || e.StartsAt.UnixMicro() < 0 {
				t.Errorf("event %+v", e)
			}
		}
	})
}

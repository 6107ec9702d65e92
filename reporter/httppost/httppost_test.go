package httppost_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/httppost"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

var (
	now = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	key = []byte("a key of twenty-four bytes or more")
)

// request is what a server got.
type request struct {
	http.Header
	method, path string
	body         []byte
}

// server answers by a script, and then 204, and keeps what it got.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	script []func(w http.ResponseWriter)
	got    []request
	came   chan struct{}
}

func serve(t *testing.T, script ...func(w http.ResponseWriter)) *server {
	s := &server{script: script, came: make(chan struct{}, 1000)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.got = append(s.got, request{r.Header, r.Method, r.URL.String(), body})
		answer := func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }
		if len(s.script) > 0 {
			answer, s.script = s.script[0], s.script[1:]
		}
		s.mu.Unlock()
		defer func() { s.came <- struct{}{} }()
		answer(w)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request{}, s.got...)
}

func status(code int, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for n := 0; n < len(header); n += 2 {
			w.Header().Set(header[n], header[n+1])
		}
		w.WriteHeader(code)
		fmt.Fprint(w, "an answer with a <b>body</b>")
	}
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		c.Close()
	}
}

func channel(t *testing.T, url string, edits ...func(*httppost.Config)) *httppost.Channel {
	t.Helper()
	c := httppost.Config{URL: secret.New(url), Secret: secret.New("whsec_" + base64.StdEncoding.EncodeToString(key)), Now: func() time.Time { return now }}
	for _, edit := range edits {
		edit(&c)
	}
	ch, err := httppost.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// verify does what docs/httppost.md says.
func verify(t *testing.T, r request) {
	t.Helper()
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(r.Get("webhook-id") + "." + r.Get("webhook-timestamp") + "." + string(r.body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Get("webhook-signature") != want {
		t.Errorf("signature %s, want %s", r.Get("webhook-signature"), want)
	}
}

var message = reporter.Message{
	Title: "Postmortem: disk <full>", HTML: "<b>disk</b> &lt;full&gt;", Summary: "<b>disk</b>",
	Buttons: []reporter.Button{{Text: "page", URL: "https://x.example/?a=1&b=2"}},
	Kind:    reporter.DeliveryPostmortem, Subject: "INC-1", Data: json.RawMessage(`{"id":"INC-1","severity":"critical"}`),
}

func TestRequest(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ch := channel(t, s.URL+"/hook?token=s3cr3t")
	parts := ch.Split(message)
	if len(parts) != 1 {
		t.Fatalf("%d parts", len(parts))
	}
	// A part is stored as JSON, and sent by another process with other options.
	stored, err := json.Marshal(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var again reporter.Part
	if err := json.Unmarshal(stored, &again); err != nil {
		t.Fatal(err)
	}
	for n, o := range []reporter.SendOptions{{}, {Repeat: true}} {
		id, err := channel(t, s.URL+"/hook?token=s3cr3t").Send(t.Context(), []reporter.Part{parts[0], again}[n], o)
		if err != nil || id != parts[0].Key {
			t.Fatalf("send: %q, %v", id, err)
		}
	}
	got := s.requests()
	if string(got[0].body) != string(got[1].body) || got[0].Get("Idempotency-Key") != got[1].Get("Idempotency-Key") ||
		got[0].Get("Awoooi-Repeat") != "" || got[1].Get("Awoooi-Repeat") != "true" {
		t.Errorf("a repeat differs: %v %s\n%v %s", got[0].Header, got[0].body, got[1].Header, got[1].body)
	}
	for _, r := range got {
		verify(t, r)
		if r.method != http.MethodPost || r.path != "/hook?token=s3cr3t" || r.Get("Content-Type") != "application/json" ||
			r.Get("webhook-timestamp") != fmt.Sprint(now.Unix()) || r.Get("Idempotency-Key") != r.Get("webhook-id") || r.Get("Awoooi-Kind") != "postmortem" {
			t.Errorf("%s %s %v", r.method, r.path, r.Header)
		}
	}
	want := `{"id":"` + parts[0].Key + `","kind":"postmortem","subject":"INC-1","title":"Postmortem: disk \u003cfull\u003e",` +
		`"text":"disk \u003cfull\u003e\n\n🔗 page (https://x.example/?a=1\u0026b=2)",` +
		`"markdown":"**disk** \\\u003cfull\\\u003e\n\n🔗 [page](\u003chttps://x.example/?a=1\u0026b=2\u003e)\n","data":{"id":"INC-1","severity":"critical"}}`
	if string(got[0].body) != want {
		t.Errorf("body\n%s\nwant\n%s", got[0].body, want)
	}
	if other := ch.Split(message)[0]; other.Key == parts[0].Key {
		t.Error("two parts have one id")
	}
}

func TestMarkdownRequest(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ch := channel(t, s.URL, func(c *httppost.Config) { c.Format, c.Secret = httppost.FormatMarkdown, secret.Text{} })
	if _, err := ch.Send(t.Context(), ch.Split(message)[0], reporter.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	r := s.requests()[0]
	want := "# Postmortem: disk \\<full\\>\n\n**disk** \\<full\\>\n\n🔗 [page](<https://x.example/?a=1&b=2>)\n"
	if string(r.body) != want || r.Get("Content-Type") != "text/markdown; charset=utf-8" || r.Get("webhook-signature") != "" {
		t.Errorf("%q, %v", r.body, r.Header)
	}
}

// A ping is signed, has an id of its own, and holds no message.
func TestProbe(t *testing.T) {
	t.Parallel()
	s := serve(t, status(200), status(204), status(404))
	ch := channel(t, s.URL)
	if err := errors.Join(ch.Probe(t.Context(), ""), ch.Verify(t.Context())); err != nil {
		t.Fatal(err)
	}
	var refused *reporter.SendError
	if err := ch.Probe(t.Context(), ""); !errors.As(err, &refused) || refused.Verdict != reporter.VerdictReceiver {
		t.Errorf("refused: %v", err)
	}
	got := s.requests()
	verify(t, got[0])
	if got[0].Get("Awoooi-Kind") != "ping" || string(got[0].body) != `{"id":"`+got[0].Get("webhook-id")+`","kind":"ping"}` || got[0].Get("webhook-id") == got[1].Get("webhook-id") {
		t.Errorf("%v %s", got[0].Header, got[0].body)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter)
		want   reporter.Verdict
		after  time.Duration
		says   string
	}{
		"too many":                 {status(429), reporter.VerdictWait, 30 * time.Second, "429"},
		"too many, until":          {status(429, "Retry-After", "120"), reporter.VerdictWait, 2 * time.Minute, ""},
		"unavailable, until":       {status(503, "Retry-After", now.Add(time.Minute).Format(http.TimeFormat)), reporter.VerdictWait, time.Minute, ""},
		"wait for years":           {status(503, "Retry-After", "999999999"), reporter.VerdictWait, 24 * time.Hour, ""},
		"unavailable":              {status(503), reporter.VerdictRetry, 0, ""},
		"another of the server's":  {status(507), reporter.VerdictRetry, 0, ""},
		"the same is in work":      {status(409), reporter.VerdictRetry, 0, ""},
		"too slow":                 {status(408), reporter.VerdictRetry, 0, ""},
		"trouble":                  {status(500), reporter.VerdictUnknown, 0, ""},
		"a gateway's":              {status(502), reporter.VerdictUnknown, 0, ""},
		"a gateway's patience":     {status(504), reporter.VerdictUnknown, 0, ""},
		"no answer":                {hangUp, reporter.VerdictUnknown, 0, ""},
		"unauthorized":             {status(401), reporter.VerdictReceiver, 0, "401"},
		"forbidden":                {status(403), reporter.VerdictReceiver, 0, ""},
		"nothing there":            {status(404), reporter.VerdictReceiver, 0, ""},
		"nothing there any more":   {status(410), reporter.VerdictReceiver, 0, ""},
		"no POST":                  {status(405), reporter.VerdictReceiver, 0, ""},
		"another address":          {status(302, "Location", "http://127.0.0.1:1/s3cr3t"), reporter.VerdictReceiver, 0, "redirects are not followed"},
		"another address for good": {status(308, "Location", "/s3cr3t"), reporter.VerdictReceiver, 0, ""},
		"a redirect that waits":    {status(302, "Retry-After", "5"), reporter.VerdictReceiver, 0, ""},
		"no good":                  {status(400), reporter.VerdictRefused, 0, "400 Bad Request"},
		"too large":                {status(413), reporter.VerdictRefused, 0, ""},
		"of no sense":              {status(422), reporter.VerdictRefused, 0, ""},
	} {
		s := serve(t, tc.answer)
		ch := channel(t, s.URL+"/s3cr3t?token=s3cr3t")
		_, err := ch.Send(t.Context(), ch.Split(message)[0], reporter.SendOptions{})
		var e *reporter.SendError
		if !errors.As(err, &e) || e.Verdict != tc.want || e.After != tc.after || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v %+v", name, err, e)
			continue
		}
		if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "body") {
			t.Errorf("%s: the error shows %q", name, err)
		}
		if n := len(s.requests()); n != 1 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

// A request that was not written has no unknown outcome, and no error contains the address.
func TestServersThatAreNotThere(t *testing.T) {
	t.Parallel()
	// Not the port of a listener that was closed, which the server of another test may get.
	for _, url := range []string{"http://127.0.0.1:1/s3cr3t-path", "http://s3cr3t-user:s3cr3t-pw@127.0.0.1:1"} {
		ch := channel(t, url, func(c *httppost.Config) { c.Timeout = time.Minute })
		_, err := ch.Send(t.Context(), ch.Split(message)[0], reporter.SendOptions{})
		var e *reporter.SendError
		if err == nil || errors.As(err, &e) {
			t.Errorf("%v", err)
		}
		for _, part := range []string{"s3cr3t-path", "s3cr3t-pw"} {
			if strings.Contains(fmt.Sprint(err), part) {
				t.Errorf("the error shows the address: %v", err)
			}
		}
		if chat := ch.Chat(); strings.Contains(fmt.Sprint(chat), "s3cr3t-") || len(chat.Limits) == 0 {
			t.Errorf("the chat is %+v", chat)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	long := reporter.Message{Title: strings.Repeat("t", 300_000), HTML: strings.Repeat("磁碟<", 200_000), Summary: "<b>short</b>", Data: json.RawMessage(`"` + strings.Repeat("d", 300_000) + `"`), Kind: "report"}
	middle := message
	middle.Data = long.Data
	huge := long
	huge.Summary = huge.HTML
	for name, tc := range map[string]struct {
		msg  reporter.Message
		says string
	}{"text": {long, `"kind":"report"`}, "data": {middle, `**disk**`}, "summary too": {huge, `"kind":"report"`}} {
		for _, format := range []string{httppost.FormatJSON, httppost.FormatMarkdown} {
			ch := channel(t, "http://x.example", func(c *httppost.Config) { c.Format = format })
			part := ch.Split(tc.msg)[0]
			if len(part.HTML) > 256<<10 || format == httppost.FormatJSON && (!strings.Contains(part.HTML, tc.says) || !json.Valid([]byte(part.HTML))) {
				t.Errorf("%s as %s: %d bytes: %.100s", name, format, len(part.HTML), part.HTML)
			}
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]httppost.Config{
		"no address":           {},
		"another scheme":       {URL: secret.New("ftp://x")},
		"a fragment":           {URL: secret.New("http://x/#y")},
		"another format":       {URL: secret.New("http://x"), Format: "xml"},
		"a short secret":       {URL: secret.New("http://x"), Secret: secret.New("s3cr3t")},
		"a short key":          {URL: secret.New("http://x"), Secret: secret.New("whsec_czNjcjN0")},
		"a secret not encoded": {URL: secret.New("http://x"), Secret: secret.New("whsec_s3cr3t!s3cr3t!s3cr3t!s3cr3t")},
	} {
		if _, err := httppost.New(c); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// composer makes a message of each delivery.
type composer struct{}

func (composer) Compose(_ context.Context, d reporter.Delivery) (reporter.Message, error) {
	return reporter.Message{Title: d.Subject, HTML: d.Subject, Kind: d.Kind, Subject: d.Subject}, nil
}

func (composer) Minimal(d reporter.Delivery) reporter.Message {
	return reporter.Message{Title: d.Subject, HTML: d.Subject}
}

func (composer) Revise(context.Context, reporter.Delivery) (reporter.Message, error) {
	return reporter.Message{}, reporter.ErrObsolete
}

// With a server that has every fault, a program that drops known ids gets each message once.
func TestOutboxThroughFaults(t *testing.T) {
	t.Parallel()
	// Each fault is followed by answers to the pings and the repeat.
	s := serve(t, status(500), hangUp, status(204), status(503), status(502), status(204), status(429, "Retry-After", "0"), status(503), hangUp)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	log := slog.New(slog.DiscardHandler)
	state, err := store.OpenSQLite(ctx, t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	const deliveries = 8
	for n := range deliveries {
		d := reporter.NewDelivery(reporter.DeliveryPostmortem, fmt.Sprint("INC-", n), "archive", time.Now())
		if _, err := state.Enqueue(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	ch := channel(t, s.URL, func(c *httppost.Config) { c.Now = nil })
	o := outbox.New(state, composer{}, map[string]outbox.Channel{"archive": ch}, outbox.Config{
		BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond, OutageMax: 10 * time.Millisecond, Sweep: 10 * time.Millisecond,
	}, log, prometheus.NewRegistry())
	running, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- o.Run(running) }()
	for sent := 0; sent < deliveries; {
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d were sent", sent, deliveries)
		case <-s.came:
		}
		list, err := state.ListDeliveries(ctx, reporter.DeliveryFilter{State: reporter.DeliverySent, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		if sent = len(list); sent == deliveries-1 { // The last send is stored after its answer.
			pending, _, err := state.Pending(ctx)
			for err == nil && pending["archive"] > 0 && ctx.Err() == nil {
				pending, _, err = state.Pending(ctx)
			}
			sent = deliveries
		}
	}
	end()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	bodies, subjects := map[string]string{}, map[string]bool{}
	repeats := 0
	for _, r := range s.requests() {
		verify(t, r)
		id := r.Get("webhook-id")
		if was, seen := bodies[id]; seen {
			repeats++
			if was != string(r.body) {
				t.Errorf("a repeat of %s has another body", id)
			}
			continue
		}
		bodies[id] = string(r.body)
		var b struct{ Kind, Subject string }
		if err := json.Unmarshal(r.body, &b); err != nil {
			t.Fatal(err)
		}
		if b.Kind == "ping" {
			continue
		}
		if subjects[b.Subject] {
			t.Errorf("%s came under two ids", b.Subject)
		}
		subjects[b.Subject] = true
	}
	if len(subjects) != deliveries || repeats == 0 {
		t.Errorf("%d of %d messages, %d repeats", len(subjects), deliveries, repeats)
	}
}

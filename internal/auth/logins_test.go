package auth_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/awoooi/awoooi-reporter/internal/auth"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func logins() (*auth.Logins, *clock, *strings.Builder, *prometheus.Registry) {
	var logs strings.Builder
	c := &clock{t: time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)}
	reg := prometheus.NewPedanticRegistry()
	return auth.NewLogins(slog.New(slog.NewTextHandler(&logs, nil)), reg, c.now, "pages", "webhook"), c, &logs, reg
}

const (
	alice   = "203.0.113.7:4000"
	bob     = "203.0.113.8:4000"
	plenty  = 50
	allowed = 10 // failures at once
)

// fail sends n wrong logins, and returns how many were compared.
func fail(l *auth.Logins, area string, n int, edits ...func(*http.Request)) (compared int) {
	for i := range n {
		if l.Check(area, guard("", "sre", "pw"), request(append(edits, basic("sre", fmt.Sprint("guess", i)))...)) == auth.Unauthorized {
			compared++
		}
	}
	return compared
}

func TestFailedLoginsAreSlowedDown(t *testing.T) {
	t.Parallel()
	l, c, _, _ := logins()
	g := guard("", "sre", "pw")
	if got := fail(l, "pages", plenty, from(alice)); got != allowed {
		t.Errorf("%d of %d guesses at once were compared, want %d", got, plenty, allowed)
	}
	right := request(from(alice), basic("sre", "pw"))
	if v := l.Check("pages", g, right); v != auth.Throttled {
		t.Errorf("the right guess after too many wrong ones: %v, want it not to be compared", v)
	}
	for name, tc := range map[string]struct {
		area string
		r    *http.Request
	}{
		"another client":                 {"pages", request(from(bob), basic("sre", "pw"))},
		"the same client, another area":  {"webhook", request(from(alice), basic("sre", "pw"))},
		"another client on this machine": {"pages", request(from("127.0.0.1:1"), basic("sre", "pw"))},
	} {
		if v := l.Check(tc.area, g, tc.r); v != auth.Admitted {
			t.Errorf("%s is kept out: %v", name, v)
		}
	}
	c.advance(5 * time.Second)
	if v := l.Check("pages", g, right); v != auth.Admitted {
		t.Errorf("the right login after waiting: %v", v)
	}
	if got := fail(l, "pages", plenty, from(alice)); got != 1 {
		t.Errorf("after 5 s %d guesses were compared, want 1", got)
	}
	c.advance(time.Hour)
	if got := fail(l, "pages", plenty, from(alice)); got != allowed {
		t.Errorf("after an hour %d guesses were compared, want %d", got, allowed)
	}
}

func TestRightLoginsAreNeverSlowedDown(t *testing.T) {
	t.Parallel()
	l, _, _, _ := logins()
	g := guard("tok", "sre", "pw")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if v := l.Check("pages", g, request(from(alice), basic("sre", "pw"))); v != auth.Admitted {
					t.Errorf("refused: %v", v)
				}
			}
		})
	}
	all.Wait()
}

// Parallel requests use the same budget as sequential ones.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	l, _, _, reg := logins()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { fail(l, "pages", 10, from(alice)) })
	}
	all.Wait()
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP awoooi_reporter_failed_logins_total Requests with wrong credentials (refused), and requests not checked because their client had too many of these (throttled).
# TYPE awoooi_reporter_failed_logins_total counter
awoooi_reporter_failed_logins_total{area="pages",result="refused"} 10
awoooi_reporter_failed_logins_total{area="pages",result="throttled"} 190
awoooi_reporter_failed_logins_total{area="webhook",result="refused"} 0
awoooi_reporter_failed_logins_total{area="webhook",result="throttled"} 0
`)); err != nil {
		t.Error(err)
	}
}

func TestWhoIsOneClient(t *testing.T) {
	t.Parallel()
	via := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["X-Forwarded-For"] = values }
	}
	for name, tc := range map[string]struct {
		first, second []func(*http.Request)
		same          bool
	}{
		"another port":                            {edits(from("203.0.113.7:1")), edits(from("203.0.113.7:2")), true},
		"another address":                         {edits(from(alice)), edits(from(bob)), false},
		"another address of one IPv6 network":     {edits(from("[2001:db8::1]:1")), edits(from("[2001:db8::ffff:1]:1")), true},
		"another IPv6 network":                    {edits(from("[2001:db8:0:1::1]:1")), edits(from("[2001:db8:0:2::1]:1")), false},
		"IPv4, also written as IPv6":              {edits(from("203.0.113.7:1")), edits(from("[::ffff:203.0.113.7]:1")), true},
		"behind a proxy here":                     {edits(from("127.0.0.1:1"), via("198.51.100.1")), edits(from("127.0.0.1:2"), via("198.51.100.2")), false},
		"behind a proxy here, forged first entry": {edits(from("127.0.0.1:1"), via("1.1.1.1, 198.51.100.1")), edits(from("127.0.0.1:2"), via("2.2.2.2, 198.51.100.1")), true},
		"behind a proxy here, forged first line":  {edits(from("127.0.0.1:1"), via("1.1.1.1", "198.51.100.1")), edits(from("127.0.0.1:2"), via("2.2.2.2", "198.51.100.1")), true},
		"behind a proxy here, no address":         {edits(from("127.0.0.1:1"), via("x")), edits(from("127.0.0.1:2"), via("y")), true},
		"forged by a client elsewhere":            {edits(from(alice), via("198.51.100.1")), edits(from(alice), via("198.51.100.2")), true},
		"no address at all":                       {edits(from("@")), edits(from("pipe")), true},
	} {
		l, _, _, _ := logins()
		fail(l, "pages", plenty, tc.first...)
		if same := fail(l, "pages", 1, tc.second...) == 0; same != tc.same {
			t.Errorf("%s: one client %v, want %v", name, same, tc.same)
		}
	}
}

func edits(f ...func(*http.Request)) []func(*http.Request) { return f }

func TestFailedLoginsAreLoggedWithoutWhatWasGiven(t *testing.T) {
	t.Parallel()
	l, _, logs, _ := logins()
	g := guard("tok", "sre", "pw")
	l.Check("pages", g, request())
	if logs.Len() > 0 {
		t.Errorf("a request without credentials is logged as a failed login: %s", logs)
	}
	for _, edit := range []func(*http.Request){basic("sre", "gue55"), basic("hunter2", "gue55"), header("Authorization", "Bearer gue55")} {
		l.Check("pages", g, request(from(alice), edit))
	}
	lines := strings.Split(strings.TrimSpace(logs.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("log:\n%s", logs)
	}
	for n, known := range []bool{true, false, false} {
		if !strings.Contains(lines[n], "from=203.0.113.7") || !strings.Contains(lines[n], fmt.Sprint("known_user=", known)) {
			t.Errorf("log line %d: %s", n, lines[n])
		}
	}
	for _, given := range []string{"gue55", "hunter2"} {
		if strings.Contains(logs.String(), given) {
			t.Errorf("the log shows %q:\n%s", given, logs)
		}
	}
	for range plenty { // What is throttled is not logged: the log must not grow with the attack.
		l.Check("pages", g, request(from(alice), basic("sre", "gue55")))
	}
	if got := strings.Count(logs.String(), "\n"); got != allowed {
		t.Errorf("%d lines, want %d", got, allowed)
	}
}

// The memory for failed logins is bounded, from however many addresses they come.
func TestMemoryIsBounded(t *testing.T) {
	l := auth.NewLogins(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), time.Now, "pages")
	g := guard("", "sre", "pw")
	attack := func(from, to int) uint64 {
		for n := from; n < to; n++ {
			r := &http.Request{
				URL: &url.URL{Path: "/"}, RemoteAddr: fmt.Sprintf("[2001:db8:%x:%x::1]:1", n>>16, n&0xffff),
				Header: http.Header{"Authorization": {"Bearer no"}},
			}
			if v := l.Check("pages", g, r); v != auth.Unauthorized {
				t.Fatalf("client %d: %v", n, v)
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := attack(0, 9_000) // both generations are full
	if after := attack(9_000, 30_000); after > before+2<<20 {
		t.Errorf("heap grew from %d to %d bytes", before, after)
	}
}

func TestRequire(t *testing.T) {
	t.Parallel()
	l, _, _, _ := logins()
	g := guard("tok", "", "")
	h := l.Require("pages", func() auth.Guard { return g }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "in") }))
	do := func(edits ...func(*http.Request)) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, request(edits...))
		return rec
	}
	if rec := do(header("Authorization", "Bearer tok")); rec.Code != 200 || rec.Body.String() != "in" {
		t.Errorf("the right token: %d", rec.Code)
	}
	if rec := do(); rec.Code != 401 || len(rec.Header().Values("WWW-Authenticate")) != 2 {
		t.Errorf("without credentials: %d, %v", rec.Code, rec.Header())
	}
	for range allowed {
		do(header("Authorization", "Bearer no"))
	}
	if rec := do(header("Authorization", "Bearer no")); rec.Code != 429 || rec.Header().Get("Retry-After") != "5" || rec.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("after too many: %d, %v", rec.Code, rec.Header())
	}
	g = auth.Guard{}
	if rec := do(header("Authorization", "Bearer no")); rec.Code != 200 {
		t.Errorf("a guard that a reload has opened: %d", rec.Code)
	}
}

// A nil Logins only compares.
func TestNilLoginsCompare(t *testing.T) {
	t.Parallel()
	var l *auth.Logins
	g := guard("tok", "", "")
	for range plenty {
		if v := l.Check("x", g, request(header("Authorization", "Bearer no"))); v != auth.Unauthorized {
			t.Fatalf("wrong token: %v", v)
		}
	}
	if v := l.Check("x", g, request(header("Authorization", "Bearer tok"))); v != auth.Admitted {
		t.Errorf("right token: %v", v)
	}
}

package auth_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/awoooi/awoooi-reporter/internal/auth"
)

func origins(s auth.Site) (*auth.Origins, *strings.Builder, *prometheus.Registry) {
	var logs strings.Builder
	reg := prometheus.NewPedanticRegistry()
	return auth.NewOrigins(s, slog.New(slog.NewTextHandler(&logs, nil)), reg), &logs, reg
}

var served = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func TestWritesOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	const external = "HTTPS://Ops.example:443/awoooi"
	for name, tc := range map[string]struct {
		method string
		host   string
		header []string
		want   int
	}{
		"no browser":                         {"POST", "reporter:9787", nil, 200},
		"own page":                           {"POST", "reporter:9787", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://reporter:9787"}, 200},
		"own page, old browser":              {"POST", "reporter:9787", []string{"Origin", "http://reporter:9787"}, 200},
		"typed address":                      {"POST", "reporter:9787", []string{"Sec-Fetch-Site", "none"}, 200},
		"another site":                       {"POST", "reporter:9787", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		"a sister site":                      {"POST", "reporter:9787", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://evil.reporter"}, 403},
		"another port of this host":          {"POST", "localhost:9787", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:3000"}, 403},
		"another port, old browser":          {"POST", "localhost:9787", []string{"Origin", "http://localhost:3000"}, 403},
		"another site, old browser":          {"PUT", "reporter:9787", []string{"Origin", "http://evil.example"}, 403},
		"a sandboxed frame":                  {"DELETE", "reporter:9787", []string{"Origin", "null"}, 403},
		"a file on the disk":                 {"POST", "127.0.0.1:9787", []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, 403},
		"behind a proxy":                     {"POST", "10.0.0.2:9787", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://ops.example"}, 200},
		"behind a proxy, old browser":        {"POST", "10.0.0.2:9787", []string{"Origin", "https://ops.example"}, 200},
		"behind a proxy, without encryption": {"POST", "10.0.0.2:9787", []string{"Origin", "http://ops.example"}, 403},
		"reading from another site":          {"GET", "reporter:9787", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 200},
	} {
		o, logs, reg := origins(auth.Site{ExternalURL: external})
		r := httptest.NewRequest(tc.method, "/", nil)
		r.Host = tc.host
		for n := 0; n < len(tc.header); n += 2 {
			r.Header.Set(tc.header[n], tc.header[n+1])
		}
		rec := httptest.NewRecorder()
		o.SameOrigin(served).ServeHTTP(rec, r)
		if rec.Code != tc.want {
			t.Errorf("%s: %d, want %d", name, rec.Code, tc.want)
		}
		refused := tc.want == 403
		if refused != strings.Contains(logs.String(), "reason=cross_origin") || refused != strings.Contains(rec.Body.String(), "external_url") {
			t.Errorf("%s: log %q, answer %q", name, logs, rec.Body)
		}
		if n := testutil.ToFloat64(metric(t, reg, "cross_origin")); (n == 1) != refused {
			t.Errorf("%s: counted %v", name, n)
		}
	}
}

// metric returns the counter of a reason.
func metric(t *testing.T, reg *prometheus.Registry, reason string) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"})
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == reason {
				g.Set(m.GetCounter().GetValue())
			}
		}
	}
	return g
}

func TestForeignHostsAreRefused(t *testing.T) {
	t.Parallel()
	site := auth.Site{ExternalURL: "https://ops.example:8443/awoooi", Machine: "Node1.dc.example", AllowedHosts: []string{"Reporter.lan", "192.0.2.5", "2001:db8::5"}}
	for host, own := range map[string]bool{
		"localhost": true, "localhost:9787": true, "LOCALHOST:1": true, "localhost.": true, "127.0.0.1": true, "127.0.0.1:9787": true,
		"127.8.9.1:80": true, "[::1]": true, "[::1]:9787": true, "[::ffff:127.0.0.1]:1": true,
		"node1": true, "node1:9787": true, "node1.dc.example": true, "NODE1.DC.EXAMPLE.:9787": true,
		"ops.example": true, "ops.example:9787": true, "reporter.lan": true, "reporter.lan:1": true, "192.0.2.5:9787": true, "[2001:db8::5]:1": true,
		"":             true, // HTTP/1.0
		"evil.example": false, "evil.example:9787": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "localhost@evil.example": false,
		"node2": false, "dc.example": false, "192.0.2.6": false, "0.0.0.0:9787": false, "[::]:9787": false, "2130706433": false, "xlocalhost": false,
		"sub.ops.example": false, "[::1": false, ":9787": false,
	} {
		o, logs, _ := origins(site)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		open, closed := httptest.NewRecorder(), httptest.NewRecorder()
		o.OwnHost(func(*http.Request) bool { return true }, served).ServeHTTP(open, r)
		o.OwnHost(func(*http.Request) bool { return false }, served).ServeHTTP(closed, r)
		if (open.Code == 200) != own || (!own && open.Code != 421) {
			t.Errorf("%q: %d, own %v", host, open.Code, own)
		}
		if closed.Code != 200 {
			t.Errorf("%q, where something else protects: %d", host, closed.Code)
		}
		if !own && (!strings.Contains(open.Body.String(), "web.allowed_hosts") || !strings.Contains(logs.String(), "reason=host")) {
			t.Errorf("%q: answer %q, log %q", host, open.Body, logs)
		}
	}
}

func TestSiteIsReplaced(t *testing.T) {
	t.Parallel()
	o, _, _ := origins(auth.Site{})
	code := func() int {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Host = "ops.example"
		r.Header.Set("Origin", "https://ops.example")
		rec := httptest.NewRecorder()
		o.SameOrigin(o.OwnHost(func(*http.Request) bool { return true }, served)).ServeHTTP(rec, r)
		return rec.Code
	}
	if got := code(); got != 421 {
		t.Errorf("before: %d", got)
	}
	o.SetSite(auth.Site{ExternalURL: "https://ops.example"})
	if got := code(); got != 200 {
		t.Errorf("after: %d", got)
	}
	o.SetSite(auth.Site{})
	if got := code(); got != 421 {
		t.Errorf("taken back: %d", got)
	}
}

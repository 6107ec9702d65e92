package app

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// ask sends a request to a running program and returns the status. A "Host" header replaces the request's host.
func (r *running) ask(method, path, body string, header ...string) int {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url(path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for n := 0; n < len(header); n += 2 {
		if header[n] == "Host" {
			req.Host = header[n+1]
		}
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A page of another site that is open in a browser on this machine can neither change nor read anything.
func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t, "product: Before\nexternal_url: https://ops.example/awoooi\nweb: {allowed_hosts: [reporter.lan]}\n")
	r.write("product: After\nexternal_url: https://ops.example/awoooi\nweb: {allowed_hosts: [reporter.lan]}\n")
	began := time.Now().Add(-time.Hour)
	firing := webhookBody("g", "FORGED", nil, began, time.Time{})
	const json = "application/json"
	for name, tc := range map[string]struct {
		method, path, body string
		header             []string
		want               int
	}{
		"an alert from another site":               {"POST", webhookPath, firing, []string{"Content-Type", json, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		"an alert from another site, old browser":  {"POST", webhookPath, firing, []string{"Content-Type", json, "Origin", "https://evil.example"}, 403},
		"an alert from another port of this host":  {"POST", webhookPath, firing, []string{"Content-Type", json, "Origin", "http://127.0.0.1:1"}, 403},
		"an alert as a form":                       {"POST", webhookPath, firing, []string{"Content-Type", "text/plain"}, 415},
		"an alert for another name of this host":   {"POST", webhookPath, firing, []string{"Content-Type", json, "Host", "evil.example"}, 421},
		"a reload from another site":               {"POST", "/-/reload", "", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		"a reload by PUT from another site":        {"PUT", "/-/reload", "", []string{"Origin", "null"}, 403},
		"a reload by a link":                       {"GET", "/-/reload", "", []string{"Sec-Fetch-Site", "cross-site"}, 405},
		"a reload for another name of this host":   {"POST", "/-/reload", "", []string{"Host", "evil.example:9787"}, 421},
		"an action from another site":              {"POST", "/deliveries/1/cancel", "", []string{"Origin", "https://evil.example"}, 403},
		"an edit from another site":                {"POST", "/incidents/X/edit", "", []string{"Origin", "https://evil.example"}, 403},
		"an edit without a login":                  {"POST", "/incidents/X/edit", "", []string{"Sec-Fetch-Site", "same-origin"}, 401},
		"the form of an edit without a login":      {"GET", "/incidents/X/edit", "", []string{"Sec-Fetch-Site", "same-origin"}, 401},
		"a retry of all from another site":         {"POST", "/deliveries/retry", "", []string{"Origin", "https://evil.example"}, 403},
		"a retry of all without a login":           {"POST", "/deliveries/retry", "", []string{"Sec-Fetch-Site", "same-origin"}, 401},
		"the API for another name of this host":    {"GET", "/api/v1/incidents", "", []string{"Host", "evil.example"}, 421},
		"the API by localhost":                     {"GET", "/api/v1/incidents", "", []string{"Host", "localhost:9787"}, 200},
		"pages for another name of this host":      {"GET", "/incidents", "", []string{"Host", "evil.example"}, 421},
		"metrics for another name of this host":    {"GET", "/metrics", "", []string{"Host", "evil.example"}, 421},
		"readiness for another name of this host":  {"GET", "/-/ready", "", []string{"Host", "evil.example"}, 421},
		"an unknown path for another name":         {"GET", "/-/nothing", "", []string{"Host", "evil.example"}, 421},
		"pages by localhost":                       {"GET", "/incidents", "", []string{"Host", "localhost:9787"}, 200},
		"pages by the name of external_url":        {"GET", "/incidents", "", []string{"Host", "ops.example"}, 200},
		"pages by an allowed name":                 {"GET", "/incidents", "", []string{"Host", "reporter.lan:80"}, 200},
		"pages through a link on another site":     {"GET", "/incidents", "", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		"an action through the proxy, no login":    {"POST", "/deliveries/1/cancel", "", []string{"Origin", "https://ops.example", "Sec-Fetch-Site", "same-origin"}, 401},
		"an unknown path below /-/":                {"GET", "/-/nothing", "", nil, 404},
		"health by a method that it does not have": {"POST", "/-/healthy", "", nil, 405},
	} {
		if got := r.ask(tc.method, tc.path, tc.body, tc.header...); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	if _, page := r.get("/incidents"); strings.Contains(page, "FORGED") {
		t.Error("an alert was forged")
	}
	if _, page := r.get("/reports/daily"); strings.Contains(page, "After") {
		t.Error("the configuration was reloaded")
	}
	_, metrics := r.get("/metrics")
	for _, want := range []string{
		`awoooi_reporter_requests_refused_total{reason="cross_origin"} 8`, `awoooi_reporter_requests_refused_total{reason="host"} 7`,
		`awoooi_reporter_webhooks_total{code="415"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics does not say %s", want)
		}
	}
	if code := r.ask("POST", webhookPath, firing, "Content-Type", "application/json; charset=utf-8"); code != 200 {
		t.Errorf("Alertmanager's webhook: %d", code)
	}
	if code := r.ask("PUT", "/-/reload", ""); code != 200 {
		t.Errorf("curl -X PUT /-/reload: %d", code)
	}
}

// If credentials protect the pages, requests for any host name are answered: a browser first sends one without credentials.
func TestAnyHostIsServedWithCredentials(t *testing.T) {
	t.Parallel()
	now := time.Now() // The budget of failed logins must not refill on a slow machine.
	r := startIn(t, t.TempDir(), "web: {username: sre, password: test}\nwebhook: {bearer_token: test}\n", Options{Role: RoleAll, Now: func() time.Time { return now }})
	// The webhook of a cluster with a token of its own is protected too; those without one are not.
	clusters := start(t, "alertmanagers: [{name: eu, bearer_token: test}, {name: us}]\n")
	for path, want := range map[string]int{"/api/v1/alertmanager/eu/webhook": 405, "/api/v1/alertmanager/us/webhook": 421, webhookPath: 421} {
		if got := clusters.ask("GET", path, "", "Host", "alias.example"); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	for name, tc := range map[string]struct {
		path   string
		header []string
		want   int
	}{
		"pages, first request":   {"/", nil, 401},
		"pages, with a login":    {"/", []string{"Authorization", "Basic c3JlOnRlc3Q="}, 200},
		"webhook, without token": {webhookPath, []string{"Content-Type", "application/json"}, 405},
		"metrics":                {"/metrics", nil, 421},
	} {
		if got := r.ask("GET", tc.path, "", append(tc.header, "Host", "alias.example")...); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	for range 12 {
		r.ask("GET", "/", "", "Authorization", "Basic c3JlOmd1ZXNz")
	}
	if got := r.ask("GET", "/", "", "Authorization", "Basic c3JlOmd1ZXNz"); got != 429 {
		t.Errorf("after many failed logins: %d", got)
	}
	if got := r.ask("GET", "/", "", "Authorization", "Basic c3JlOnRlc3Q=", "X-Forwarded-For", "203.0.113.7"); got != 200 {
		t.Errorf("somebody else behind the same proxy: %d", got)
	}
	if got := r.ask("POST", webhookPath, `{"version": "4", "groupKey": "g", "alerts": []}`, "Authorization", "Bearer test", "Content-Type", "application/json"); got != 200 {
		t.Errorf("a webhook from the same address: %d", got)
	}
	if _, metrics := r.get("/metrics"); !strings.Contains(metrics, `awoooi_reporter_failed_logins_total{area="pages",result="refused"} 10`) {
		t.Error("/metrics does not count the failed logins")
	}
	if !strings.Contains(r.logs.String(), `msg="login failed" area=pages from=127.0.0.1`) || strings.Contains(r.logs.String(), "guess") {
		t.Error("the log does not show the failed logins as it should")
	}
}

// Without configured credentials the log shows the generated ones for actions, and how to set others.
func TestGeneratedCredentials(t *testing.T) {
	t.Parallel()
	r := start(t, "{}")
	m := regexp.MustCompile(`set web\.username and web\.password_file.* username=(\w+) password=(\w{20,})`).FindStringSubmatch(r.logs.String())
	if m == nil {
		t.Fatalf("the log shows no credentials:\n%s", r.logs.String())
	}
	d := reporter.NewDelivery(reporter.DeliveryPostmortem, "x", "former", time.Now())
	if _, err := r.store.Enqueue(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	act := func(name, password string) int {
		req, err := http.NewRequest(http.MethodPost, r.url("/deliveries/1/cancel"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(name, password)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if code := act(m[1], m[2]+"x"); code != 401 {
		t.Errorf("a wrong password: %d", code)
	}
	if code := act(m[1], m[2]); code != 303 {
		t.Errorf("the generated password: %d", code)
	}
	// A configured user replaces them.
	r.write("web: {username: sre, password: test}\n")
	if code := reload(t, r); code != 200 {
		t.Fatalf("reload: %d", code)
	}
	if code := act(m[1], m[2]); code != 401 {
		t.Errorf("the generated password beside a configured user: %d", code)
	}
	if other := start(t, "{}"); strings.Contains(other.logs.String(), m[2]) {
		t.Error("two starts generate the same password")
	}
	if c := start(t, "web: {username: sre, password: test}\n"); strings.Contains(c.logs.String(), "no credentials are configured") {
		t.Error("credentials are generated beside configured ones")
	}
}

// Profiles are served if they are enabled, and only with the credentials of the pages.
func TestProfiles(t *testing.T) {
	t.Parallel()
	const users = "web: {username: sre, password: test%s}\n"
	login := []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("sre:test"))}
	for name, tc := range map[string]struct {
		pprof, path string
		header      []string
		role        string
		want        int
	}{
		"off":                   {"", "/debug/pprof/heap", login, RoleAll, 404},
		"without a login":       {", pprof: true", "/debug/pprof/heap", nil, RoleAll, 401},
		"with a login":          {", pprof: true", "/debug/pprof/heap", login, RoleAll, 200},
		"the list":              {", pprof: true", "/debug/pprof/", login, RoleAll, 200},
		"a trace":               {", pprof: true", "/debug/pprof/trace?seconds=0.01", login, RoleAll, 200},
		"of a collector, login": {", pprof: true", "/debug/pprof/goroutine", login, RoleCollector, 200},
		"of a collector":        {", pprof: true", "/debug/pprof/goroutine", nil, RoleCollector, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startIn(t, t.TempDir(), fmt.Sprintf(users, tc.pprof), Options{Role: tc.role})
			if got := r.ask("GET", tc.path, "", tc.header...); got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}
}

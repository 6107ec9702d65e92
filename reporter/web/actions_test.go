package web_test

import (
	"errors"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func attachment(t *testing.T, header string) string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(header)
	if err != nil || kind != "attachment" {
		t.Errorf("Content-Disposition: %q: %v", header, err)
	}
	return params["filename"]
}

// A stranger, another site's page and a page that reached this machine by a trick change nothing.
func TestWhoMayAct(t *testing.T) {
	t.Parallel()
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for n := 0; n < len(pairs); n += 2 {
				r.Header.Set(pairs[n], pairs[n+1])
			}
		}
	}
	at := func(remote, host string, more ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			r.RemoteAddr, r.Host = remote, host
			for _, f := range more {
				f(r)
			}
		}
	}
	const away, here = "203.0.113.7:4000", "127.0.0.1:4000"
	for name, tc := range map[string]struct {
		protected bool
		external  string
		edit      func(*http.Request)
		want      int
	}{
		"logged in":                              {true, "", at(away, "reporter:9787"), 303},
		"logged in, from our page":               {true, "", at(away, "reporter:9787", header("Sec-Fetch-Site", "same-origin", "Origin", "http://reporter:9787")), 303},
		"logged in, from our page on plain HTTP": {true, "", at(away, "reporter:9787", header("Origin", "http://reporter:9787")), 303},
		"logged in, from another site":           {true, "", at(away, "reporter:9787", header("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")), 403},
		"logged in, from a sister site":          {true, "", at(away, "reporter:9787", header("Sec-Fetch-Site", "same-site", "Origin", "http://evil.reporter")), 403},
		"logged in, from another, plain HTTP":    {true, "", at(away, "reporter:9787", header("Origin", "http://evil.example")), 403},
		"logged in, from nowhere":                {true, "", at(away, "reporter:9787", header("Origin", "null")), 403},
		"logged in, behind a proxy":              {true, "https://ops.example/awoooi", at(away, "10.0.0.2:9787", header("Origin", "https://ops.example")), 303},
		"logged in, behind an unknown proxy":     {true, "", at(away, "10.0.0.2:9787", header("Origin", "https://ops.example")), 403},
		"a stranger":                             {false, "", at(away, "reporter:9787"), 403},
		"a stranger who names this machine":      {false, "", at(away, "127.0.0.1:9787"), 403},
		"on this machine":                        {false, "", at(here, "127.0.0.1:9787", header("Sec-Fetch-Site", "same-origin")), 303},
		"on this machine, by name":               {false, "", at(here, "localhost:9787"), 303},
		"on this machine, without a port":        {false, "", at(here, "localhost"), 303},
		"on this machine, IPv6":                  {false, "", at("[::1]:4000", "[::1]:9787"), 303},
		"on this machine, from another site":     {false, "", at(here, "127.0.0.1:9787", header("Origin", "https://evil.example")), 403},
		"on this machine, by a name of others":   {false, "", at(here, "evil.example:9787", header("Origin", "http://evil.example:9787")), 403},
		"through a proxy on this machine":        {false, "", at(here, "127.0.0.1:9787", header("X-Forwarded-For", "203.0.113.7")), 403},
		"from an address that is none":           {false, "", at("@", "localhost"), 403},
	} {
		did := []string{}
		w := world{protected: tc.protected, external: tc.external, did: &did, listed: []reporter.Delivery{{ID: 7, State: reporter.DeliveryPending}}}
		h, _ := pages(w, w)
		for _, action := range []string{"retry", "cancel"} {
			did = did[:0]
			r := httptest.NewRequest(http.MethodPost, "/deliveries/7/"+action, nil)
			tc.edit(r)
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if rec.Code != tc.want || (len(did) == 1) != (tc.want == 303) {
				t.Errorf("%s: %s: %d, want %d; did %v", name, action, rec.Code, tc.want, did)
			}
			if tc.want == 403 && !strings.Contains(rec.Body.String(), "external_url") && !strings.Contains(rec.Body.String(), "web.username") {
				t.Errorf("%s: the refusal gives no reason: %s", name, content(rec.Body.String()))
			}
		}
		// The page shows buttons to those only who may use them.
		r := httptest.NewRequest(http.MethodGet, "/deliveries", nil)
		tc.edit(r)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		buttons, page := strings.Contains(rec.Body.String(), "<button class=\"danger\""), rec.Body.String()
		switch {
		case tc.protected != (buttons && !strings.Contains(page, "No login is configured")) && tc.protected:
			t.Errorf("%s: the page shows no buttons to who is logged in", name)
		case !tc.protected && buttons && !strings.Contains(page, "No login is configured"):
			t.Errorf("%s: the page does not say that anyone on this machine may act", name)
		case !tc.protected && !buttons && !strings.Contains(page, "need a login"):
			t.Errorf("%s: the page does not say why there are no buttons", name)
		}
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	listed := []reporter.Delivery{
		{ID: 1, State: reporter.DeliveryPending}, {ID: 2, State: reporter.DeliverySent}, {ID: 3, State: reporter.DeliveryGivenUp}, {ID: 4, State: reporter.DeliveryCancelled},
	}
	no := errors.New("delivery is not so at /secret")
	for name, tc := range map[string]struct {
		path, back string
		refusal    error
		code       int
		to, did    string
	}{
		"retry":                       {"/deliveries/3/retry", "/deliveries?state=given_up", nil, 303, "/deliveries?delivery=3&done=retry&state=given_up#d3", "retry 3 true"},
		"cancel":                      {"/deliveries/1/cancel", "/incidents/a%2Fb?alerts=2", nil, 303, "/incidents/a%2Fb?alerts=2&delivery=1&done=cancel#d1", "cancel 1 true"},
		"back to nowhere":             {"/deliveries/1/retry", "", nil, 303, "/deliveries?delivery=1&done=retry#d1", "retry 1 true"},
		"back to another site":        {"/deliveries/1/retry", "https://evil.example/", nil, 303, "/deliveries?delivery=1&done=retry#d1", "retry 1 true"},
		"back to one by two slashes":  {"/deliveries/1/retry", "//evil.example/", nil, 303, "/deliveries?delivery=1&done=retry#d1", "retry 1 true"},
		"back to one by a backslash":  {"/deliveries/1/retry", `/\evil.example/`, nil, 303, "/deliveries?delivery=1&done=retry#d1", "retry 1 true"},
		"back to one by three":        {"/deliveries/1/retry", "///evil.example/", nil, 303, "/deliveries?delivery=1&done=retry#d1", "retry 1 true"},
		"retry of what is sent":       {"/deliveries/2/retry", "", no, 409, "", "retry 2 true"},
		"cancel of what is given up":  {"/deliveries/3/cancel", "", no, 409, "", "cancel 3 true"},
		"cancel of what is cancelled": {"/deliveries/4/cancel", "", no, 409, "", "cancel 4 true"},
		"trouble":                     {"/deliveries/1/cancel", "", no, 500, "", "cancel 1 true"},
		"of nothing":                  {"/deliveries/9/retry", "", nil, 404, "", ""},
		"of no number":                {"/deliveries/x/retry", "", nil, 404, "", ""},
		"another action":              {"/deliveries/1/explode", "", nil, 404, "", ""},
	} {
		did := []string{}
		w := world{protected: true, did: &did, refusal: tc.refusal, listed: listed}
		h, logs := pages(w, w)
		r := httptest.NewRequest(http.MethodPost, tc.path, strings.NewReader(url.Values{"back": {tc.back}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("sre", "secret")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != tc.code || rec.Header().Get("Location") != tc.to || strings.Join(did, ",") != tc.did {
			t.Errorf("%s: %d to %q, did %v", name, rec.Code, rec.Header().Get("Location"), did)
		}
		if strings.Contains(rec.Body.String(), "/secret") {
			t.Errorf("%s: the page shows the trouble: %s", name, rec.Body)
		}
		if tc.code == 303 && (!strings.Contains(logs.String(), "by hand") || !strings.Contains(logs.String(), "user=sre")) {
			t.Errorf("%s: the log does not say who did it: %s", name, logs)
		}
	}
}

func TestButtonsFitTheState(t *testing.T) {
	t.Parallel()
	for state, want := range map[reporter.DeliveryState][]string{
		reporter.DeliveryPending: {"retry", "cancel"}, reporter.DeliverySent: nil, reporter.DeliveryGivenUp: {"retry"}, reporter.DeliveryCancelled: {"retry"},
	} {
		body := serve(world{protected: true, listed: []reporter.Delivery{{ID: 1, State: state, NextAttempt: day}}}, "/deliveries?receiver=x").Body.String()
		var got []string
		for _, action := range []string{"retry", "cancel"} {
			if strings.Contains(body, `action="/deliveries/1/`+action) {
				got = append(got, action)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: buttons %v, want %v", state, got, want)
		}
		if len(want) > 0 && !strings.Contains(body, `value="/deliveries?receiver=x"`) {
			t.Errorf("%s: the button does not lead back to the list", state)
		}
	}
}

package web_test

import (
	"errors"
	"maps"
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

// Actions need credentials, whoever may read the pages and wherever a request comes from.
func TestActionsNeedCredentials(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*http.Request){
		"elsewhere":                       func(r *http.Request) { r.RemoteAddr = "203.0.113.7:4000" },
		"on this machine":                 func(r *http.Request) { r.RemoteAddr, r.Host = "127.0.0.1:4000", "localhost:9787" },
		"on this machine, IPv6":           func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:4000", "[::1]:9787" },
		"for this machine, says a header": func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") },
	} {
		for _, protected := range []bool{false, true} {
			did := []string{}
			w := world{protected: protected, did: &did, listed: []reporter.Delivery{{ID: 7, State: reporter.DeliveryPending}}}
			h, _ := pages(w, w)
			for _, action := range []string{"retry", "cancel"} {
				r := httptest.NewRequest(http.MethodPost, "/deliveries/7/"+action, nil)
				edit(r)
				without, with := httptest.NewRecorder(), httptest.NewRecorder()
				h.ServeHTTP(without, r)
				if without.Code != 401 || len(did) != 0 {
					t.Errorf("%s: %s without credentials: %d, did %v", name, action, without.Code, did)
				}
				r.SetBasicAuth("sre", "secret")
				h.ServeHTTP(with, r)
				if with.Code != 303 || len(did) != 1 {
					t.Errorf("%s: %s with credentials: %d, did %v", name, action, with.Code, did)
				}
				did = did[:0]
			}
			page := httptest.NewRecorder()
			h.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/deliveries", nil))
			if !strings.Contains(page.Body.String(), `<button class="danger"`) {
				t.Errorf("%s: the page has no buttons", name)
			}
			if asks := strings.Contains(page.Body.String(), "ask for a user and a password"); asks == protected {
				t.Errorf("%s: the page says that actions ask for credentials: %v, want %v", name, asks, !protected)
			}
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
		buttons := func(path string) (got []string) {
			body := serve(world{protected: true, listed: []reporter.Delivery{{ID: 1, State: state, NextAttempt: day}}}, path).Body.String()
			for _, action := range []string{"retry", "cancel"} {
				if strings.Contains(body, `action="/deliveries/1/`+action) {
					got = append(got, action)
				}
			}
			return got
		}
		if got := buttons("/deliveries/1"); !slices.Equal(got, want) {
			t.Errorf("%s: buttons of its page %v, want %v", state, got, want)
		}
		// A list offers retries by cause only.
		want = slices.DeleteFunc(want, func(action string) bool { return action == "retry" })
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

// A retry of all with the same cause needs credentials too, and goes by what the form says.
func TestRetryOfACause(t *testing.T) {
	t.Parallel()
	did := []string{}
	w := world{did: &did}
	h, logs := pages(w, w)
	post := func(form url.Values, user string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/deliveries/retry", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if user != "" {
			r.SetBasicAuth(user, "x")
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	form := url.Values{"receiver": {"on call"}, "state": {"given_up"}, "reason": {"not_answered"}, "latest": {"77"}}
	if rec := post(form, ""); rec.Code != 401 || len(did) != 0 {
		t.Errorf("without credentials: %d, did %v", rec.Code, did)
	}
	rec := post(form, "sre")
	if rec.Code != 303 || rec.Header().Get("Location") != "/deliveries?count=12&done=retry_all&receiver=on+call" ||
		!slices.Equal(did, []string{"retry on call given_up not_answered 77 true"}) || !strings.Contains(logs.String(), "user=sre") {
		t.Errorf("%d to %s, did %q, log %s", rec.Code, rec.Header().Get("Location"), did, logs)
	}
	for name, value := range map[string]string{"latest": "x", "receiver": "\x00"} {
		wrong := maps.Clone(form)
		wrong[name] = []string{value}
		if rec := post(wrong, "sre"); rec.Code != 400 || len(did) != 1 {
			t.Errorf("%s %q: %d, did %v", name, value, rec.Code, did)
		}
	}
}

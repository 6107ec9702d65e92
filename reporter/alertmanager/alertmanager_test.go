package alertmanager_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter/alertmanager"
)

// member answers like one Alertmanager: status and alerts are bodies, "" is a 500.
func member(t *testing.T, status, alerts string) alertmanager.Config {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := alerts
		if strings.HasSuffix(r.URL.Path, "/api/v2/status") {
			body = status
		}
		w.Header().Set("Content-Type", "application/json")
		if body == "" {
			w.WriteHeader(http.StatusInternalServerError)
			body = `"out of order"`
		}
		w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return alertmanager.Config{URL: s.URL + "/am/", Client: s.Client()}
}

const (
	status = `{"uptime": "2026-04-22T08:00:00.000Z", "cluster": {"status": "ready"}, "config": {"original": ""}, "versionInfo": {}}`
	later  = `{"uptime": "2026-04-22T09:00:00.000Z", "cluster": {"status": "ready"}, "config": {"original": ""}, "versionInfo": {}}`
)

func TestKnownJoinsTheMembers(t *testing.T) {
	t.Parallel()
	api, err := alertmanager.New(
		member(t, status, `[{"fingerprint": "a"}, {"fingerprint": "b"}]`), member(t, later, `[{"fingerprint": "b"}, {"fingerprint": "c"}]`))
	if err != nil {
		t.Fatal(err)
	}
	known, since, err := api.Known(t.Context())
	if err != nil || known.Len() != 3 || !known.Has("a") || !known.Has("b") || !known.Has("c") {
		t.Errorf("known %v, %v", known, err)
	}
	if want := time.Date(2026, 4, 22, 8, 0, 0, 0, time.UTC); !since.Equal(want) {
		t.Errorf("since %v, want the start of the member that started first, %v", since, want)
	}
}

func TestOneValidAnswerIsEnough(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ status, alerts string }{
		"status is an error":        {"", `[]`},
		"alerts are an error":       {status, ""},
		"status of another program": {`{}`, `[]`},
		"status is null":            {`null`, `[]`},
		"alert without fingerprint": {status, `[{"labels": {}}]`},
		"alert is null":             {status, `[null]`},
		"alerts are not JSON":       {status, `<html>`},
		"alerts are nothing":        {status, ` `},
		"alerts are null":           {status, `null`},
		"alerts are cut off":        {status, `[{"fingerprint": "b"}`},
		"alerts are an object":      {status, `{"fingerprint": "b"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := member(t, tc.status, tc.alerts)
			both, err := alertmanager.New(bad, member(t, later, `[{"fingerprint": "a"}]`))
			if err != nil {
				t.Fatal(err)
			}
			if known, since, err := both.Known(t.Context()); err != nil || known.Len() != 1 || !known.Has("a") || since.Hour() != 9 {
				t.Errorf("known %v since %v, %v; want those of the other member", known, since, err)
			}
			alone, err := alertmanager.New(bad, bad)
			if err != nil {
				t.Fatal(err)
			}
			if known, _, err := alone.Known(t.Context()); err == nil || known != nil {
				t.Errorf("known %v, %v; want an error", known, err)
			}
		})
	}
}

func TestListedAsksForTheGroup(t *testing.T) {
	t.Parallel()
	asked := make(chan url.Values, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query()
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`[{"fingerprint": "a"}, {"fingerprint": "b"}]`))
	}))
	t.Cleanup(s.Close)
	api, err := alertmanager.New(alertmanager.Config{URL: s.URL, Client: s.Client()}, member(t, status, ""))
	if err != nil {
		t.Fatal(err)
	}
	n, err := api.Listed(t.Context(), `a\.b`, map[string]string{"x": `"y`, "a": "b"})
	if err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	got := <-asked
	if got.Get("receiver") != `a\.b` || !slices.Equal(got["filter"], []string{`a="b"`, `x="\"y"`}) {
		t.Errorf("asked %q", got)
	}
	if api, err = alertmanager.New(member(t, status, "")); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Listed(t.Context(), "r", nil); err == nil {
		t.Error("no answer is no error")
	}
}

func TestNewRefusesAURLWithoutHost(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "alertmanager:9093", "/api", "http://", ":x"} {
		if _, err := alertmanager.New(alertmanager.Config{URL: url, Client: &http.Client{}}); err == nil {
			t.Errorf("%q was accepted", url)
		}
	}
}

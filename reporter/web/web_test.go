package web_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/web"
)

var day = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)

type world struct{ err error }

func (w world) Incidents(context.Context, int) ([]reporter.Incident, error) {
	return []reporter.Incident{incident("<b>X</b>/1")}, w.err
}

func (w world) Incident(_ context.Context, id string) (reporter.Incident, error) {
	if id == "gone" {
		return reporter.Incident{}, reporter.ErrNotFound
	}
	return incident(id), w.err
}

func (w world) Deliveries(context.Context, int) ([]reporter.Delivery, error) {
	return []reporter.Delivery{{ID: 7, Kind: reporter.DeliveryReport, Subject: "daily", State: reporter.DeliveryGivenUp, LastError: "<i>401</i>"}}, w.err
}

func (w world) Report(_ context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error) {
	if name != "daily" {
		return reporter.Report{}, reporter.Message{}, reporter.ErrNotFound
	}
	rep := reporter.Report{Name: name, Due: at, Figures: map[string]reporter.Figure{
		"alerts": {Name: "alerts", Samples: []reporter.Sample{{Value: 1}}},
		"lost":   reporter.NoData("lost", "sum(x < 1)", at, "no sample"),
	}}
	return rep, reporter.Message{Title: "Daily", HTML: "<b>ok</b> &lt;3"}, w.err
}

func (w world) Postmortem(_ context.Context, in reporter.Incident) (reporter.Message, error) {
	return reporter.Message{Title: in.ID, HTML: "<b>story</b>"}, w.err
}

func (world) Reports() []string { return []string{"daily"} }

func incident(id string) reporter.Incident {
	return reporter.Incident{
		ID: id, State: reporter.IncidentResolved, StartedAt: day, EndedAt: day.Add(10 * time.Minute), Sample: true,
		Alerts: []reporter.Alert{{Fingerprint: "f", StartsAt: day, Firing: true, Labels: map[string]string{"x": "<script>"}}},
	}
}

func serve(w world, path string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	zone := time.FixedZone("Asia/Taipei", 8*60*60)
	web.New(w, w, func() *time.Location { return zone }, slog.New(slog.NewTextHandler(io.Discard, nil)), func() time.Time { return day }).Register(mux)
	web.RegisterHealth(mux, web.Check{Name: "state", Err: func(context.Context) error { return w.err }})
	r := httptest.NewRecorder()
	web.SecureHeaders(mux).ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
	return r
}

func TestPages(t *testing.T) {
	t.Parallel()
	for path, tc := range map[string]struct {
		code int
		says []string
		not  string
	}{
		"/reports/daily":                         {200, []string{"<b>ok</b> &lt;3", "sum(x &lt; 1)", "no sample", "2026-04-22 08:00:00"}, "<td>alerts</td>"},
		"/reports/daily?at=2026-04-01T08:00:00Z": {200, []string{"2026-04-01 16:00:00"}, ""},
		"/reports/daily?at=noon":                 {400, []string{"want a time"}, ""},
		"/reports/x":                             {404, []string{"not found"}, ""},
		"/incidents":                             {200, []string{"&lt;b&gt;X&lt;/b&gt;/1", "/incidents/%3cb%3eX%3c/b%3e/1", "10m0s", "sample"}, "<b>X"},
		"/incidents/A":                           {200, []string{"<b>story</b>", "x=&lt;script&gt;", "firing"}, "<script>"},
		"/incidents/gone":                        {404, []string{"not found"}, ""},
		"/deliveries":                            {200, []string{"given_up", "&lt;i&gt;401"}, "<i>401"},
		"/-/healthy":                             {200, []string{"healthy"}, ""},
		"/-/ready":                               {200, []string{"ready"}, ""},
	} {
		r := serve(world{}, path)
		body := r.Body.String()
		if r.Code != tc.code {
			t.Errorf("%s: %d, want %d", path, r.Code, tc.code)
		}
		for _, want := range tc.says {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not say %q:\n%s", path, want, body)
			}
		}
		if tc.not != "" && strings.Contains(body, tc.not) {
			t.Errorf("%s says %q", path, tc.not)
		}
		if !strings.Contains(r.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: no content security policy", path)
		}
	}
}

func TestTroubleIsNotShownToStrangers(t *testing.T) {
	t.Parallel()
	w := world{err: errors.New("disk at /secret")}
	for _, path := range []string{"/reports/daily", "/incidents", "/incidents/A", "/deliveries"} {
		if r := serve(w, path); r.Code != 500 || strings.Contains(r.Body.String(), "/secret") {
			t.Errorf("%s: %d %s", path, r.Code, r.Body)
		}
	}
	if r := serve(w, "/-/ready"); r.Code != 503 || !strings.Contains(r.Body.String(), "state: ") {
		t.Errorf("/-/ready: %d %s", r.Code, r.Body)
	}
	if r := serve(w, "/-/healthy"); r.Code != 200 {
		t.Errorf("/-/healthy: %d", r.Code)
	}
}

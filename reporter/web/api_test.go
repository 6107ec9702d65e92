package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// answer is what a list answers.
type answer struct {
	Incidents  []map[string]any `json:"incidents"`
	Reports    []map[string]any `json:"reports"`
	Deliveries []map[string]any `json:"deliveries"`
	Next       *string          `json:"next"`
	Error      string           `json:"error"`
}

func ask(t *testing.T, w world, path string) (code int, a answer) {
	t.Helper()
	r := serve(w, path)
	if err := json.Unmarshal(r.Body.Bytes(), &a); err != nil || r.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %v %s: %s", path, err, r.Header().Get("Content-Type"), r.Body)
	}
	return r.Code, a
}

func TestAPI(t *testing.T) {
	t.Parallel()
	open := resolved("a/b")
	open.State, open.EndedAt, open.CloseReason, open.Route, open.Cluster = reporter.IncidentOpen, time.Time{}, "", "dba", "tpe-2"
	over := resolved("<X>")
	over.Cluster, over.Receiver = "default", "awoooi"
	w := world{
		external:  "https://reporter.example.org/",
		incidents: []reporter.IncidentRow{row(open, 3), row(over, 1)},
		entries:   &[]reporter.Entry{{ID: 1, Incident: "<X>", Kind: reporter.EntryCause, Text: "the <disk>", Author: "sre", WrittenAt: day}},
		listed: []reporter.Delivery{{
			ID: 7, Kind: reporter.DeliveryReport, Subject: "daily@2026-04-22T00:00:00Z", Receiver: "oncall", State: reporter.DeliveryPending,
			Reason: reporter.ReasonWait, LastError: "429", Attempts: 2, CreatedAt: day, NextAttempt: day.Add(time.Minute),
		}, sent(5, "daily@2026-04-21T00:00:00Z", "x")},
		past: []reporter.Delivery{sent(5, "daily@2026-04-21T00:00:00Z", "<b>a</b> &lt;"), sent(3, "daily@2026-04-20T00:00:00Z", "old")},
	}
	for path, want := range map[string]string{
		"/api/v1/incidents": `{"incidents": [
{"id":"a/b","title":"db-3 \u003cfull\u003e","severity":"critical","team":"dba","state":"open","cluster":"tpe-2","route":"dba","receiver":"","group_labels":{"cluster":"\u003cprod\u003e"},"started_at":"2026-04-22T00:00:00Z","ended_at":null,"duration_seconds":null,"close_reason":"","alerts":3,"sample":true,"url":"https://reporter.example.org/incidents/a%2Fb"},
{"id":"\u003cX\u003e","title":"db-3 \u003cfull\u003e","severity":"critical","team":"dba","state":"resolved","cluster":"default","route":"","receiver":"awoooi","group_labels":{"cluster":"\u003cprod\u003e"},"started_at":"2026-04-22T00:00:00Z","ended_at":"2026-04-22T00:10:00Z","duration_seconds":600,"close_reason":"reconciled","alerts":1,"sample":true,"url":"https://reporter.example.org/incidents/%3CX%3E","written":{"cause":{"text":"the \u003cdisk\u003e","author":"sre","written_at":"2026-04-22T00:00:00Z"}}}
], "next": null}
`,
		"/api/v1/deliveries": `{"deliveries": [
{"id":7,"kind":"report","subject":"daily@2026-04-22T00:00:00Z","receiver":"oncall","state":"pending","parts":0,"parts_sent":0,"attempts":2,"reason":"wait","error":"429","created_at":"2026-04-22T00:00:00Z","next_attempt_at":"2026-04-22T00:01:00Z","finished_at":null},
{"id":5,"kind":"report","subject":"daily@2026-04-21T00:00:00Z","receiver":"oncall","state":"sent","title":"Daily","parts":1,"parts_sent":1,"attempts":0,"reason":"","error":"","created_at":"2026-04-22T00:00:00Z","next_attempt_at":null,"finished_at":"2026-04-22T00:00:00Z"}
], "next": null}
`,
		"/api/v1/reports?limit=1": `{"reports": [
{"name":"daily","due":"2026-04-21T00:00:00Z","title":"Daily","text":"a \u003c","markdown":"**a** \\\u003c\n","url":"https://reporter.example.org/reports/daily?at=2026-04-21T08%3A00%3A00%2B08%3A00","deliveries":[{"id":5,"kind":"report","subject":"daily@2026-04-21T00:00:00Z","receiver":"oncall","state":"sent","title":"Daily","parts":1,"parts_sent":1,"attempts":0,"reason":"","error":"","created_at":"2026-04-22T00:00:00Z","next_attempt_at":null,"finished_at":"2026-04-22T00:00:00Z"}]}
], "next": "daily@2026-04-21T00:00:00Z"}
`,
	} {
		if diff := cmp.Diff(want, serve(w, path).Body.String()); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	for path, want := range map[string]string{
		"/api/v1/incidents?limit=0":      "limit: want a number",
		"/api/v1/incidents?limit=100001": "limit: want a number",
		"/api/v1/incidents?state=x":      "state: unknown value",
		"/api/v1/incidents?from=x":       "from: want a date",
		"/api/v1/incidents?after=x":      "after: want the value of next",
		"/api/v1/deliveries?state=x":     "state: unknown value",
		"/api/v1/deliveries?kind=x":      "kind: unknown value",
		"/api/v1/deliveries?after=x":     "after: want the value of next",
		"/api/v1/deliveries?subject=%00": "not valid",
		"/api/v1/reports?after=x":        "after: want the value of next",
		"/api/v1/reports?to=x":           "to: want a date",
		"/api/v1/incidents?sevrity=x":    `unknown parameter "sevrity" (have state, severity, team, cluster, from, to, q, limit, after)`,
		"/api/v1/reports?state=sent":     `unknown parameter "state" (have name, from, to, limit, after)`,
		"/api/v1/deliveries?q=x&state=x": `unknown parameter "q"`,
		"/api/v1/incidents?q=a&q=b":      "q: is given 2 times",
		"/api/v1/incidents?q=%zz":        "parameters cannot be read",
	} {
		if code, a := ask(t, w, path); code != 400 || !strings.Contains(a.Error, want) {
			t.Errorf("%s: %d %q, want %q", path, code, a.Error, want)
		}
	}
	w.err = errors.New("disk at /secret")
	for _, path := range []string{"/api/v1/incidents", "/api/v1/deliveries", "/api/v1/reports"} {
		if code, a := ask(t, w, path); code != 500 || strings.Contains(a.Error, "/secret") {
			t.Errorf("%s in trouble: %d %q", path, code, a.Error)
		}
	}
}

// With any limit, the answers together have every item once, in the same order.
func TestAPIOfNoSuchPath(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/api/", "/api/v1/incident", "/api/v1/incidents/", "/api/v2/incidents"} {
		if code, a := ask(t, world{}, path); code != 404 || !strings.Contains(a.Error, "have /api/v1/incidents, ") {
			t.Errorf("%s: %d %q", path, code, a.Error)
		}
	}
}

func TestAPICursors(t *testing.T) {
	t.Parallel()
	var sought reporter.IncidentFilter
	w := world{sought: &sought}
	var incidents, deliveries, reports []string
	for n := range 23 {
		in := resolved(fmt.Sprintf("I~%02d", n))
		in.StartedAt = day.Add(-time.Duration(n) * time.Hour)
		w.incidents = append(w.incidents, row(in, 1))
		incidents = append(incidents, in.ID)
		d := sent(int64(100-n), "daily@"+day.AddDate(0, 0, -n).Format(time.RFC3339), "x")
		w.listed, w.past = append(w.listed, d), append(w.past, d)
		deliveries, reports = append(deliveries, fmt.Sprint(100-n)), append(reports, d.Subject)
	}
	for limit := 1; limit < 25; limit++ {
		for list, want := range map[string][]string{"incidents": incidents, "deliveries": deliveries, "reports": reports} {
			filter := map[string]string{"incidents": "severity=critical", "deliveries": "state=", "reports": "name="}[list]
			var got []string
			for after := ""; ; {
				_, a := ask(t, w, fmt.Sprintf("/api/v1/%s?limit=%d&%s&after=%s", list, limit, filter, url.QueryEscape(after)))
				items := append(append(a.Incidents, a.Deliveries...), a.Reports...)
				for _, it := range items {
					id := fmt.Sprint(it["id"])
					if list == "reports" {
						id = fmt.Sprint(it["name"], "@", it["due"])
					}
					got = append(got, id)
				}
				if len(items) > limit {
					t.Fatalf("%s: %d of %d", list, len(items), limit)
				}
				if a.Next == nil {
					break
				}
				after = *a.Next
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s by %d: %s", list, limit, diff)
			}
		}
	}
	if sought.Severity != "critical" {
		t.Errorf("the last answer was of %+v", sought)
	}
	if _, a := ask(t, w, "/api/v1/reports?name=daily&from=2026-04-10&to=2026-04-12"); len(a.Reports) != 3 {
		t.Errorf("%d reports of three days", len(a.Reports))
	}
}

// journal has very many incidents, and makes them as they are asked for.
type journal struct {
	world
	n       int
	fails   int // behind so many
	reading *atomic.Int32
}

func (j journal) IncidentsAfter(_ context.Context, f reporter.IncidentFilter) ([]reporter.IncidentRow, error) {
	j.reading.Add(1)
	defer j.reading.Add(-1)
	from := 0
	if f.After != nil {
		fmt.Sscanf(f.After.ID, "INC-%d", &from)
		from++
	}
	if j.fails > 0 && from >= j.fails {
		return nil, errors.New("disk")
	}
	var out []reporter.IncidentRow
	for n := from; n < min(from+f.Limit, j.n); n++ {
		in := resolved(fmt.Sprintf("INC-%06d", n))
		in.StartedAt = day.Add(-time.Duration(n) * time.Second)
		out = append(out, row(in, 1))
	}
	return out, nil
}

var client = &http.Client{Timeout: 2 * time.Minute}

// 100,000 incidents are streamed in bounded memory.
func TestAPIStreams(t *testing.T) {
	const n = 100_000
	j := journal{n: n, reading: new(atomic.Int32)}
	s := httptest.NewServer(pagesOf(j, j.world))
	defer s.Close()
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	resp, err := client.Get(s.URL + "/api/v1/incidents?limit=100000")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	count, most, last := 0, uint64(0), ""
	for lines.Scan() {
		last = lines.Text()
		if strings.HasPrefix(lines.Text(), `{"id"`) {
			count++
		}
		if count%5000 == 0 {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
		}
	}
	if lines.Err() != nil || count != n || !strings.HasSuffix(last, `"next": null}`) {
		t.Errorf("%d incidents, %v, ended by %.100q", count, lines.Err(), last)
	}
	const limit = 30 << 20
	if most > before.HeapInuse+limit {
		t.Errorf("%d MiB more in use than before", (most-before.HeapInuse)>>20)
	}
	t.Logf("%d KiB more in use than before", (int64(most)-int64(before.HeapInuse))>>10)
}

// A client that does not read keeps no query open, and an incomplete answer is aborted.
func TestAPIOfSlowClientsAndTrouble(t *testing.T) {
	t.Parallel()
	j := journal{n: 100_000, reading: new(atomic.Int32)}
	s := httptest.NewServer(pagesOf(j, j.world))
	defer s.Close()
	var slow []io.Closer
	for range 8 {
		resp, err := client.Get(s.URL + "/api/v1/incidents?limit=100000")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		defer resp.Body.Close()
		slow = append(slow, resp.Body)
	}
	for j.reading.Load() > 0 { // until each waits for its client
		runtime.Gosched()
	}
	resp, err := client.Get(s.URL + "/api/v1/incidents")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("beyond those that are answered: %d", resp.StatusCode)
	}
	page, err := client.Get(s.URL + "/incidents")
	if err != nil || page.StatusCode != http.StatusOK {
		t.Fatalf("a page beside slow clients: %v %v", page, err)
	}
	page.Body.Close()
	for _, body := range slow {
		body.Close()
	}
	cut := journal{n: 100_000, fails: 40_000, reading: new(atomic.Int32)}
	broken := httptest.NewServer(pagesOf(cut, cut.world))
	defer broken.Close()
	resp, err = client.Get(broken.URL + "/api/v1/incidents?limit=100000")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("a list that was cut looks whole")
	}
}

// The reference names every kind of deliveries, and every reason.
func TestReferenceOfTheAPINamesEveryValue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, kind := range reporter.DeliveryKinds() {
		values = append(values, string(kind))
	}
	for _, reason := range reporter.Reasons() {
		if reason != reporter.ReasonConflict { // of receiving, not of sending
			values = append(values, string(reason))
		}
	}
	for _, value := range values {
		if !regexp.MustCompile(`\b` + value + `\b`).Match(text) {
			t.Errorf("docs/api.md does not name %s", value)
		}
	}
}

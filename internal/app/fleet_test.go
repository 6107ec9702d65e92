package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

var (
	fleetClusters = flag.Int("fleet.clusters", 20, "how many clusters of Alertmanagers TestFleet has")
	fleetAlerts   = flag.Int("fleet.alerts", 60, "how many alerts each of them has")
)

// fleetGroup is how many alerts of a cluster are one group.
const fleetGroup = 20

// fleet serves Alertmanager's API v2 for many clusters, of which one never answers.
type fleet struct {
	*httptest.Server
	clusters, alerts int
	began            time.Time
	lost             atomic.Bool // the first group of each has ended, and nothing was sent of it
	answers          [2]string   // of the API, before that and after
}

// answer writes the API's list of a cluster's alerts, beginning at the given one.
func (f *fleet) answer(from int) string {
	var b strings.Builder
	b.WriteString("[")
	for n := from; n < f.alerts; n++ {
		if n > from {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"annotations": {%s}, "endsAt": "2026-12-01T00:00:00.000Z", "fingerprint": "%016x", "receivers": [{"name": "awoooi"}],
			"startsAt": %q, "status": {"inhibitedBy": [], "silencedBy": [], "state": "active"}, "updatedAt": "2026-11-25T00:00:00.000Z",
			"generatorURL": "http://prometheus.example.org/graph?g0.expr=up", "labels": {%s}}`, f.annotations(n), n, f.start(n), f.labels("any", n))
	}
	b.WriteString("]")
	return b.String()
}

func startFleet(tb testing.TB, clusters, alerts int, began time.Time) *fleet {
	tb.Helper()
	f := &fleet{clusters: clusters, alerts: alerts, began: began}
	f.answers = [2]string{f.answer(0), f.answer(fleetGroup)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{cluster}/api/v2/{what}", func(w http.ResponseWriter, r *http.Request) {
		cluster := r.PathValue("cluster")
		if cluster == f.silent() {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.PathValue("what") == "status" {
			io.WriteString(w, `{"uptime": "2026-01-01T00:00:00.000Z", "cluster": {"status": "ready"}, "config": {"original": ""}, "versionInfo": {}}`)
			return
		}
		if f.lost.Load() {
			io.WriteString(w, f.answers[1])
			return
		}
		io.WriteString(w, f.answers[0])
	})
	f.Server = httptest.NewServer(mux)
	tb.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *fleet) name(n int) string { return fmt.Sprintf("site-%03d", n) }
func (f *fleet) silent() string    { return f.name(f.clusters / 3) }
func (f *fleet) start(n int) string {
	return f.began.Add(time.Duration(n) * time.Millisecond).Format(time.RFC3339Nano)
}
func (f *fleet) annotations(n int) string {
	return fmt.Sprintf(`"summary": "Pod service-%d is crash looping.", "description": "Pod team-%d/service-%d is in waiting state (reason: CrashLoopBackOff).",
		"runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping"`, n, n%50, n)
}

func (f *fleet) labels(cluster string, n int) string {
	return fmt.Sprintf(`"alertname": "KubePodCrashLooping", "cluster": %q, "container": "app", "endpoint": "http", "instance": "10.0.%d.%d:8080",
		"job": "kube-state-metrics", "namespace": "team-%d", "pod": "service-%d-7d9c8b6f5-x2x4z", "prometheus": "monitoring/k8s",
		"severity": "warning", "uid": "9f1c2d3e-%08d"`, cluster, n>>8, n&255, n%50, n, n)
}

// config names the clusters.
func (f *fleet) config() string {
	var b strings.Builder
	b.WriteString("alertmanagers:\n")
	for n := range f.clusters {
		fmt.Fprintf(&b, "  - {name: %s, url: %q}\n", f.name(n), f.URL+"/"+f.name(n))
	}
	return b.String()
}

// webhooks posts each group of each cluster as firing.
func (f *fleet) webhooks(tb testing.TB, addr string) {
	tb.Helper()
	var next atomic.Int64
	var posts sync.WaitGroup
	for range 8 {
		posts.Go(func() {
			for n := int(next.Add(1)) - 1; n < f.clusters; n = int(next.Add(1)) - 1 {
				for group := 0; group < f.alerts; group += fleetGroup {
					var alerts []string
					for a := group; a < min(group+fleetGroup, f.alerts); a++ {
						alerts = append(alerts, fmt.Sprintf(`{"status": "firing", "startsAt": %q, "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "%016x",
							"generatorURL": "http://prometheus.example.org/graph?g0.expr=up", "annotations": {%s}, "labels": {%s}}`,
							f.start(a), a, f.annotations(a), f.labels(f.name(n), a)))
					}
					body := fmt.Sprintf(`{"version": "4", "groupKey": "{}:{group=\"%d\"}", "status": "firing", "receiver": "awoooi", "groupLabels": {"group": "%d"},
						"externalURL": "http://am.example.org", "alerts": [%s]}`, group, group, strings.Join(alerts, ","))
					resp, err := client.Post("http://"+addr+strings.Replace(clusterPath, "{cluster}", f.name(n), 1), "application/json", strings.NewReader(body))
					if err != nil {
						tb.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != http.StatusOK {
						tb.Errorf("webhook: %d", resp.StatusCode)
					}
				}
			}
		})
	}
	posts.Wait()
}

// One of many clusters does not answer: lost resolves of all others are found in time, and the page of the sources names that one.
// `make faults` runs it with 200 clusters of 1,000 alerts each.
func TestFleet(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	f := startFleet(t, *fleetClusters, *fleetAlerts, began)
	var passed atomic.Int64
	passed.Store(int64(20 * time.Second))
	now := func() time.Time { return began.Add(time.Duration(passed.Load())) }
	r := startIn(t, t.TempDir(), f.config()+"prometheus: {url: \"http://127.0.0.1:1\"}\nincidents: {reconcile_interval: 24h}\n",
		Options{Role: RoleReporter, Now: now})
	ctx, stop := context.WithCancel(t.Context())
	defer stop() // the question that is never answered
	f.webhooks(t, r.Addr())
	f.lost.Store(true)
	for _, at := range []time.Duration{12 * time.Minute, 17 * time.Minute} {
		passed.Store(int64(at))
		// On a busy machine other clusters too may need longer than a comparison waits; they are compared at the next one.
		eventually(t, fmt.Sprintf("a comparison of minute %v that lacks one answer", at), func() bool {
			err := r.reconcile.Reconcile(ctx)
			answered := 0
			for _, c := range r.reconcile.Clusters() {
				if c.Err == nil && c.At.Equal(now()) {
					answered++
				}
			}
			return answered == f.clusters-1 && err != nil && strings.Contains(err.Error(), f.silent())
		})
	}
	eventually(t, "the closing of what was lost", func() bool {
		_, metrics := r.get("/metrics")
		return strings.Contains(metrics, fmt.Sprintf("awoooi_reporter_incidents_closed_total{reason=\"reconciled\"} %d\n", f.clusters-1))
	})
	all, err := r.store.Incidents(t.Context(), f.clusters*f.alerts)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]int{}
	for _, in := range all {
		lost := strings.Contains(in.GroupKey, `"0"`)
		want, state := reporter.IncidentOpen, "open"
		if lost && in.Cluster != f.silent() {
			want, state = reporter.IncidentResolved, "closed"
			if in.CloseReason != reporter.ClosedReconciled || in.Duration() != 12*time.Minute {
				t.Errorf("%s of %s is %s after %v", in.ID, in.Cluster, in.CloseReason, in.Duration())
			}
		}
		if in.State != want || len(in.Alerts) != min(fleetGroup, f.alerts) {
			t.Errorf("%s of %s is %s with %d alerts, want %s", in.ID, in.Cluster, in.State, len(in.Alerts), want)
		}
		states[state]++
	}
	groups := (f.alerts + fleetGroup - 1) / fleetGroup
	if states["closed"] != f.clusters-1 || states["open"] != f.clusters*groups-f.clusters+1 {
		t.Errorf("incidents by state: %v", states)
	}
	_, page := r.get("/sources")
	_, listed, _ := strings.Cut(page, `id="alertmanagers"`)
	listed, _, _ = strings.Cut(listed, "</section>")
	_, bad, _ := strings.Cut(listed, `class="badge bad"`)
	_, named, _ := strings.Cut(bad, `class="title" href="/clusters/`)
	if strings.Count(listed, `class="badge bad"`) != 1 || !strings.HasPrefix(named, f.silent()+`"`) {
		t.Errorf("the page does not name %s as the one that is down:\n%s", f.silent(), listed)
	}
	if _, overview := r.get("/"); !strings.Contains(overview, f.silent()) {
		t.Error("the overview does not name it")
	}
}

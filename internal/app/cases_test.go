package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/auth"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

// casePosts is what a webhook passes on its way into the state: the handler, the journal, the store and reconciliation, with a
// clock of its own.
type casePosts struct {
	t         *testing.T
	now       time.Time
	store     *store.Store
	mux       *http.ServeMux
	reconcile *incident.Reconciler
	journal   *incident.Journal
	config    incident.Config
	posts     []json.RawMessage
}

// cases runs the posts of a case from the field on both databases.
func cases(t *testing.T, name string, test func(t *testing.T, in *casePosts)) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "webhooks", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Posts []json.RawMessage }
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	for kind, open := range map[string]func(t *testing.T) (*store.Store, error){
		"sqlite": func(t *testing.T) (*store.Store, error) { return store.OpenSQLite(t.Context(), t.TempDir(), log) },
		"postgres": func(t *testing.T) (*store.Store, error) {
			return store.OpenPostgres(t.Context(), secret.New(database(t)), log)
		},
	} {
		t.Run(name+"/"+kind, func(t *testing.T) {
			t.Parallel()
			st, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { st.Close() })
			test(t, newCasePosts(t, st, slices.Clone(c.Posts))) // Tests append to it.
		})
	}
}

func newCasePosts(t *testing.T, st *store.Store, posts []json.RawMessage) *casePosts {
	t.Helper()
	in := &casePosts{t: t, store: st, mux: http.NewServeMux(), posts: posts}
	st.SetClock(func() time.Time { return in.now })
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	in.config = incident.Config{
		By: incident.ByGroup, MinDuration: 10 * time.Minute, ReopenWithin: 15 * time.Minute, ChronicAfter: 24 * time.Hour,
		IDLabel: "incident_id", Receivers: []string{"oncall"}, DigestWindow: time.Minute,
	}
	in.journal = incident.New(in.config, st, log, reg)
	h := webhook.New(webhook.Config{Clusters: map[string]auth.Guard{"prod": {}, "staging": {}}}, in.journal, log, reg)
	in.mux.Handle(webhookPath, h)
	in.mux.Handle(clusterPath, h)
	in.reconcile = incident.NewReconciler(incident.ReconcileConfig{After: 5 * time.Minute}, in.journal, st, log, reg, func() time.Time { return in.now })
	return in
}

// post sends the post of that number at that time of its day, to the path of a cluster.
func (in *casePosts) post(n int, clock, cluster string) {
	in.t.Helper()
	in.at(clock)
	path := webhookPath
	if cluster != "" {
		path = strings.Replace(clusterPath, "{cluster}", cluster, 1)
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(in.posts[n])))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	in.mux.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		in.t.Fatalf("post %d: %d %s", n, w.Code, w.Body)
	}
}

// at sets the clock, and runs what depends on time alone.
func (in *casePosts) at(clock string) {
	in.t.Helper()
	day := "2026-11-25T"
	if strings.Contains(clock, "T") {
		day = ""
	}
	now, err := time.Parse(time.RFC3339, day+clock+"Z")
	if err != nil {
		in.t.Fatal(err)
	}
	in.now = now
	if err := in.reconcile.Reconcile(in.t.Context()); err != nil {
		in.t.Fatal(err)
	}
}

// want compares the incidents: state, title, start and duration, in the order of their starts.
func (in *casePosts) want(when string, want ...string) {
	in.t.Helper()
	all, err := in.store.Incidents(in.t.Context(), 100)
	if err != nil {
		in.t.Fatal(err)
	}
	slices.Reverse(all)
	var got []string
	for _, i := range all {
		got = append(got, fmt.Sprintf("%s %s %s %v", i.State, i.Title(), i.StartedAt.Format("15:04:05"), i.Duration().Round(time.Second)))
	}
	if !slices.Equal(got, want) {
		in.t.Errorf("%s: incidents are\n\t%s\nwant\n\t%s", when, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// postmortems compares the deliveries, oldest first, each with how long after now it is due.
func (in *casePosts) postmortems(when string, want ...string) []reporter.Delivery {
	in.t.Helper()
	ds, err := in.store.Deliveries(in.t.Context(), 100)
	if err != nil {
		in.t.Fatal(err)
	}
	slices.Reverse(ds)
	var got []string
	for _, d := range ds {
		text := string(d.State)
		if d.State == reporter.DeliveryPending {
			text += fmt.Sprint(" in ", d.NextAttempt.Sub(in.now).Round(time.Second))
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		in.t.Errorf("%s: postmortems are %q, want %q", when, got, want)
	}
	return ds
}

func (in *casePosts) send(d reporter.Delivery, id string) {
	in.t.Helper()
	d.State, d.Message, d.FinishedAt = reporter.DeliverySent, &reporter.Message{}, in.now
	d.Parts = []reporter.Part{{SentAt: in.now, MessageID: id}}
	if err := in.store.Save(context.WithoutCancel(in.t.Context()), d); err != nil {
		in.t.Fatal(err)
	}
}

func TestFiresAgainWithTheSameStart(t *testing.T) {
	t.Parallel()
	cases(t, "fires-again-with-the-same-start", func(t *testing.T, in *casePosts) {
		in.post(0, "19:13:20", "")
		in.post(1, "19:33:20", "")
		in.want("after its resolve", "resolved LinkDown 19:13:09 20m0s")
		in.post(2, "19:35:21", "")
		in.want("firing again", "open LinkDown 19:13:09 0s")
		in.post(1, "19:36:00", "")
		in.want("after a copy of its resolve", "open LinkDown 19:13:09 0s")
		in.post(3, "19:53:20", "")
		in.want("after the second resolve", "resolved LinkDown 19:13:09 40m1s")
	})
}

func TestFiresAgainInDoubt(t *testing.T) {
	t.Parallel()
	cases(t, "fires-again-with-the-same-start", func(t *testing.T, in *casePosts) {
		in.post(0, "19:13:20", "")
		in.post(1, "19:33:20", "")
		in.post(2, "19:35:20", "")
		in.want("in doubt", "resolved LinkDown 19:13:09 20m0s")
		in.at("19:41:19")
		in.want("still in doubt", "resolved LinkDown 19:13:09 20m0s")
		in.at("19:41:20")
		in.want("no resolve followed", "open LinkDown 19:13:09 0s")
		in.post(3, "19:53:20", "")
		in.want("after the second resolve", "resolved LinkDown 19:13:09 40m1s")
	})
}

func TestGrafanaContactPoint(t *testing.T) {
	t.Parallel()
	cases(t, "grafana-contact-point", func(t *testing.T, in *casePosts) {
		in.post(0, "01:42:30", "")
		in.want("resolved", "resolved The queue grows 01:00:00 42m10s")
		in.postmortems("resolved", "pending in 1m0s")
		all, err := in.store.Incidents(t.Context(), 1)
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		if got := all[0].Alerts[0].Links; all[0].Cluster != reporter.ClusterGrafana || len(got) != 3 || got[1].URL != "https://grafana.example.org/d/q1?viewPanel=3" {
			t.Errorf("cluster %s, links %v", all[0].Cluster, got)
		}
	})
}

func TestOneAlertWithoutStart(t *testing.T) {
	t.Parallel()
	cases(t, "one-alert-without-start", func(t *testing.T, in *casePosts) {
		in.post(0, "10:00:10", "")
		in.want("firing", "open GoodOne 10:00:00 0s")
	})
}

func TestRefiresAfterItsPostmortem(t *testing.T) {
	t.Parallel()
	cases(t, "refires-after-its-postmortem", func(t *testing.T, in *casePosts) {
		in.post(0, "13:47:00", "")
		in.post(1, "13:59:00", "")
		in.send(in.postmortems("at first", "pending in 1m0s")[0], "77")
		in.post(2, "14:07:00", "")
		in.want("firing again", "open DbDown2 13:46:46 0s")
		in.postmortems("firing again", "sent")
		in.post(3, "19:56:00", "")
		in.want("in the end", "resolved DbDown2 13:46:46 6h9m0s")
		ds := in.postmortems("in the end", "sent", "pending in 15m0s")
		if id, err := in.store.ReplyTo(t.Context(), ds[1]); err != nil || id != "77" {
			t.Errorf("the update replies to %q, %v", id, err)
		}
	})
}

func TestRefiresWithinTheDigestWindow(t *testing.T) {
	t.Parallel()
	cases(t, "refires-within-the-digest-window", func(t *testing.T, in *casePosts) {
		in.post(0, "20:08:30", "")
		in.postmortems("closed", "pending in 1m0s")
		in.post(1, "20:09:00", "")
		in.want("firing again", "open Reop 19:30:49 0s")
		in.postmortems("firing again", "cancelled")
		in.post(2, "20:11:10", "")
		in.want("in the end", "resolved Reop 19:30:49 40m18s")
		in.postmortems("in the end", "cancelled", "pending in 1m0s")
	})
}

func TestResolvedInTheFuture(t *testing.T) {
	t.Parallel()
	cases(t, "resolved-in-the-future", func(t *testing.T, in *casePosts) {
		in.post(0, "19:45:05", "")
		in.want("resolved", "resolved ResFut 19:35:05 10m0s")
	})
}

func TestTwoClustersOneGroupKey(t *testing.T) {
	t.Parallel()
	cases(t, "two-clusters-one-group-key", func(t *testing.T, in *casePosts) {
		in.post(0, "18:27:00", "prod")
		in.post(1, "18:37:00", "staging")
		in.post(2, "18:57:00", "prod")
		in.want("after prod's resolve", "resolved HighErrorRate2 18:26:46 30m0s", "open HighErrorRate2 18:36:46 0s")
	})
}

func TestTwoSeverities(t *testing.T) {
	t.Parallel()
	cases(t, "two-severities", func(t *testing.T, in *casePosts) {
		in.post(0, "2026-04-22T02:01:00", "")
		all, err := in.store.Incidents(t.Context(), 2)
		if err != nil || len(all) != 1 || all[0].Severity() != "emergency" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

func TestWatchdogInTheGroup(t *testing.T) {
	t.Parallel()
	cases(t, "watchdog-in-the-group", func(t *testing.T, in *casePosts) {
		in.post(0, "2026-11-22T19:57:00", "")
		for n, clock := range []string{"13:57:00", "14:39:00", "14:57:00", "15:39:00", "15:57:00", "16:39:00"} {
			in.post(n+1, clock, "")
		}
		in.want("in the end", "resolved Svx0Down 13:56:46 42m0s", "resolved Svx1Down 14:56:46 42m0s", "resolved Svx2Down 15:56:46 42m0s")
		in.postmortems("in the end", "pending in -1h59m0s", "pending in -59m0s", "pending in 1m0s")
	})
}

// With a route with heartbeat, Watchdog is a heartbeat and its resolve gives a message; the other incidents are as without.
func TestWatchdogInTheGroupAsHeartbeat(t *testing.T) {
	t.Parallel()
	cases(t, "watchdog-in-the-group", func(t *testing.T, in *casePosts) {
		matchers, err := incident.ParseMatchers(`alertname="Watchdog"`)
		if err != nil {
			t.Fatal(err)
		}
		in.config.Routes = []incident.Route{{Name: "watchdog", Matchers: matchers, Receivers: []string{"sre"}, MissingAfter: 5 * time.Minute}}
		in.journal.SetConfig(in.config)
		in.post(0, "2026-11-22T19:57:00", "")
		for n, clock := range []string{"13:57:00", "14:39:00", "14:57:00", "15:39:00", "15:57:00", "16:39:00"} {
			in.post(n+1, clock, "")
		}
		in.want("in the end", "resolved Svx0Down 13:56:46 42m0s", "resolved Svx1Down 14:56:46 42m0s", "resolved Svx2Down 15:56:46 42m0s")
		in.postmortems("in the end", "pending in -1h59m0s", "pending in -59m0s", "pending in 1m0s")
		list, err := in.store.Heartbeats(t.Context())
		if err != nil || len(list) != 1 || list[0].Name() != "Watchdog" || list[0].Cluster != reporter.ClusterDefault || list[0].Missing() ||
			!list[0].SeenAt.Equal(in.now) || list[0].Route != "watchdog" {
			t.Fatalf("heartbeats %+v, %v", list, err)
		}
		// Prometheus is gone, and Alertmanager says so.
		in.posts = append(in.posts, json.RawMessage(strings.NewReplacer(
			`"status": "firing"`, `"status": "resolved"`, "0001-01-01T00:00:00Z", "2026-11-25T16:42:00Z").Replace(string(in.posts[0]))))
		in.post(7, "16:43:00", "")
		ds := in.postmortems("after its resolve", "pending in -2h3m0s", "pending in -1h3m0s", "pending in -3m0s", "pending in 0s")
		if d := ds[3]; d.Kind != reporter.DeliveryHeartbeatMissing || d.Receiver != "sre" {
			t.Errorf("delivery %+v", d)
		}
		in.post(7, "16:43:10", "")
		in.post(0, "16:43:20", "")
		in.postmortems("after copies", "pending in -2h3m20s", "pending in -1h3m20s", "pending in -3m20s", "pending in -20s")
		in.post(0, "16:46:00", "")
		ds = in.postmortems("after its return", "pending in -2h6m0s", "pending in -1h6m0s", "pending in -6m0s", "pending in -3m0s", "pending in 0s")
		if d := ds[4]; d.Kind != reporter.DeliveryHeartbeatReturned || d.Subject != ds[3].Subject || d.Receiver != "sre" {
			t.Errorf("delivery %+v", d)
		}
	})
}

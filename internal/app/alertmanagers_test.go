package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// realPair is two Alertmanagers that get the same alerts and share no notifications, so that each sends all of them.
type realPair struct {
	t       *testing.T
	r       *running
	members [2]*localstack.Alertmanager
	dirs    [2]string
}

// pairConfig sends alerts with a label "limited" one at a time, and all others by the route of that receiver.
func pairConfig(url, receiver, groupBy string) string {
	hook := func(more string) string {
		return fmt.Sprintf("[{url: %q, send_resolved: true, http_config: {authorization: {credentials: %q}}%s}]", url, plantedWebhookToken, more)
	}
	return fmt.Sprintf(`
route:
  receiver: %s
  group_by: [%s]
  group_wait: 100ms
  group_interval: 500ms
  repeat_interval: 1h
  routes: [{matchers: ['limited="yes"'], receiver: limited}]
receivers:
  - {name: %s, webhook_configs: %s}
  - {name: limited, webhook_configs: %s}
`, receiver, groupBy, receiver, hook(""), hook(", max_alerts: 1"))
}

func startPair(t *testing.T) *realPair {
	t.Helper()
	p := &realPair{t: t}
	base := fmt.Sprintf("webhook: {bearer_token: %s}\nincidents: {reconcile_interval: 24h, reconcile_after: 2s}\nprometheus: {url: \"http://127.0.0.1:1\"}\n", plantedWebhookToken)
	p.r = startIn(t, t.TempDir(), base+"alertmanagers: [{name: prod}]\n", Options{Role: RoleReporter})
	urls := make([]string, len(p.members))
	for n := range p.members {
		p.dirs[n] = t.TempDir()
		am, err := localstack.StartAlertmanager(context.WithoutCancel(t.Context()), localstack.AlertmanagerOptions{
			Dir: p.dirs[n], Config: pairConfig(p.hook(), "awoooi", "alertname"),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := am.Stop(); err != nil {
				t.Error(err)
			}
		})
		p.members[n], urls[n] = am, fmt.Sprintf("%q", am.URL())
	}
	p.r.write(base + "alertmanagers: [{name: prod, urls: [" + strings.Join(urls, ", ") + "]}]\n")
	if code := reload(t, p.r); code != http.StatusOK {
		t.Fatalf("reload: %d", code)
	}
	return p
}

func (p *realPair) hook() string {
	return p.r.url(strings.Replace(clusterPath, "{cluster}", "prod", 1))
}

func (p *realPair) post(path, body string) {
	p.t.Helper()
	for _, am := range p.members {
		resp, err := client.Post(am.URL()+path, "application/json", strings.NewReader(body))
		if err != nil {
			p.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			p.t.Fatalf("%s: %d", path, resp.StatusCode)
		}
	}
}

// send sends an alert to both, as Prometheus does; end is in the future while it fires.
func (p *realPair) send(labels string, start, end time.Time) {
	p.t.Helper()
	p.post("/api/v2/alerts", fmt.Sprintf(`[{"labels": {%s}, "startsAt": %q, "endsAt": %q}]`, labels, start.Format(time.RFC3339Nano), end.Format(time.RFC3339Nano)))
}

// until waits until the incident of that name is as expected, while the clock of the incidents advances.
func (p *realPair) until(what, id string, is func(reporter.Incident) bool) (in reporter.Incident) {
	p.t.Helper()
	eventually(p.t, id+" "+what, func() bool {
		if err := p.r.reconcile.Reconcile(p.t.Context()); err != nil {
			p.t.Log(err)
		}
		var err error
		in, err = p.r.store.Incident(p.t.Context(), id)
		return err == nil && is(in)
	})
	return in
}

func isOpen(in reporter.Incident) bool { return in.State == reporter.IncidentOpen }
func isOver(in reporter.Incident) bool { return in.Over() }

// ends compares what is kept of an incident with when its alerts were sent to have begun and ended.
func (p *realPair) ends(in reporter.Incident, why reporter.CloseReason, start, end time.Time) {
	p.t.Helper()
	if in.CloseReason != why || !in.StartedAt.Equal(start) || !end.IsZero() && !in.EndedAt.Equal(end) {
		p.t.Errorf("%s is from %v to %v, %s; want %v to %v, %s", in.ID, in.StartedAt, in.EndedAt, in.CloseReason, start, end, why)
	}
}

// What a pair of real Alertmanagers sends: everything twice, an alert that fires again with the same start, under another route
// once that is edited, nothing of the end of a silenced one, and a part of a group with max_alerts.
func TestPairOfRealAlertmanagers(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	start := time.Now().Add(-30 * time.Minute).UTC().Truncate(time.Millisecond)
	later := time.Now().Add(time.Hour)
	now := func() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
	labels := func(name, more string) string {
		return fmt.Sprintf(`"alertname": %q, "incident_id": %q%s`, name, name, more)
	}
	t.Run("both send", func(t *testing.T) {
		p.send(labels("PAIR", ""), start, later)
		p.until("to open", "PAIR", isOpen)
		end := now()
		p.send(labels("PAIR", ""), start, end)
		p.ends(p.until("to close", "PAIR", isOver), reporter.ClosedResolved, start, end)
	})
	t.Run("frozen sender", func(t *testing.T) {
		p.send(labels("FROZEN", ""), start, later)
		p.until("to open", "FROZEN", isOpen)
		p.send(labels("FROZEN", ""), start, now())
		p.until("to close", "FROZEN", isOver)
		p.send(labels("FROZEN", ""), start, later)
		p.until("to open again", "FROZEN", isOpen)
		end := now()
		p.send(labels("FROZEN", ""), start, end)
		p.ends(p.until("to close again", "FROZEN", isOver), reporter.ClosedResolved, start, end)
	})
	t.Run("silence", func(t *testing.T) {
		p.send(labels("SILENCED", ""), start, later)
		p.until("to open", "SILENCED", isOpen)
		p.post("/api/v2/silences", fmt.Sprintf(`{"matchers": [{"name": "alertname", "value": "SILENCED", "isRegex": false, "isEqual": true}],
			"startsAt": %q, "endsAt": %q, "createdBy": "t", "comment": "t"}`, now().Format(time.RFC3339Nano), later.Format(time.RFC3339Nano)))
		p.send(labels("SILENCED", ""), start, now())
		p.ends(p.until("to close", "SILENCED", isOver), reporter.ClosedReconciled, start, time.Time{})
	})
	t.Run("max_alerts", func(t *testing.T) {
		one, two := labels("LIMITED", `, "limited": "yes", "instance": "1"`), labels("LIMITED", `, "limited": "yes", "instance": "2"`)
		p.send(one, start, later)
		p.send(two, start, later)
		p.until("to be truncated", "LIMITED", func(in reporter.Incident) bool { return isOpen(in) && in.Held })
		p.send(one, start, now())
		in := p.until("to have an alert resolved", "LIMITED", func(in reporter.Incident) bool {
			ended, _ := in.Alerts[0].Ended()
			return !ended.IsZero()
		})
		if !isOpen(in) {
			t.Errorf("it is %s while an alert of it fires that was left out", in.State)
		}
		end := now()
		p.send(two, start, end)
		p.ends(p.until("to close", "LIMITED", func(in reporter.Incident) bool {
			return in.Over() && in.EndedAt.Equal(end)
		}), reporter.ClosedResolved, start, end)
	})
	t.Run("edited route", func(t *testing.T) {
		p.send(labels("EDITED", ""), start, later)
		before := p.until("to open", "EDITED", isOpen)
		// Taken before the first reload: both members may send by the new route before the last reload has answered, and they send it
		// once.
		edited := time.Now().UTC()
		for n, am := range p.members {
			conf := filepath.Join(p.dirs[n], "alertmanager.yml")
			if err := os.WriteFile(conf, []byte(pairConfig(p.hook(), "renamed", "alertname, instance")), 0o600); err != nil {
				t.Fatal(err)
			}
			resp, err := client.Post(am.URL()+"/-/reload", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("reload of Alertmanager: %d", resp.StatusCode)
			}
		}
		p.until("to be sent by the new route", "EDITED", func(in reporter.Incident) bool {
			return in.LastSeenAt.After(edited) && in.LastSeenAt.After(before.LastSeenAt)
		})
		end := now()
		p.send(labels("EDITED", ""), start, end)
		p.ends(p.until("to close", "EDITED", isOver), reporter.ClosedResolved, start, end)
	})
	all, err := p.r.store.Incidents(t.Context(), 100)
	if err != nil || len(all) != 5 {
		var ids []string
		for _, in := range all {
			ids = append(ids, in.ID)
		}
		t.Errorf("incidents %q, want one of each alert; %v", ids, err)
	}
}

package app

import (
	"encoding/json"
	"log/slog"
	"maps"
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// fields are those of a webhook, or of an alert in it.
type fields map[string]any

// with returns a copy in which other fields replace those of the same name; nil removes one.
func (f fields) with(others fields) fields {
	out := maps.Clone(f)
	maps.Copy(out, others)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == nil })
	return out
}

// labelled are the labels of an alert.
func labelled(pairs ...string) fields {
	out := fields{}
	for n := 0; n < len(pairs); n += 2 {
		out[pairs[n]] = pairs[n+1]
	}
	return fields{"labels": out, "annotations": fields{}}
}

// begun is an alert that fires since a time of the day; over is one that is resolved.
func begun(name, start string) fields {
	return labelled("alertname", name).with(fields{
		"status": "firing", "startsAt": "2026-11-25T" + start + "Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "fp" + name,
		"generatorURL": "http://prometheus.example.org/graph",
	})
}

func over(name, start, end string) fields {
	return begun(name, start).with(fields{"status": "resolved", "endsAt": "2026-11-25T" + end + "Z"})
}

// hook is a webhook as Alertmanager sends it.
func hook(alerts ...fields) fields {
	status := "resolved"
	for _, a := range alerts {
		if a["status"] == "firing" {
			status = "firing"
		}
	}
	if alerts == nil {
		alerts = []fields{}
	}
	return fields{
		"version": "4", "groupKey": "{}:{}", "receiver": "r", "status": status, "groupLabels": fields{}, "commonLabels": fields{},
		"commonAnnotations": fields{}, "externalURL": "http://am.example.org", "truncatedAlerts": 0, "alerts": alerts,
	}
}

// grafana is a webhook as Grafana's contact points send it.
func grafana(alerts ...fields) fields {
	return hook(alerts...).with(fields{
		"version": "1", "orgId": 1, "title": "[FIRING:1]", "state": "alerting", "message": "**Firing**", "appVersion": "12.1.0",
	})
}

// Sequences of webhooks from the field, each posted at a time of the day, with the incidents after all of them.
func TestSequencesOfWebhooks(t *testing.T) {
	t.Parallel()
	type post struct {
		at      string
		cluster string
		body    fields
	}
	for name, tc := range map[string]struct {
		posts []post
		at    string // when time passes after the last one; "" is not at all
		want  []string
	}{
		"a fingerprint twice in a body, firing and resolved": {[]post{
			{"10:30:10", "", hook(begun("A", "10:00:00"), over("A", "10:00:00", "10:30:00"))},
		}, "", []string{"resolved A 10:00:00 30m0s"}},
		"in the other order": {[]post{
			{"10:30:10", "", hook(over("A", "10:00:00", "10:30:00"), begun("A", "10:00:00"))},
		}, "", []string{"resolved A 10:00:00 30m0s"}},
		"a fingerprint twice in a body, two episodes": {[]post{
			{"10:40:10", "", hook(over("A", "10:00:00", "10:30:00"), begun("A", "10:40:00"))},
			{"10:50:10", "", hook(over("A", "10:40:00", "10:50:00"))},
		}, "", []string{"resolved A 10:00:00 50m0s"}},
		"empty fingerprints are those of the labels": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"fingerprint": ""}), begun("B", "10:00:01").with(fields{"fingerprint": nil}))},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00").with(fields{"fingerprint": nil}), begun("B", "10:00:01").with(fields{"fingerprint": ""}))},
		}, "", []string{"open A 10:00:00 0s"}},
		"no labels, no annotations": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"labels": nil, "annotations": nil}))},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00").with(fields{"labels": json.RawMessage("null"), "annotations": json.RawMessage("{}")}))},
		}, "", []string{"resolved  10:00:00 20m0s"}},
		"a resolve without labels": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00").with(fields{"labels": nil}))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"an alert without a name after one with": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(labelled("severity", "critical")), begun("B", "10:00:01"))},
		}, "", []string{"open B 10:00:00 0s"}},
		"statuses in upper case": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"status": "FIRING"}))},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00").with(fields{"status": "Resolved"})).with(fields{"status": "RESOLVED"})},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"a status at the top that says otherwise": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00")).with(fields{"status": "resolved"})},
		}, "", []string{"open A 10:00:00 0s"}},
		"no status at the top": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00")).with(fields{"status": nil})},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00")).with(fields{"status": nil})},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"one time in several zones and precisions": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"startsAt": "2026-11-25T18:00:00.1234567+08:00"}))},
			{"10:05:10", "", hook(begun("A", "10:00:00.123456789"))},
			{"10:20:10", "", hook(over("A", "10:00:00.1234567", "10:20:00.1234567").with(fields{"endsAt": "2026-11-25T05:20:00.1234567-05:00"}))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"a time without a zone is skipped": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"startsAt": "2026-11-25T10:00:00"}), begun("B", "10:00:00"))},
		}, "", []string{"open B 10:00:00 0s"}},
		"an end before its start": {[]post{
			{"10:20:10", "", hook(over("A", "10:20:00", "10:00:00"))},
		}, "", []string{"resolved A 10:20:00 0s"}},
		"a start of the epoch is skipped": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"startsAt": "1970-01-01T00:00:00Z"}), begun("B", "10:00:00"))},
		}, "", []string{"open B 10:00:00 0s"}},
		"an end of the epoch is none": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:20:00", "", hook(over("A", "10:00:00", "").with(fields{"endsAt": "1970-01-01T00:00:00Z"}))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"times of senders that know no end": {[]post{
			{"10:00:00", "", hook(begun("A", "10:00:00"), begun("B", "10:00:00").with(fields{"startsAt": "9999-12-31T23:59:59Z"}))},
			{"10:20:00", "", hook(
				over("A", "10:00:00", "").with(fields{"endsAt": "9999-12-31T23:59:59Z"}),
				over("B", "10:00:00", "").with(fields{"startsAt": "9999-12-31T23:59:59Z", "endsAt": "9999-12-31T23:59:59Z"}))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"zero times of another zone": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"startsAt": "0001-01-01T00:00:00+08:00"}), begun("B", "10:00:00"))},
			{"10:20:00", "", hook(over("B", "10:00:00", "").with(fields{"endsAt": "0001-01-01T00:00:00+08:00"}))},
		}, "", []string{"resolved B 10:00:00 20m0s"}},
		"resolved without an end": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:20:00", "", hook(over("A", "10:00:00", "").with(fields{"endsAt": "0001-01-01T00:00:00Z"}))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"firing with an end": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"endsAt": "2026-11-25T10:04:00Z"}))},
		}, "11:00:00", []string{"open A 10:00:00 0s"}},
		"a clock that is ahead a little": {[]post{
			{"10:00:00", "", hook(begun("A", "10:04:00"))},
			{"10:16:00", "", hook(over("A", "10:04:00", "10:20:00"))},
		}, "", []string{"resolved A 10:04:00 16m0s"}},
		"a start in the future is cut": {[]post{
			{"10:00:00", "", hook(begun("A", "12:00:00"))},
		}, "", []string{"open A 10:00:00 0s"}},
		"and its repeats are of the same alert": {[]post{
			{"10:00:00", "", hook(begun("A", "12:00:00"))},
			{"10:05:00", "", hook(begun("A", "12:00:00"))},
			{"10:20:00", "", hook(over("A", "12:00:00", "12:20:00"))},
			{"10:20:01", "", hook(over("A", "12:00:00", "12:20:00"))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"it fires again soon, by a clock that is ahead": {[]post{
			{"10:00:00", "", hook(begun("A", "10:20:00"))},
			{"10:12:00", "", hook(over("A", "10:20:00", "10:32:00"))},
			{"10:20:00", "", hook(begun("A", "10:40:00"))},
			{"10:30:00", "", hook(over("A", "10:40:00", "10:50:00"))},
		}, "", []string{"resolved A 10:00:00 30m0s"}},
		"late copies of a peer whose clock is ahead": {[]post{
			{"10:00:00", "", hook(begun("A", "11:00:00"))},
			{"10:20:00", "", hook(over("A", "11:00:00", "11:20:00"))},
			{"10:20:02", "", hook(begun("A", "11:00:00"))},
			{"10:20:04", "", hook(over("A", "11:00:00", "11:20:00"))},
		}, "10:50:00", []string{"resolved A 10:00:00 20m0s"}},
		"late copies of one that was short, by a clock that is ahead": {[]post{
			{"10:00:00", "", hook(begun("A", "10:10:00"))},
			{"10:03:00", "", hook(over("A", "10:10:00", "10:13:00"))},
			{"10:03:02", "", hook(begun("A", "10:10:00"))},
			{"10:03:04", "", hook(over("A", "10:10:00", "10:13:00"))},
		}, "10:30:00", []string{"resolved A 10:00:00 3m0s"}},
		"it fires again with its start of the future": {[]post{
			{"10:00:00", "", hook(begun("A", "11:00:00"))},
			{"10:20:00", "", hook(over("A", "11:00:00", "11:20:00"))},
			{"10:25:00", "", hook(begun("A", "11:00:00"))},
			{"10:26:00", "", hook(begun("A", "11:00:00"))},
			{"10:40:00", "", hook(over("A", "11:00:00", "11:40:00"))},
		}, "", []string{"resolved A 10:00:00 40m0s"}},
		"a resolve of the future of which nothing is known": {[]post{
			{"10:00:00", "", hook(over("A", "12:00:00", "12:20:00"))},
		}, "", nil},
		"a year of the far future": {[]post{
			{"10:00:00", "", hook(begun("A", "10:00:00").with(fields{"startsAt": "2199-01-01T00:00:00Z"}))},
			{"10:20:00", "", hook(over("A", "10:00:00", "").with(fields{"startsAt": "2199-01-01T00:00:00Z", "endsAt": "2199-01-01T00:20:00Z"}))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"the group's key changes": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:05:10", "", hook(begun("A", "10:00:00")).with(fields{"groupKey": `{}/{team="db"}:{alertname="A"}`, "receiver": "db"})},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00")).with(fields{"groupKey": `{}/{team="db"}:{alertname="A"}`, "receiver": "db"})},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"an alert moves to another group that is open": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:01:10", "", hook(begun("B", "10:01:00")).with(fields{"groupKey": "h"})},
			{"10:05:10", "", hook(begun("A", "10:00:00"), begun("B", "10:01:00")).with(fields{"groupKey": "h"})},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00"), begun("B", "10:01:00")).with(fields{"groupKey": "h"})},
		}, "", []string{"resolved A 10:00:00 20m0s", "open B 10:01:00 0s"}},
		"two receivers get an alert": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:00:11", "", hook(begun("A", "10:00:00")).with(fields{"receiver": "s"})},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00")).with(fields{"receiver": "s"})},
			{"10:20:11", "", hook(over("A", "10:00:00", "10:20:00"))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"only its resolve arrives, twice, with another end": {[]post{
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:20:11", "", hook(over("A", "10:00:00", "10:19:59.5"))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"a resolve of three days ago": {[]post{
			{"10:20:10", "", hook(over("A", "10:00:00", "").with(fields{"startsAt": "2026-11-22T10:00:00Z", "endsAt": "2026-11-22T10:30:00Z"}))},
		}, "", []string{"resolved A 10:00:00 30m0s"}},
		"an alert of before our start is chronic at once, and new ones are not its": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"startsAt": "2026-11-20T10:00:00Z"}), begun("B", "10:00:00"))},
			{"10:20:10", "", hook(begun("A", "10:00:00").with(fields{"startsAt": "2026-11-20T10:00:00Z"}), over("B", "10:00:00", "10:20:00"))},
		}, "", []string{"chronic A 10:00:00 0s", "resolved B 10:00:00 20m0s"}},
		"firing again after it was chronic": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00").with(fields{"startsAt": "2026-11-20T10:00:00Z"}))},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00").with(fields{"startsAt": "2026-11-20T10:00:00Z"}))},
			{"10:25:10", "", hook(begun("A", "10:25:00"))},
			{"10:40:10", "", hook(over("A", "10:25:00", "10:40:00"))},
		}, "", []string{"resolved A 10:00:00 120h20m0s", "resolved A 10:25:00 15m0s"}},
		"late copies of an HA pair around a reopening": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:25:10", "", hook(begun("A", "10:25:00"))},
			{"10:25:12", "", hook(begun("A", "10:00:00"))},
			{"10:25:14", "", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:25:16", "", hook(begun("A", "10:25:00"))},
			{"10:40:10", "", hook(over("A", "10:25:00", "10:40:00"))},
			{"10:40:12", "", hook(begun("A", "10:25:00"))},
			{"10:40:14", "", hook(over("A", "10:25:00", "10:40:00"))},
		}, "10:50:00", []string{"resolved A 10:00:00 40m0s"}},
		"a resolve before its firing": {[]post{
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:20:11", "", hook(begun("A", "10:00:00"))},
			{"10:24:10", "", hook(over("A", "10:00:00", "10:20:00"))},
		}, "11:00:00", []string{"resolved A 10:00:00 20m0s"}},
		"Alertmanager sends a group of resolved alerts with one that fires": {[]post{
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00"), over("B", "10:01:00", "10:15:00"), begun("C", "10:19:00"))},
			{"10:25:10", "", hook(over("C", "10:19:00", "10:25:00"))},
		}, "", []string{"resolved A 10:00:00 25m0s"}},
		"no alerts": {[]post{{"10:00:10", "", hook()}, {"10:00:11", "", hook().with(fields{"alerts": json.RawMessage("null")})}}, "", nil},
		"truncated, and all that is listed is resolved": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00")).with(fields{"truncatedAlerts": 5})},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00")).with(fields{"truncatedAlerts": 5, "status": "firing"})},
		}, "", []string{"open A 10:00:00 0s"}},
		"truncated, then resolved as a whole": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00")).with(fields{"truncatedAlerts": 5})},
			{"10:20:10", "", hook(begun("B", "10:10:00")).with(fields{"truncatedAlerts": 5})},
			{"10:30:10", "", hook(over("A", "10:00:00", "10:20:00")).with(fields{"truncatedAlerts": 5})},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"Grafana": {[]post{
			{"10:00:10", "", grafana(begun("A", "10:00:00").with(fields{
				"startsAt": "2026-11-25T18:00:00+08:00", "values": json.RawMessage("null"), "valueString": "", "imageURL": json.RawMessage("null"),
				"dashboardURL": json.RawMessage("null"), "panelURL": "", "silenceURL": "https://grafana.example.org/alerting/silence/new",
			}))},
			{"10:20:10", "", grafana(over("A", "10:00:00", "10:20:00").with(fields{"values": fields{"A": 1.5e9, "B": "NaN"}})).with(fields{"state": "ok"})},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"Grafana without data": {[]post{
			{"10:00:10", "", grafana(begun("DatasourceNoData", "10:00:00").with(fields{"labels": fields{
				"alertname": "DatasourceNoData", "datasource_uid": "P1", "ref_id": "A", "rulename": "QueueDeep", "grafana_folder": "Payments",
			}, "annotations": fields{"summary": "The queue grows"}}))},
			{"10:20:10", "", grafana(over("DatasourceNoData", "10:00:00", "10:20:00")).with(fields{"state": "ok"})},
		}, "", []string{"resolved DatasourceNoData 10:00:00 20m0s"}},
		"Grafana and Alertmanager have an alert in common": {[]post{
			{"10:00:10", "", grafana(begun("A", "10:00:00"))},
			{"10:00:11", "", hook(begun("A", "10:00:00"))},
			{"10:20:10", "", grafana(over("A", "10:00:00", "10:20:00"))},
		}, "", []string{"open A 10:00:00 0s", "resolved A 10:00:00 20m0s"}},
		"Grafana at a cluster's own path": {[]post{
			{"10:00:10", "prod", grafana(begun("A", "10:00:00"))},
			{"10:00:11", "", grafana(begun("A", "10:00:01"))},
			{"10:20:10", "prod", grafana(over("A", "10:00:00", "10:20:00"))},
		}, "", []string{"resolved A 10:00:00 20m0s", "open A 10:00:01 0s"}},
		"a cluster gets a name": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:05:10", "prod", hook(begun("A", "10:00:00"), begun("B", "10:04:00"))},
			{"10:20:10", "prod", hook(over("A", "10:00:00", "10:20:00"), over("B", "10:04:00", "10:20:00"))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"a cluster gets a name between an alert and its resolve": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:20:10", "prod", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:20:12", "", hook(over("A", "10:00:00", "10:20:00"))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"one member of a pair has its new configuration first": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:05:10", "prod", hook(begun("A", "10:00:00"))},
			{"10:05:11", "", hook(begun("A", "10:00:00"))},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:20:11", "prod", hook(over("A", "10:00:00", "10:20:00"))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"a copy of a resolve comes from a cluster that has got a name": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:20:12", "prod", hook(over("A", "10:00:00", "10:20:00"))},
		}, "", []string{"resolved A 10:00:00 20m0s"}},
		"an alert fires again, with the same start, in a cluster that has got a name": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:20:10", "", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:25:10", "prod", hook(begun("A", "10:00:00"))},
			{"10:25:12", "", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:40:10", "prod", hook(over("A", "10:00:00", "10:40:00"))},
		}, "", []string{"resolved A 10:00:00 40m0s"}},
		"a cluster gets a name, and an older alert is news": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:05:10", "prod", hook(begun("A", "10:00:00"), begun("B", "09:30:00"))},
			{"10:20:10", "prod", hook(over("A", "10:00:00", "10:20:00"), over("B", "09:30:00", "10:20:00"))},
		}, "", []string{"resolved B 09:30:00 50m0s"}},
		"two clusters get names": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"), begun("B", "10:00:00"))},
			{"10:05:10", "prod", hook(begun("A", "10:00:00"))},
			{"10:06:10", "staging", hook(begun("B", "10:00:00"))},
			{"10:20:10", "prod", hook(over("A", "10:00:00", "10:20:00"))},
			{"10:30:10", "staging", hook(over("B", "10:00:00", "10:30:00"))},
		}, "", []string{"resolved A 10:00:00 30m0s"}},
		"an alert is stamped again at every evaluation": {[]post{
			{"10:00:10", "", hook(begun("A", "10:00:00"))},
			{"10:05:10", "", hook(begun("A", "10:05:00"))},
			{"10:10:10", "", hook(begun("A", "10:10:00"))},
			{"10:15:10", "", hook(over("A", "10:10:00", "10:15:00"))},
		}, "", []string{"resolved A 10:00:00 15m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, err := store.OpenSQLite(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { st.Close() })
			in := newCasePosts(t, st, nil)
			for n, p := range tc.posts {
				body, err := json.Marshal(p.body)
				if err != nil {
					t.Fatal(err)
				}
				in.posts = append(in.posts, body)
				in.post(n, p.at, p.cluster)
			}
			if tc.at != "" {
				in.at(tc.at)
			}
			in.want("in the end", tc.want...)
		})
	}
}

package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	journal "github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

// versionBefore is the one before the newest, and populated is what a journal of version 5 held, in microseconds: of each kind of
// alert that there was one.
const (
	versionBefore = 5
	populated     = `
INSERT INTO incidents (id, key, group_key, receiver, external_url, group_labels, state, started_at, ended_at, close_reason,
	truncated, first_seen, last_seen, notified, sample) VALUES
	('RESOLVED', 'r/g1', 'g1', 'r', '', '{}', 'resolved', %[1]d, %[2]d, 'resolved', 0, %[1]d, %[2]d, TRUE, FALSE),
	('OPEN', 'r/g2', 'g2', 'r', '', '{"a":"b"}', 'open', %[1]d, NULL, '', 3, %[1]d, %[2]d, FALSE, FALSE),
	('BY-ALERT', 'r/g3/f3', 'g3', 'r', '', '{}', 'open', %[1]d, NULL, '', 0, %[1]d, %[2]d, FALSE, FALSE),
	('MOVED', 'r/g4', 'g4', 'r', '', '{}', 'open', %[1]d, NULL, '', 0, %[1]d, %[2]d, FALSE, FALSE),
	('PRESUMED', 'r/g5', 'g5', 'r', '', '{}', 'resolved', %[1]d, %[2]d, 'reconciled', 0, %[1]d, %[2]d, TRUE, FALSE);
INSERT INTO alerts (incident_id, fingerprint, starts_at, ends_at, firing, seen_at, presumed_at, presumed_why, labels, annotations,
	generator_url, category, name) VALUES
	('RESOLVED', 'f1', %[1]d, %[2]d, FALSE, %[1]d, NULL, '', '{"alertname":"A"}', '{}', '', 'x', 'A'),
	('OPEN', 'f2', %[1]d, NULL, TRUE, %[1]d, NULL, '', '{"alertname":"A"}', '{}', '', 'x', 'A'),
	('BY-ALERT', 'f3', %[1]d, NULL, TRUE, %[1]d, NULL, '', '{"alertname":"A"}', '{}', '', 'x', 'A'),
	('MOVED', 'f4', %[1]d, NULL, TRUE, %[1]d, NULL, '', '{"alertname":"A"}', '{}', '', 'x', 'A'),
	('MOVED', 'f4', %[2]d, NULL, TRUE, %[2]d, NULL, '', '{"alertname":"A"}', '{}', '', 'x', 'A'),
	('PRESUMED', 'f5', %[1]d, NULL, TRUE, %[1]d, %[2]d, 'reconciled', '{"alertname":"A"}', '{}', '', 'x', 'A');
INSERT INTO deliveries (key, kind, subject, receiver, state, parts, attempts, last_error, created_at, next_attempt) VALUES
	('postmortem/RESOLVED/oncall', 'postmortem', 'RESOLVED', 'oncall', 'sent', '[{"HTML":"\u0000","MessageID":"41"},{"MessageID":""}]', 1, '',
		%[2]d, %[2]d),
	('postmortem/PRESUMED/oncall', 'postmortem', 'PRESUMED', 'oncall', 'pending', NULL, 0, '', %[2]d, %[2]d);
INSERT INTO claims (report, due, claimed_at) VALUES ('daily', %[1]d, %[1]d);
INSERT INTO deliveries (key, kind, subject, receiver, state, message, attempts, last_error, created_at, next_attempt) VALUES
	('postmortem/WAITS/slow', 'postmortem', 'WAITS', 'slow', 'pending', '{}', 1, 'retry after 1h: 429', %[1]d, %[2]d);
INSERT INTO receivers (receiver, address, stopped) VALUES ('oncall', '-100', ''), ('dead', '', '401');
CREATE TABLE river_job (id INTEGER); CREATE TABLE river_queue (id INTEGER);`
)

// before returns the statements that make a state of the version before, and how many migrations those are.
func before(t *testing.T, kind string) (statements string, number int) {
	t.Helper()
	return schema(t, kind, versionBefore) + fmt.Sprintf(populated, day.UnixMicro(), day.Add(time.Hour).UnixMicro()), versionBefore
}

// schema returns the statements of the first migrations.
func schema(t *testing.T, kind string, version int) string {
	t.Helper()
	files, err := filepath.Glob("migrations/" + kind + "/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n, file := range files {
		if got, err := strconv.Atoi(filepath.Base(file)[:3]); err != nil || got != n+1 {
			t.Errorf("%s is migration %d", file, n+1)
		}
		if n >= version {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

// upgraded opens a state of one of the databases that statements have made in an earlier version.
func upgraded(t *testing.T, kind, statements string, version int) *store.Store {
	t.Helper()
	if kind == "sqlite" {
		dir := t.TempDir()
		execFile(t, filepath.Join(dir, "state.db"), statements+fmt.Sprintf("; PRAGMA user_version = %d; PRAGMA application_id = %d", version, 0x41574f49))
		return storetest.Open(t, dir)
	}
	dsn := database(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(t.Context(), `CREATE SCHEMA awoooi_reporter; SET search_path = awoooi_reporter;
		CREATE TABLE schema_version (version INTEGER NOT NULL);`+statements+fmt.Sprintf("; INSERT INTO schema_version VALUES (%d)", version))
	if err != nil {
		t.Fatal(err)
	}
	return openPostgres(t, dsn)
}

func TestMigrationsHaveOneNumber(t *testing.T) {
	t.Parallel()
	var names [2][]string
	for n, kind := range []string{"sqlite", "postgres"} {
		files, err := filepath.Glob("migrations/" + kind + "/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files[versionBefore:] {
			names[n] = append(names[n], filepath.Base(f))
		}
	}
	if len(names[0]) == 0 || !slices.Equal(names[0], names[1]) {
		t.Errorf("sqlite has %q, postgres has %q", names[0], names[1])
	}
}

// What an older version stored is kept: its incidents go on by the same alerts, and nothing that was sent is sent again.
func TestUpgradeOfAPopulatedState(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			statements, version := before(t, kind)
			s := upgraded(t, kind, statements, version)
			now := day.Add(2 * time.Hour)
			s.SetClock(func() time.Time { return now })
			state := func() string {
				t.Helper()
				all, err := s.Incidents(t.Context(), 100)
				if err != nil {
					t.Fatal(err)
				}
				var out []string
				for _, in := range all {
					out = append(out, fmt.Sprintf("%s %s %v %d", in.ID, in.State, in.Duration(), len(in.Alerts)))
				}
				slices.Sort(out)
				return strings.Join(out, ", ")
			}
			same(t, "as it was", "BY-ALERT open 0s 1, MOVED open 0s 2, OPEN open 0s 1, PRESUMED resolved 1h0m0s 1, RESOLVED resolved 1h0m0s 1", state())
			// What lists show was made of the alerts.
			page, err := s.ListIncidents(t.Context(), reporter.IncidentFilter{Text: "alertname=a", Limit: 10})
			if err != nil || page.Count != 5 || page.Rows[0].Title != "A" {
				t.Errorf("listed: %+v, %v", page, err)
			}
			for id, of := range map[string][]string{"OPEN": {"r", "g2"}, "BY-ALERT": {"r", "g3", "f3"}} {
				in, err := s.Incident(t.Context(), id)
				if want := reporter.IncidentKey(append([]string{"default", ""}, of...)...); err != nil || in.Key != want {
					t.Errorf("key of %s is %s, want %s, %v", id, in.Key, want, err)
				}
			}
			j := journal.New(journal.Config{
				By: journal.ByGroup, MinDuration: 10 * time.Minute, ReopenWithin: 15 * time.Minute, Receivers: []string{"oncall"},
			}, s, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			event := func(n int, start, end time.Time) {
				t.Helper()
				e := reporter.AlertEvent{
					Receiver: "r", GroupKey: fmt.Sprint("g", n), Fingerprint: fmt.Sprint("f", n), StartsAt: start, EndsAt: end, Firing: end.IsZero(),
					Labels: map[string]string{"alertname": "A"}, Annotations: map[string]string{},
				}
				if err := j.Accept(t.Context(), []reporter.AlertEvent{e}); err != nil {
					t.Fatal(err)
				}
			}
			hour := day.Add(time.Hour)
			event(1, day, hour)                    // a copy of a resolve
			event(2, day, time.Time{})             // a repeat
			event(3, day, now)                     // the resolve of an incident of one alert
			event(4, hour, now)                    // of an alert whose start had moved
			event(5, day, day.Add(50*time.Minute)) // of one that was presumed to have ended
			same(t, "after events", "BY-ALERT resolved 2h0m0s 1, MOVED resolved 2h0m0s 2, OPEN open 0s 1, PRESUMED resolved 50m0s 1, RESOLVED resolved 1h0m0s 1", state())
			ds, err := s.Deliveries(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range ds {
				got = append(got, d.Subject+" "+string(d.State))
			}
			slices.Sort(got)
			same(t, "deliveries", "BY-ALERT pending, MOVED pending, PRESUMED pending, RESOLVED sent, WAITS pending", strings.Join(got, ", "))
			// What was known of a receiver is at its gate; the outbox moves the address to the gate of its chat.
			// Replies to messages of the version before are about their incidents.
			if m, err := s.MessageOf(t.Context(), []string{"oncall"}, []string{"chat x"}, "41"); err != nil || m.Subject != "RESOLVED" {
				t.Errorf("message 41 is about %+v, %v", m, err)
			}
			gates, err := s.Gates(t.Context(), reporter.ReceiverGate("oncall"), reporter.ReceiverGate("dead"), reporter.ReceiverGate("slow"))
			if err != nil || gates[0].MovedTo != "-100" || gates[0].Reason != reporter.ReasonNone ||
				gates[1].Reason != reporter.ReasonReceiver || gates[1].Detail != "401" || !gates[2].WaitUntil.Equal(hour) {
				t.Errorf("gates %+v, %v", gates, err)
			}
		})
	}
}

// found returns the sorted ids of the incidents that an update with this query sees.
func found(t *testing.T, s *store.Store, q reporter.JournalQuery) (ids []string, err error) {
	t.Helper()
	err = s.Update(t.Context(), q, func(v reporter.JournalView) reporter.JournalChanges {
		ids = nil
		for _, in := range v.Incidents {
			ids = append(ids, in.ID)
		}
		return reporter.JournalChanges{}
	})
	slices.Sort(ids)
	return ids, err
}

// Alerts that were stored before they were looked up by cluster are found for theirs, and those of an adopted incident for any.
func TestAlertsOfAnEarlierVersionAreFoundByCluster(t *testing.T) {
	t.Parallel()
	const version = 19
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			b.WriteString(schema(t, kind, version))
			for _, in := range []struct {
				id, cluster string
				adopted     bool
			}{{"A", "a", false}, {"B", "b", false}, {"ADOPTED", "b", true}, {"DEFAULT", "default", false}} {
				adopted := "FALSE"
				if in.adopted {
					adopted = "TRUE"
				}
				fmt.Fprintf(&b, `; INSERT INTO incidents (id, key, cluster, adopted, group_key, receiver, external_url, group_labels, state, started_at,
						close_reason, truncated, notified, sample, alert_count)
						VALUES ('%[1]s', 'k%[1]s', '%[2]s', %[3]s, 'g', 'r', '', '{}', 'open', %[4]d, '', 0, FALSE, FALSE, 1);
					INSERT INTO alerts (incident_id, fingerprint, starts_at, firing, labels, annotations, generator_url, category)
						VALUES ('%[1]s', 'f', %[4]d, TRUE, '{}', '{}', '', 'x')`, in.id, in.cluster, adopted, day.UnixMicro())
			}
			s := upgraded(t, kind, b.String(), version)
			for cluster, want := range map[string]string{
				"a": "[A ADOPTED DEFAULT]", "b": "[ADOPTED B DEFAULT]", "default": "[ADOPTED DEFAULT]", "new": "[ADOPTED DEFAULT]",
			} {
				found, err := found(t, s, reporter.JournalQuery{Alerts: []reporter.JournalSince{{Of: "f", Cluster: cluster, Since: day}}})
				if err != nil || fmt.Sprint(found) != want {
					t.Errorf("alerts of cluster %s are in %v, %v; want %s", cluster, found, err, want)
				}
			}
		})
	}
}

// Open incidents that an earlier version stored, and whose group was not listed whole, are found by that.
func TestGroupsOfAnEarlierVersionThatWereNotListedWhole(t *testing.T) {
	t.Parallel()
	const version = 20
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			b.WriteString(schema(t, kind, version))
			over := strconv.FormatInt(day.UnixMicro(), 10)
			for _, in := range []struct {
				id, group, state, ended string
				truncated               int
				held                    string
			}{
				{"PARTLY", "partly", "open", "NULL", 2, "FALSE"}, {"OF-PARTLY", "partly", "open", "NULL", 0, "FALSE"},
				{"OVER", "partly", "resolved", over, 2, "FALSE"}, {"HELD", "held", "open", "NULL", 2, "TRUE"},
				{"CHRONIC", "chronic", "chronic", "NULL", 2, "FALSE"}, {"WHOLE", "whole", "open", "NULL", 0, "FALSE"},
				{"ENDED", "ended", "resolved", over, 2, "FALSE"}, {"OF-ENDED", "ended", "open", "NULL", 0, "FALSE"},
			} {
				fmt.Fprintf(&b, `; INSERT INTO incidents (id, key, group_key, receiver, external_url, group_labels, state, started_at, ended_at,
						close_reason, truncated, held, notified, sample, alert_count)
						VALUES ('%[1]s', 'k%[1]s', '%[7]s', 'r', '', '{}', '%[2]s', %[3]d, %[4]s, '', %[5]d, %[6]s, FALSE, FALSE, 0)`,
					in.id, in.state, day.UnixMicro(), in.ended, in.truncated, in.held, in.group)
			}
			s := upgraded(t, kind, b.String(), version)
			var q reporter.JournalQuery
			for _, key := range []string{"partly", "held", "chronic", "whole", "ended"} {
				q.Groups = append(q.Groups, reporter.JournalGroup{Cluster: "default", Receiver: "r", GroupKey: key, LeftOut: true})
			}
			found, err := found(t, s, q)
			if want := []string{"CHRONIC", "HELD", "OF-PARTLY", "PARTLY"}; err != nil || !slices.Equal(found, want) {
				t.Errorf("found %v, %v, want %v", found, err, want)
			}
		})
	}
}

// Receivers and group keys of any length can be stored and found again.
func TestKeysOfAnyLength(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		j := journal.New(journal.Config{By: journal.ByAlert, IDLabel: "id", Receivers: []string{strings.Repeat("r", 63)}}, s,
			slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		long := func(end string) string { // that no index row holds, and that cannot be compressed
			var b strings.Builder
			for n := range 2000 {
				fmt.Fprint(&b, n*7919%10007, end)
			}
			return b.String()
		}
		for _, end := range []string{"x", "y"} {
			for _, firing := range []bool{true, false} {
				e := reporter.AlertEvent{
					Receiver: long("r"), GroupKey: long(end), Fingerprint: long(end)[:256], StartsAt: day, Firing: firing,
					Labels: map[string]string{"alertname": long(end), "category": long(end), "id": long(end)},
				}
				if !firing {
					e.EndsAt = day.Add(time.Hour)
				}
				if err := j.Accept(t.Context(), []reporter.AlertEvent{e}); err != nil {
					t.Fatal(err)
				}
			}
		}
		all, err := s.Incidents(t.Context(), 10)
		if err != nil || len(all) != 2 || !all[0].Over() || !all[1].Over() || len(all[0].Key) != 32 || len(all[0].ID) > 128 {
			t.Errorf("%d incidents, %v", len(all), err)
		}
		if ds, err := s.Deliveries(t.Context(), 10); err != nil || len(ds) != 2 {
			t.Errorf("%d deliveries, %v", len(ds), err)
		}
	})
}

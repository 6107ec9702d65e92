package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

const account = "telegram:1"

func tap(id int64) reporter.Update {
	return reporter.Update{
		Account: account, ID: id, Kind: reporter.UpdateTap, Chat: "-1", Message: "7", Tap: "q", Data: "ack:x", SentAt: day,
		From: reporter.Person{Kind: reporter.AuthorTelegram, ID: "42", Name: "安 <b>"},
	}
}

func next(t *testing.T, s *store.Store) (reporter.UpdateState, bool) {
	t.Helper()
	u, found, err := s.NextUpdate(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	return u, found
}

func TestUpdatesAreStoredWithTheirOffset(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		now := day
		s.SetClock(func() time.Time { return now })
		add := func(asked, next int64, want int, us ...reporter.Update) {
			t.Helper()
			if n, err := s.StoreUpdates(t.Context(), account, asked, next, us); err != nil || n != want {
				t.Fatalf("stored %d of %d: %v", n, len(us), err)
			}
			if at, err := s.UpdateOffset(t.Context(), account); err != nil || at != next {
				t.Fatalf("offset %d, %v", at, err)
			}
		}
		first := tap(10)
		first.Text = "a\x00b"
		add(0, 12, 2, first, tap(11))
		add(12, 13, 1, tap(11), tap(12)) // one of them came twice
		// Another process that has asked with an older offset stores nothing.
		if _, err := s.StoreUpdates(t.Context(), account, 12, 20, []reporter.Update{tap(19)}); !errors.Is(err, reporter.ErrOvertaken) {
			t.Errorf("an older offset: %v", err)
		}
		s = open()
		s.SetClock(func() time.Time { return now })
		u, found := next(t, s)
		first.Text = "ab"
		if !found || u.Applied || u.Attempts != 0 || !u.StoredAt.Equal(day) || !cmp.Equal(u.Update, first) {
			t.Errorf("first %v %+v", found, u)
		}
		for id := range int64(3) {
			u, _ := next(t, s)
			if u.ID != 10+id {
				t.Errorf("update %d, want %d", u.ID, 10+id)
			}
			if err := s.FinishUpdate(t.Context(), u.Seq); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.WaitingUpdates(t.Context(), account); err != nil || n != 0 {
			t.Errorf("%d wait, %v", n, err)
		}
		// After a week without updates, Telegram's ids begin again anywhere: what came before does not hide what comes.
		now = day.Add(8 * 24 * time.Hour)
		add(13, 4, 1, tap(3))
		add(4, 12, 1, tap(11))
	})
}

// What a bot that is no longer configured has received does not count for the others, and is deleted after a week.
func TestUpdatesOfARemovedBot(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		now := day
		s.SetClock(func() time.Time { return now })
		if _, err := s.StoreUpdates(t.Context(), "telegram:9", 0, 2, []reporter.Update{tap(1)}); err != nil {
			t.Fatal(err)
		}
		waiting := func(want map[string]int) {
			t.Helper()
			for of, n := range want {
				if got, err := s.WaitingUpdates(t.Context(), of); err != nil || got != n {
					t.Errorf("%d of %s wait, want %d: %v", got, of, n, err)
				}
			}
		}
		now = day.Add(6 * 24 * time.Hour)
		if _, err := s.StoreUpdates(t.Context(), account, 0, 2, []reporter.Update{tap(1)}); err != nil {
			t.Fatal(err)
		}
		waiting(map[string]int{"telegram:9": 1, account: 1})
		now = day.Add(8 * 24 * time.Hour)
		if _, err := s.StoreUpdates(t.Context(), account, 2, 3, nil); err != nil {
			t.Fatal(err)
		}
		waiting(map[string]int{"telegram:9": 0, account: 1})
	})
}

func TestUpdateIsAppliedOnceWithItsAnswer(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, -1))
		if _, err := s.StoreUpdates(t.Context(), account, 0, 2, []reporter.Update{tap(1)}); err != nil {
			t.Fatal(err)
		}
		u, _ := next(t, s)
		answer := reporter.UpdateAnswer{Tap: "q", Text: "ok"}
		apply := func(then error) error {
			return s.ApplyUpdate(t.Context(), u.Seq, func(ctx context.Context, w reporter.UpdateWork) (reporter.UpdateAnswer, error) {
				if _, _, err := w.Acknowledge(ctx, "I", u.From, reporter.MessageRef{Receiver: "r", MessageID: "7"}); err != nil {
					return answer, err
				}
				if _, err := w.Write(ctx, reporter.Entry{
					Incident: "I", Kind: reporter.EntryNote, Text: "n", AuthorKind: reporter.AuthorTelegram, Author: "x", WrittenAt: day,
				}); err != nil {
					return answer, err
				}
				d := reporter.NewDelivery(reporter.DeliveryAnswer, reporter.AnswerText, "r", day)
				d.Key, d.ReplyTo, d.Message = "answer/1", "99", &reporter.Message{HTML: "x"}
				if err := w.Enqueue(ctx, d); err != nil {
					return answer, err
				}
				if err := w.UpdateGate(ctx, "chat x", func(g *reporter.Gate) { g.MovedTo = "-2" }); err != nil {
					return answer, err
				}
				return answer, then
			})
		}
		left := func() (entries, deliveries int) {
			t.Helper()
			es, err1 := s.Entries(t.Context(), "I")
			ds, err2 := s.Deliveries(t.Context(), 10)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			return len(es), len(ds)
		}
		broken := errors.New("broken")
		if err := apply(broken); !errors.Is(err, broken) {
			t.Errorf("failed: %v", err)
		}
		if es, ds := left(); es != 0 || ds != 0 {
			t.Errorf("a failed one left %d entries and %d deliveries", es, ds)
		}
		if err := s.TryUpdate(t.Context(), u.Seq, 1); err != nil {
			t.Error(err)
		}
		if again, found := next(t, s); !found || again.Applied || again.Attempts != 1 {
			t.Errorf("after a failure: %+v", again)
		}
		for range 2 { // A process that was killed afterwards does it again.
			if err := apply(nil); err != nil {
				t.Fatal(err)
			}
			if es, ds := left(); es != 2 || ds != 1 {
				t.Errorf("%d entries and %d deliveries", es, ds)
			}
		}
		again, found := next(t, s)
		if !found || !again.Applied || again.Answer != answer {
			t.Errorf("applied: %+v", again)
		}
		gates, err := s.Gates(t.Context(), "chat x")
		if err != nil || gates[0].MovedTo != "-2" {
			t.Errorf("gate %+v, %v", gates, err)
		}
		ds, err := s.Deliveries(t.Context(), 1)
		if err != nil || ds[0].ReplyTo != "99" {
			t.Fatalf("%+v, %v", ds, err)
		}
		if to, err := s.ReplyTo(t.Context(), ds[0]); err != nil || to != "99" {
			t.Errorf("replies to %q, %v", to, err)
		}
		if err := s.FinishUpdate(t.Context(), u.Seq); err != nil {
			t.Fatal(err)
		}
		if _, found := next(t, s); found {
			t.Error("what is done is still there")
		}
	})
}

func TestMessagesAreFoundWithWhatTheyAreAbout(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("A", 0, 5), incident("B", 0, 6))
		send := func(kind reporter.DeliveryKind, subject, receiver string, parts ...reporter.Part) int64 {
			t.Helper()
			d := reporter.NewDelivery(kind, subject, receiver, day)
			if _, err := s.Enqueue(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			ds, err := s.Deliveries(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			ds[0].Parts = parts
			if err := s.Save(t.Context(), ds[0]); err != nil {
				t.Fatal(err)
			}
			return ds[0].ID
		}
		send(reporter.DeliveryFiring, "A", "r1", reporter.Part{MessageID: "1"}, reporter.Part{MessageID: "2"})
		send(reporter.DeliveryFiring, "B", "r4", reporter.Part{MessageID: "1", Chat: "chat b"})
		send(reporter.DeliveryAnswer, reporter.AnswerIncident+"A", "r4", reporter.Part{MessageID: "1", Chat: "chat a"})
		send(reporter.DeliveryFiring, "A", "r5", reporter.Part{MessageID: "1", Chat: "chat @Team"})
		send(reporter.DeliveryReport, "daily@2026-04-22T00:00:00Z", "r1", reporter.Part{MessageID: "3"})
		send(reporter.DeliveryFiring, "B", "r2", reporter.Part{MessageID: "1"}, reporter.Part{SendingAt: day})
		for _, id := range []string{"A", "B"} {
			if _, err := s.Enqueue(t.Context(), reporter.NewDelivery(reporter.DeliveryPostmortem, id, "r3", day)); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.Merge(t.Context(), "r3", reporter.DeliveryPostmortem, reporter.DeliveryDigest, day, 2); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		digest, err := s.Deliveries(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		digest[0].Parts = []reporter.Part{{MessageID: "8", Ambiguous: 1}}
		if err := s.Save(t.Context(), digest[0]); err != nil {
			t.Fatal(err)
		}
		for name, tc := range map[string]struct {
			receivers []string
			message   string
			want      string
		}{
			"first part":       {[]string{"r1"}, "1", "firing [A]"},
			"second part":      {[]string{"r1", "r9"}, "2", "firing [A]"},
			"another chat":     {[]string{"r2"}, "1", "firing [B]"},
			"report":           {[]string{"r1"}, "3", "report []"},
			"digest":           {[]string{"r3"}, "8", "digest [A B]"},
			"answer":           {[]string{"r4"}, "1", "answer [A]"}, // and not what the group had before it became another one
			"chat by its name": {[]string{"r5"}, "1", "firing [A]"},
			"no such message":  {[]string{"r1"}, "8", "not found"},
			"no receiver":      {nil, "1", "not found"},
			"hostile receiver": {[]string{"r1' OR '1'='1"}, "1", "not found"},
		} {
			m, err := s.MessageOf(t.Context(), tc.receivers, []string{"chat A", "chat @team"}, tc.message)
			got := fmt.Sprint(m.Kind, " ", m.Incidents)
			if errors.Is(err, reporter.ErrNotFound) {
				got, err = "not found", nil
			}
			if err != nil || got != tc.want {
				t.Errorf("%s: %s, %v; want %s", name, got, err, tc.want)
			}
		}
		for of, want := range map[string]bool{"A r1": false, "B r2": true, "A r3": true, "B r1": false} {
			incident, receiver, _ := strings.Cut(of, " ")
			if got, err := s.MayHaveSent(t.Context(), incident, receiver); err != nil || got != want {
				t.Errorf("may have sent %s: %v, %v", of, got, err)
			}
		}
		for of, want := range map[string]bool{"A r1": true, "B r1": false, "A r3": true} {
			incident, receiver, _ := strings.Cut(of, " ")
			if got, err := s.WasSentTo(t.Context(), incident, []string{receiver}); err != nil || got != want {
				t.Errorf("was sent %s: %v, %v", of, got, err)
			}
		}
	})
}

func TestOpenIncidentsOfRoutes(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		var all []reporter.Incident
		for n, route := range []string{"", "db", "db", "web", "db"} {
			in := incident(fmt.Sprint("I", n), n, -1)
			in.Key, in.Route = in.ID, route
			if n == 4 {
				in.State = reporter.IncidentChronic
			}
			all = append(all, in)
		}
		over := incident("over", 9, 1)
		over.Key, over.Route = "over", "db"
		put(t, s, append(all, over)...)
		if _, _, err := s.Acknowledge(t.Context(), "I1", reporter.Person{Kind: reporter.AuthorPage, Name: "bob"}, reporter.MessageRef{}); err != nil {
			t.Fatal(err)
		}
		list, counts, err := s.OpenOf(t.Context(), []string{"db", ""}, 3)
		var got []string
		for _, in := range list {
			got = append(got, in.ID+in.By)
		}
		if err != nil || fmt.Sprint(got) != "[I2 I1bob I0]" || counts[reporter.IncidentOpen] != 3 || counts[reporter.IncidentChronic] != 1 {
			t.Errorf("%v %v %v", got, counts, err)
		}
		if list, _, err := s.OpenOf(t.Context(), nil, 3); err != nil || list != nil {
			t.Errorf("of no route: %v, %v", list, err)
		}
	})
}

// The buttons of a message work as long as its incident is kept, and so the message has to be known.
func TestMessagesOfAnIncidentThatLastsAreKept(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		over := incident("over", 0, 1)
		over.Key, over.LastSeenAt = "over", day
		put(t, s, incident("lasts", 0, -1), over)
		for _, id := range []string{"lasts", "over"} {
			d := reporter.NewDelivery(reporter.DeliveryFiring, id, "r", day)
			d.State, d.FinishedAt = reporter.DeliverySent, day
			if _, err := s.Enqueue(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			ds, err := s.Deliveries(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			ds[0].Parts = []reporter.Part{{MessageID: id}}
			if err := s.Save(t.Context(), ds[0]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Prune(t.Context(), day.Add(200*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if m, err := s.MessageOf(t.Context(), []string{"r"}, []string{"chat"}, "lasts"); err != nil || m.Subject != "lasts" {
			t.Errorf("the message of the incident that lasts: %+v, %v", m, err)
		}
		if m, err := s.MessageOf(t.Context(), []string{"r"}, []string{"chat"}, "over"); !errors.Is(err, reporter.ErrNotFound) {
			t.Errorf("the message of the incident that is over: %+v, %v", m, err)
		}
	})
}

package incident_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
)

var timelines = flag.Uint64("incident.timelines", 60, "how many random timelines the journal is compared on")

// received is one event of the model: minutes since the begin of the day.
type received struct {
	at, start, end float64 // end < 0 is firing
	alert          string
}

// model is the rules of incidents, written down as slowly as can be: it keeps every event, and derives everything from all
// of them again and again.
type model struct {
	events    []received
	incidents [][]string // the episodes of each, in the order in which the incidents opened
}

const (
	reopenWithin = 15.0
	copyWithin   = 2.0 // a firing received so soon after a resolve may be a copy
	doubtFor     = 6.0
)

func (e received) episode() string { return fmt.Sprintf("%s@%.6f", e.alert, e.start) }

// history of an episode up to a time, in the order of receipt.
func (m *model) history(episode string, now float64) (out []received) {
	for _, e := range m.events {
		if e.episode() == episode && e.at <= now {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b received) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	return out
}

// state of an episode at a time, by going through its history step by step.
func (m *model) state(episode string, now float64) (firing bool, end float64) {
	type resolve struct{ end, at float64 }
	var resolves []resolve
	state, resolvedAt, doubtAt, lastFiring := "none", 0.0, 0.0, -1.0
	pass := func(t float64) {
		if state == "doubt" && t >= doubtAt+doubtFor {
			state = "firing"
		}
	}
	history := m.history(episode, now)
	for _, e := range history {
		pass(e.at)
		if e.end < 0 {
			lastFiring = e.at
			switch {
			case state == "none":
				state = "firing"
			case state != "firing" && e.at > resolvedAt+copyWithin:
				state = "firing"
			case state != "firing":
				state, doubtAt = "doubt", e.at
			}
			continue
		}
		known := slices.ContainsFunc(resolves, func(r resolve) bool { return r.end == e.end })
		switch {
		case !known:
			resolves = append(resolves, resolve{e.end, e.at})
			state, resolvedAt = "resolved", e.at
		case state == "doubt":
			state = "resolved"
		}
	}
	pass(now)
	start := history[0].start
	if state == "firing" {
		// A later episode of the alert was received since, so this one is over.
		for _, e := range m.events {
			if e.alert == history[0].alert && e.start > start && e.at <= now && lastFiring <= e.at+copyWithin && m.info(e.episode(), now)+copyWithin >= lastFiring {
				return false, m.nextStart(history[0], now)
			}
		}
		return true, 0
	}
	for _, r := range resolves {
		if r.at >= lastFiring {
			end = max(end, r.end)
		}
	}
	if end == 0 {
		for _, r := range resolves {
			end = max(end, r.end)
		}
	}
	return false, end
}

// info is when something new of an episode was received last: a firing, or an end for the first time.
func (m *model) info(episode string, now float64) (last float64) {
	seen := map[float64]bool{}
	for _, e := range m.history(episode, now) {
		if e.end < 0 || !seen[e.end] {
			last = max(last, e.at)
		}
		seen[e.end] = true
	}
	return last
}

func (m *model) nextStart(of received, now float64) float64 {
	next := 1e9
	for _, e := range m.events {
		if e.alert == of.alert && e.start > of.start && e.at <= now {
			next = min(next, e.start)
		}
	}
	return next
}

// span of an incident at a time; open incidents have no end.
func (m *model) span(in []string, now float64) (start, end float64, open bool) {
	start = 1e9
	for _, episode := range in {
		start = min(start, m.history(episode, now)[0].start)
		firing, at := m.state(episode, now)
		open = open || firing
		end = max(end, at)
	}
	return start, end, open
}

// receive places the episode of an event that is received now, if it is new.
func (m *model) receive(e received) {
	for _, in := range m.incidents {
		if slices.Contains(in, e.episode()) {
			m.events = append(m.events, e)
			return
		}
	}
	best, bestOpen, bestStart := -1, false, 0.0
	for n, in := range m.incidents {
		start, end, open := m.span(in, e.at)
		fits := (open || e.start <= end+reopenWithin) && (e.end < 0 || e.end+reopenWithin >= start)
		if fits && (best < 0 || (open && !bestOpen) || (open == bestOpen && start > bestStart)) {
			best, bestOpen, bestStart = n, open, start
		}
	}
	if best < 0 {
		m.incidents = append(m.incidents, nil)
		best = len(m.incidents) - 1
	}
	m.incidents[best] = append(m.incidents[best], e.episode())
	m.events = append(m.events, e)
}

func (m *model) String() string {
	var out []string
	for _, in := range m.incidents {
		start, end, open := m.span(in, m.events[len(m.events)-1].at)
		if open {
			end = -1
		}
		out = append(out, fmt.Sprintf("%.6f-%.6f %d", start, end, len(in)))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// timeline makes events of a few alerts that come and go, as two Alertmanagers that lag behind each other send them: late,
// twice, with frozen starts, and with ends that differ a little. Times of receipt are distinct.
func timeline(rng *rand.Rand) (out []received) {
	for a := range 1 + rng.IntN(3) {
		clock := rng.Float64() * 30
		for range 1 + rng.IntN(5) {
			start := clock
			end := start + 1 + rng.Float64()*25
			alert := string(rune('a' + a))
			lag := func() float64 { return rng.Float64() * 3 }
			send := func(at, end float64) { out = append(out, received{at: at, start: start, end: end, alert: alert}) }
			send(start+lag(), -1)
			for repeat := start + 5; repeat < end; repeat += 5 {
				send(repeat+lag(), -1)
			}
			send(end+lag(), end)
			switch rng.IntN(5) {
			case 0: // the other peer, late
				send(start+4*lag(), -1)
				send(end+2*lag(), end)
			case 1: // fires again with the same start
				again := end + 1 + rng.Float64()*8
				send(again, -1)
				end = again + rng.Float64()*10
				send(end+lag(), end)
			case 2: // the other peer has another end
				send(end+lag(), end+rng.Float64()/2)
			}
			clock = end + 0.5 + rng.Float64()*30
		}
	}
	slices.SortFunc(out, func(a, b received) int {
		if a.at < b.at {
			return -1
		}
		return 1
	})
	return out
}

// The journal's incidents are those of the model, after every event.
func TestJournalIsAsTheModel(t *testing.T) {
	t.Parallel()
	for seed := range *timelines {
		m, mem := &model{}, newMemory()
		j := journal(mem, config)
		r := incident.NewReconciler(incident.ReconcileConfig{}, j, mem, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func() time.Time { return mem.clock })
		var log []string
		for _, e := range timeline(rand.New(rand.NewPCG(seed, 7))) {
			m.receive(e)
			mem.clock = at(e.at)
			if err := r.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := j.Accept(t.Context(), []reporter.AlertEvent{event(e.alert, e.start, e.end)}); err != nil {
				t.Fatal(err)
			}
			log = append(log, fmt.Sprintf("%.3f: %s from %.3f to %.3f", e.at, e.alert, e.start, e.end))
			var got []string
			for _, in := range mem.sorted() {
				end := -1.0
				if in.Over() {
					end = in.EndedAt.Sub(day).Minutes()
				}
				got = append(got, fmt.Sprintf("%.6f-%.6f %d", in.StartedAt.Sub(day).Minutes(), end, len(in.Alerts)))
			}
			slices.Sort(got)
			if got, want := near(strings.Join(got, ", ")), near(m.String()); got != want {
				t.Fatalf("seed %d: incidents are\n%s\nthe model has\n%s\nafter\n%s", seed, got, want, strings.Join(log, "\n"))
			}
		}
	}
}

// near leaves out what rounding to microseconds changes.
func near(s string) string {
	var out strings.Builder
	for n, c := range strings.Split(s, ".") {
		if n > 0 {
			out.WriteString("." + c[:3] + strings.TrimLeft(c, "0123456789"))
			continue
		}
		out.WriteString(c)
	}
	return out.String()
}

// With receive times given, the order in which the events of an alert are applied does not matter, and neither do repeats.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	for seed := range *timelines {
		rng := rand.New(rand.NewPCG(seed, 8))
		all := timeline(rng)
		start := all[0].start
		all = slices.DeleteFunc(all, func(e received) bool { return e.alert != "a" || e.start != start })
		if len(all) == 0 {
			continue
		}
		end := all[len(all)-1].at + 10
		want := ""
		for round := range 6 {
			mem := newMemory()
			j := journal(mem, config)
			mem.clock = at(end)
			order := slices.Clone(all)
			if round > 0 {
				order = append(order, all[rng.IntN(len(all))])
				rng.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
			}
			for _, e := range order {
				if err := j.Accept(t.Context(), []reporter.AlertEvent{after(e.at, event(e.alert, e.start, e.end))}); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, in := range mem.sorted() {
				for _, a := range in.Alerts {
					ended, _ := a.Ended()
					got = append(got, fmt.Sprint(in.State, a.StartsAt, ended, a.SeenAt, a.Firing, in.StartedAt, in.EndedAt))
				}
			}
			if text := strings.Join(got, "\n"); round == 0 {
				want = text
			} else if text != want {
				t.Fatalf("seed %d: in another order\n%s\nwant\n%s", seed, text, want)
			}
		}
	}
}

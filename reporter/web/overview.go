package web

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	overviewListed = 5
	// recently is how long a failed delivery is listed.
	recently = 24 * time.Hour
	// staleAfter is the most age of the collector's newest sample without a trouble: PromQL's lookback.
	staleAfter = 5 * time.Minute
	// waitsLong is the most age of the oldest pending delivery without a trouble.
	waitsLong = 10 * time.Minute
)

// trouble is a line about something that is wrong, with the path of a page about it.
type trouble struct{ Text, Path string }

type overviewBody struct {
	Parts    Parts
	Troubles []trouble
	// Unverified lists what has not been checked yet.
	Unverified []trouble
	Open       []incidentRow
	Reports    []reportRow
	Pending    int
	Waiting    []deliveryRow
	Latest     []deliveryRow
	GivenUp    []deliveryRow
}

func (p *Pages) overview(w http.ResponseWriter, r *http.Request) {
	v := p.page("overview", "overview")
	var body overviewBody
	open, err := p.cfg.Store.ListIncidents(r.Context(), reporter.IncidentFilter{State: reporter.IncidentOpen, Limit: overviewListed})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	body.Open = v.incidentRows(open.Rows)
	for into, state := range map[*[]deliveryRow]reporter.DeliveryState{
		&body.Latest: "", &body.Waiting: reporter.DeliveryPending, &body.GivenUp: reporter.DeliveryGivenUp,
	} {
		ds, err := p.cfg.Store.ListDeliveries(r.Context(), reporter.DeliveryFilter{State: state, Limit: overviewListed})
		if err != nil {
			p.fail(w, r, err)
			return
		}
		*into = v.deliveryRows(ds, acting{})
	}
	body.GivenUp = slices.DeleteFunc(body.GivenUp, func(d deliveryRow) bool { return v.now.Sub(d.D.FinishedAt) > recently })
	if body.Reports, err = p.reportRows(r, v); err != nil {
		p.fail(w, r, err)
		return
	}
	body.Parts = p.cfg.Status.Parts(r.Context())
	for _, n := range body.Parts.Pending {
		body.Pending += n
	}
	body.Troubles = append(v.troubles(body.Parts), v.lost(body.GivenUp)...)
	body.Unverified = v.unverified(body.Parts, p.cfg.Status.Receivers())
	v.Body = body
	p.show(w, r, "overview.html", v)
}

func (v *page) lost(given []deliveryRow) []trouble {
	var out []trouble
	for _, d := range given {
		out = append(out, trouble{v.T("trouble_given_up", d.What, d.D.Receiver), "/deliveries?state=given_up"})
	}
	return out
}

// troubles lists what is wrong with the parts.
func (v *page) troubles(s Parts) []trouble {
	var out []trouble
	add := func(path, key string, args ...any) { out = append(out, trouble{v.T(key, args...), path}) }
	if s.Fault != "" {
		add("/sources", "trouble_state")
	}
	missing := slices.DeleteFunc(slices.Clone(s.Heartbeats), func(h reporter.Heartbeat) bool { return !h.Missing() })
	for _, h := range missing[:min(len(missing), overviewListed)] {
		add("/sources#heartbeats", "trouble_heartbeat", h.Name(), h.Cluster, v.Relative(h.SeenAt, v.now))
	}
	if more := len(missing) - overviewListed; more > 0 {
		add("/sources#heartbeats", "trouble_heartbeats", more)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Suspended)) {
		add("/sources#receivers", "trouble_stopped", name, v.suspended(s, name))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Verified)) {
		if fault := s.Verified[name].Fault; fault != "" && !s.suspended(name) {
			add("/sources#receivers", "trouble_receiver", name, fault)
		}
	}
	for _, account := range slices.Sorted(maps.Keys(s.NotPolled)) {
		add("/sources#receivers", "trouble_not_polled", account, s.NotPolled[account])
	}
	if !s.Oldest.IsZero() && v.now.Sub(s.Oldest) > waitsLong {
		add("/deliveries?state=pending", "trouble_waits", v.Dur(v.now.Sub(s.Oldest)))
	}
	failed := map[string]int{}
	for _, q := range s.Queries {
		if q.Fault != "" {
			failed[q.Source]++
		}
	}
	for _, source := range slices.Sorted(maps.Keys(failed)) {
		add("/sources#queries", "trouble_source", source, failed[source])
	}
	switch {
	case s.Figures.Fault != "":
		add("/sources#figures", "trouble_figures", s.Figures.Fault)
	case s.Figures.Newest.IsZero() && !v.young: // soon after the start there may be none yet
		add("/sources#figures", "trouble_no_samples")
	case s.Figures.Newest.IsZero():
	case v.now.Sub(s.Figures.Newest) > staleAfter:
		add("/sources#figures", "trouble_stale", v.Dur(v.now.Sub(s.Figures.Newest)))
	}
	if fault := s.compareFault(); fault != "" {
		add("/sources#alertmanagers", "trouble_alertmanagers", fault)
	}
	return out
}

// namedClusters is the most failing clusters that are named in one line.
const namedClusters = 5

// compareFault returns the names of the clusters whose API fails, or why the comparison failed; "" if nothing failed.
func (s Parts) compareFault() string {
	var names []string
	fault := ""
	for _, c := range s.Clusters {
		if c.Fault != "" {
			names, fault = append(names, c.Name), c.Fault
		}
	}
	switch n := len(names); {
	case n == 0:
		return s.CompareFault
	case n == 1:
		return names[0] + ": " + fault
	case n > namedClusters:
		return strings.Join(names[:namedClusters], ", ") + " … (" + strconv.Itoa(n) + ")"
	}
	return strings.Join(names, ", ")
}

// suspended reports whether a receiver is suspended.
func (s Parts) suspended(receiver string) bool {
	_, ok := s.Suspended[receiver]
	return ok
}

// suspended writes why a receiver is suspended, with the channel's answer; "" if it is not.
func (v *page) suspended(s Parts, receiver string) string {
	if !s.suspended(receiver) {
		return ""
	}
	g := s.Suspended[receiver]
	return v.Explain(string(cmp.Or(g.Reason, reporter.ReasonReceiver)), g.Detail)
}

// unverified lists what has not been checked since the start or the last reload.
func (v *page) unverified(s Parts, receivers []Receiver) []trouble {
	var out []trouble
	seen := map[string]bool{}
	for _, q := range s.Queries {
		if q.At.IsZero() && !seen[q.Source] {
			seen[q.Source] = true
			out = append(out, trouble{v.T("unverified_source", q.Source), "/sources#queries"})
		}
	}
	for _, r := range receivers {
		if _, known := s.Verified[r.Name]; !known && !s.suspended(r.Name) {
			out = append(out, trouble{v.T("unverified_receiver", r.Name), "/sources#receivers"})
		}
	}
	for _, route := range s.HeartbeatRoutes {
		if !slices.ContainsFunc(s.Heartbeats, func(h reporter.Heartbeat) bool { return h.Route == route }) {
			out = append(out, trouble{v.T("unverified_heartbeat", route), "/sources#heartbeats"})
		}
	}
	if v.young && s.Figures.Fault == "" && s.Figures.Newest.IsZero() {
		out = append(out, trouble{v.T("unverified_samples"), "/sources#figures"})
	}
	if len(s.Clusters) > 0 && s.Open > 0 && s.Compared.IsZero() && s.CompareFault == "" {
		out = append(out, trouble{v.T("unverified_alertmanagers"), "/sources#alertmanagers"})
	}
	return out
}

type sourcesBody struct {
	Parts        Parts
	CompareFault string
	Sources      []sourceRow
	Receivers    []receiverRow
	Reports      []Plan
	// Heartbeats are the first heartbeatsListed, missing ones first, and MoreHeartbeats the number of the others.
	Heartbeats     []reporter.Heartbeat
	MoreHeartbeats int
}

// rank orders failing clusters after others.
func (c Cluster) rank() int {
	if c.Fault != "" {
		return 1
	}
	return 0
}

// heartbeatsListed is the most heartbeats on the page.
const heartbeatsListed = 200

// sourceRow is a source with its queries.
type sourceRow struct {
	Name, Kind string
	Asked, Up  bool
	Queries    []Query
}

type receiverRow struct {
	Receiver
	Suspended  string // why; "" if it is not
	Pending    int
	Configured bool
	Verified   Verification // At is zero if it was not verified yet
}

func (p *Pages) sources(w http.ResponseWriter, r *http.Request) {
	v := p.page("sources", "sources")
	body := sourcesBody{Parts: p.cfg.Status.Parts(r.Context()), Reports: p.cfg.Status.Reports()}
	body.CompareFault = body.Parts.compareFault()
	// Failing clusters come first.
	slices.SortStableFunc(body.Parts.Clusters, func(a, b Cluster) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()), strings.Compare(a.Name, b.Name))
	})
	for _, q := range body.Parts.Queries {
		if n := len(body.Sources); n == 0 || body.Sources[n-1].Name != q.Source {
			body.Sources = append(body.Sources, sourceRow{Name: q.Source, Kind: q.Kind})
		}
		s := &body.Sources[len(body.Sources)-1]
		s.Asked = s.Asked || !q.At.IsZero()
		s.Up = q.Up
		s.Queries = append(s.Queries, q)
	}
	body.Heartbeats = body.Parts.Heartbeats[:min(len(body.Parts.Heartbeats), heartbeatsListed)]
	body.MoreHeartbeats = len(body.Parts.Heartbeats) - len(body.Heartbeats)
	known := map[string]bool{}
	for _, rc := range p.cfg.Status.Receivers() {
		known[rc.Name] = true
		body.Receivers = append(body.Receivers, receiverRow{
			rc, v.suspended(body.Parts, rc.Name), body.Parts.Pending[rc.Name], true, body.Parts.Verified[rc.Name],
		})
	}
	for _, name := range slices.Sorted(maps.Keys(body.Parts.Pending)) {
		if !known[name] { // the receiver is no longer configured
			body.Receivers = append(body.Receivers, receiverRow{
				Receiver{Name: name}, v.suspended(body.Parts, name), body.Parts.Pending[name], false, Verification{},
			})
		}
	}
	v.Body = body
	p.show(w, r, "sources.html", v)
}

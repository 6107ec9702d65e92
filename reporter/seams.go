package reporter

import "time"

// JournalQuery says what an update of the incident journal has to know: the incidents of these keys that are open or ended
// at or after a time, those that hold an episode of these alerts that is firing or ended at or after a time, those of these
// groups that are open, those of these IDs, and which of the names are in use.
type JournalQuery struct {
	// Within is how long before the time of a key or an alert an incident or an episode may have ended. A time later than the state's
	// clock, by a sender's clock that is ahead, counts as the state's.
	Within    time.Duration
	Keys      []JournalSince
	Groups    []JournalGroup
	Alerts    []JournalSince // by fingerprint, of their cluster, the default one, and what was the default one's
	Incidents []string       // IDs
	Names     []string       // IDs that a new incident might get

	Heartbeats      []string // fingerprints of heartbeats, of whatever cluster
	HeartbeatGroups []string // keys of groups: the heartbeats that they delivered last
	AllHeartbeats   bool
}

// JournalSince is a key, or a fingerprint and its cluster, and since when.
type JournalSince struct {
	Of, Cluster string
	Since       time.Time
}

// From is since when that is by the state's clock.
func (s JournalSince) From(q JournalQuery, now time.Time) time.Time {
	if s.Since.After(now) {
		return now.Add(-q.Within)
	}
	return s.Since.Add(-q.Within)
}

// JournalGroup is a group of Alertmanager's, whose alerts may be in several incidents.
type JournalGroup struct {
	Cluster, Receiver, GroupKey string
	Held                        bool // asks only for incidents that are held open
}

// Has says whether an incident is one of those that are asked for.
func (g JournalGroup) Has(in Incident) bool {
	return in.Cluster == g.Cluster && in.Receiver == g.Receiver && in.GroupKey == g.GroupKey && !in.Over() && (in.Held || !g.Held)
}

// JournalView is what is stored of what was asked. Each incident has at least its alerts that are firing, and those of the
// fingerprints that were asked for.
type JournalView struct {
	Now       time.Time // the state's clock; later at each update
	Incidents []Incident
	Taken     map[string]bool // names in use

	Heartbeats     []Heartbeat // those that were asked for, by cluster and fingerprint
	HeartbeatTotal int         // how many there are; only where heartbeats were asked for
	HeartbeatWatch HeartbeatWatch
	// HeartbeatOutages are the outages that last, of the heartbeats above.
	HeartbeatOutages []HeartbeatOutage
}

// JournalChanges is what an update changes, all of it or nothing.
type JournalChanges struct {
	Incidents []Incident // new or changed, with at least those alerts that are new or changed
	// Recalls are IDs of incidents that fire again: postmortems of theirs that are not sent yet are cancelled.
	Recalls     []string
	Postmortems []PostmortemDue
	Deliveries  []Delivery

	Heartbeats          []Heartbeat // new or changed
	HeartbeatsForgotten []Heartbeat // to be deleted
	HeartbeatOutages    []HeartbeatOutage
	HeartbeatWatch      *HeartbeatWatch // nil leaves it as it is
}

// PostmortemDue asks for the postmortem of an incident that is over. Where none was sent yet it is due at First, else, as an
// update of the one that was, at Update.
type PostmortemDue struct {
	Incident      string
	Receivers     []string
	First, Update time.Time
}

// JournalAlert is a firing alert of an open incident, as reconciliation looks at it.
type JournalAlert struct {
	Incident    string
	Cluster     string
	Fingerprint string
	StartsAt    time.Time
	SeenAt      time.Time // when an event of it was last received
	Doubtful    bool
}

package reporter

import "time"

// JournalQuery selects the part of the incident journal that an update reads: an incident is read if any of the lists selects it.
type JournalQuery struct {
	// Within is how long before the Since of a key or an alert an incident or an episode may have ended. A Since after the state's
	// clock, from a sender whose clock is ahead, counts as the state's.
	Within    time.Duration
	Keys      []JournalSince // incidents of a key that are open or ended within that time
	Groups    []JournalGroup // open incidents of a group
	Alerts    []JournalSince // incidents with an episode of a fingerprint that is firing or ended within that time
	Incidents []string       // ids of incidents
	Names     []string       // ids that a new incident may get: which of them are in use

	Heartbeats      []string // fingerprints of heartbeats, in any cluster
	HeartbeatGroups []string // keys of groups: the heartbeats that they delivered last
	AllHeartbeats   bool
}

// JournalSince is a key, or a fingerprint with its cluster, and a time.
type JournalSince struct {
	Of      string // key or fingerprint
	Cluster string // of a fingerprint. Those of ClusterDefault, and those that once were, are selected too
	Since   time.Time
}

// From returns the earliest end of the incidents and episodes that are selected, by the state's clock.
func (s JournalSince) From(q JournalQuery, now time.Time) time.Time {
	if s.Since.After(now) {
		return now.Add(-q.Within)
	}
	return s.Since.Add(-q.Within)
}

// JournalGroup is an Alertmanager group. Its alerts may be in several incidents.
type JournalGroup struct {
	Cluster, Receiver, GroupKey string
	LeftOut                     bool // selects none unless one of the group's open incidents is Incident.LeftOut
}

// Has reports whether an incident is one of the group's open ones.
func (g JournalGroup) Has(in Incident) bool {
	return in.Cluster == g.Cluster && in.Receiver == g.Receiver && in.GroupKey == g.GroupKey && !in.Over()
}

// JournalView is the result of a JournalQuery. Each incident has at least its firing alerts, and those of the selected
// fingerprints.
type JournalView struct {
	Now       time.Time // the state's clock; later at each update
	Incidents []Incident
	Taken     map[string]bool // which of Names are in use

	Heartbeats     []Heartbeat // the selected ones, by cluster and fingerprint
	HeartbeatTotal int         // number of all heartbeats; set only if the query selects heartbeats
	HeartbeatWatch HeartbeatWatch
	// HeartbeatOutages are the current outages of Heartbeats.
	HeartbeatOutages []HeartbeatOutage
}

// JournalChanges are the changes of an update. They are stored in one transaction.
type JournalChanges struct {
	Incidents []Incident // new or changed, with at least the new and changed alerts
	// Recalls are ids of incidents that fire again: their postmortems that were not sent yet are cancelled.
	Recalls     []string
	Postmortems []PostmortemDue
	Deliveries  []Delivery

	Heartbeats          []Heartbeat // new or changed
	HeartbeatsForgotten []Heartbeat // to be deleted
	HeartbeatOutages    []HeartbeatOutage
	HeartbeatWatch      *HeartbeatWatch // nil leaves it as it is
}

// PostmortemDue requests the postmortem of a resolved incident. It is due at First if none was sent yet, else at Update, as an
// update of the one that was sent.
type PostmortemDue struct {
	Incident      string
	Receivers     []string
	First, Update time.Time
}

// JournalAlert is a firing alert of an open incident, for reconciliation.
type JournalAlert struct {
	Incident    string
	Cluster     string
	Fingerprint string
	StartsAt    time.Time
	SeenAt      time.Time // when an event of it was last received
	Doubtful    bool
}

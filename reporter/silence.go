package reporter

import (
	"errors"
	"time"
)

// SilenceState is pending until the cluster has the silence, then active until it ends there.
type SilenceState string

// The states of a silence.
const (
	SilencePending SilenceState = "pending" // requested, and not confirmed by the cluster yet
	SilenceActive  SilenceState = "active"  // confirmed by the cluster
	SilenceEnding  SilenceState = "ending"  // a person has ended it, and the cluster has not confirmed the end yet
	SilenceEnded   SilenceState = "ended"
	SilenceFailed  SilenceState = "failed" // not created: the cluster refused it, or did not answer in time
)

// Silence is a silence that a person requested for the alerts of an incident, created by the API of the incident's cluster.
type Silence struct {
	ID       string // random id of this program, which the silence's comment in the cluster contains
	Incident string
	Cluster  string
	By       Person
	Matchers []SilenceMatcher // a silenced alert matches all of them
	StartsAt time.Time        // when it was requested
	EndsAt   time.Time
	State    SilenceState
	APIID    string    // the cluster's id; "" if it is not known
	EndedAt  time.Time // zero until it has ended
	EndedBy  string    // name of the person who ended it through this program; "" if it expired, or was ended in the cluster
	Error    string    // why it failed, or why the last request to the cluster failed; never holds a secret
	Attempts int       // to create it, or consecutive failed requests about it
	NextAt   time.Time // of the next request to the cluster
}

// KnownSilence is a silence as its cluster returns it.
type KnownSilence struct {
	ID      string
	EndsAt  time.Time
	Expired bool
}

// ErrNothingInCommon means that no matchers cover the firing alerts of an incident without covering others.
var ErrNothingInCommon = errors.New("no silence would cover its firing alerts and no others")

// ErrRefused means that a server refused a request, and would refuse it again.
var ErrRefused = errors.New("refused")

// SilenceMatcher matches a label by its value, or by a regular expression for the whole value.
type SilenceMatcher struct {
	Name, Value string
	Regex       bool
}

// Lasts reports whether the silence may be in effect now or soon. One that a person has ended lasts until the cluster confirms
// the end.
func (s Silence) Lasts() bool {
	return s.State == SilencePending || s.State == SilenceActive || s.State == SilenceEnding
}

// LastingSilence returns the lasting silence with the latest end, and false if none lasts. It returns one that a person has ended
// only if all lasting ones were.
func LastingSilence(silences []Silence) (last Silence, ok bool) {
	for _, s := range silences {
		ending, before := s.State == SilenceEnding, last.State == SilenceEnding
		if s.Lasts() && (!ok || before && !ending || before == ending && s.EndsAt.After(last.EndsAt)) {
			last, ok = s, true
		}
	}
	return last, ok
}

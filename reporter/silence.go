package reporter

import (
	"errors"
	"time"
)

// SilenceState is how far a silence is.
type SilenceState string

// The states of a silence.
const (
	SilencePending SilenceState = "pending" // asked for, and not known to be in the cluster
	SilenceActive  SilenceState = "active"  // in the cluster, as its API says
	SilenceEnding  SilenceState = "ending"  // a person has ended it, and the cluster is not known to know
	SilenceEnded   SilenceState = "ended"
	SilenceFailed  SilenceState = "failed" // the cluster refused it, or did not answer for too long: there is none
)

// Silence is one that a person asked for an incident's alerts, by the API of the incident's cluster.
type Silence struct {
	ID       string // ours, which its comment in the cluster names; cannot be guessed
	Incident string
	Cluster  string
	By       Person
	Matchers []SilenceMatcher // all of which a silenced alert matches
	StartsAt time.Time        // when it was asked for
	EndsAt   time.Time        // when it is to end
	State    SilenceState
	APIID    string    // the cluster's id; "" if it is not known
	EndedAt  time.Time // zero until it has ended
	EndedBy  string    // the name of who ended it here; "" where it expired, or was ended in the cluster
	Error    string    // why it failed, or why the cluster could not be asked; never holds a secret
	Attempts int       // to create it, or in a row to ask about it
	NextAt   time.Time // when the cluster is to be asked next
}

// KnownSilence is a silence as its cluster has it.
type KnownSilence struct {
	ID      string
	EndsAt  time.Time
	Expired bool
}

// ErrNothingInCommon means that alerts have not enough in common to be silenced without others.
var ErrNothingInCommon = errors.New("no silence would cover its firing alerts and no others")

// ErrRefused means that a server does not take what it was asked to.
var ErrRefused = errors.New("refused")

// SilenceMatcher is a label and its value, or a regular expression that matches it whole.
type SilenceMatcher struct {
	Name, Value string
	Regex       bool
}

// Lasts says whether the silence is in the cluster, or is going to be, as far as is known: also one that a person has ended lasts until the
// cluster says so.
func (s Silence) Lasts() bool {
	return s.State == SilencePending || s.State == SilenceActive || s.State == SilenceEnding
}

// LastingSilence is the one of these that ends last; one that a person has ended only where no other lasts. False where none lasts.
func LastingSilence(silences []Silence) (last Silence, ok bool) {
	for _, s := range silences {
		ending, before := s.State == SilenceEnding, last.State == SilenceEnding
		if s.Lasts() && (!ok || before && !ending || before == ending && s.EndsAt.After(last.EndsAt)) {
			last, ok = s, true
		}
	}
	return last, ok
}

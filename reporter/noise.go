package reporter

import (
	"cmp"
	"slices"
	"time"
)

// The definition of noise.
const (
	// NoiseWindow is the time that a review covers.
	NoiseWindow = 7 * 24 * time.Hour
	// NoiseLeast is the least number of episodes for a statement about them; an average of fewer is a coincidence.
	NoiseLeast = 3
	// NoiseShort is the duration below which an episode is short: nobody can have reacted to it.
	NoiseShort = 5 * time.Minute
	// NoiseFlap is the longest gap between two episodes of an alert that makes the second one a flap.
	NoiseFlap = 15 * time.Minute
)

// NoiseReview counts the noise of each alert name in the episodes between two times.
type NoiseReview struct {
	Since, Until time.Time
	Rows         []NoiseRow // names with NoiseLeast episodes or more; most episodes first, then by name
	Names        int        // number of such names, of which Rows may be only the first
	// Acknowledging is set if any stored incident was acknowledged, so that shares of acknowledged episodes mean something.
	Acknowledging bool
}

// NoiseRow counts the episodes of one alert name. Some episodes of a very large incident are kept as counts only (Folded); whether
// these flapped is not known.
type NoiseRow struct {
	Name       string
	Alerts     int           // number of alerts of the name, by label set, that fired in the window
	Episodes   int           // that began in the window
	Folded     int           // of Episodes, those that are kept as counts only
	Flaps      int           // of Episodes, those that began within NoiseFlap after the previous one of the same alert
	OffHours   int           // of Episodes, those that began outside working hours
	Ended      int           // of Episodes, those that ended in the window
	Short      int           // of Ended, those shorter than NoiseShort
	Firing     time.Duration // total time firing within the window, including episodes that began before it
	Resolution time.Duration // total duration of Ended

	Acknowledged          int           // of Episodes, those of incidents that were acknowledged at any time
	AcknowledgedIncidents int           // the incidents of Acknowledged
	ToAcknowledge         time.Duration // total of these incidents' times from start to first acknowledgement
}

// NoiseReason is why an alert is a candidate to be fixed.
type NoiseReason string

// The reasons, each with the share that it is computed from.
const (
	NoiseFlapping NoiseReason = "flapping"  // Flaps of the episodes that are not folded
	NoiseBrief    NoiseReason = "short"     // Short of Ended
	NoiseStanding NoiseReason = "standing"  // Firing of the window times Alerts
	NoiseOffHours NoiseReason = "off_hours" // OffHours of Episodes
)

// noiseShares holds the least share of each reason that makes an alert a candidate. Working hours are a quarter of a week, so three
// quarters of evenly spread episodes begin outside them.
var noiseShares = []struct {
	reason NoiseReason
	from   float64
}{{NoiseFlapping, 0.5}, {NoiseBrief, 0.5}, {NoiseStanding, 0.5}, {NoiseOffHours, 0.9}}

// NoiseCandidate is a reason with its share, from 0 to 1.
type NoiseCandidate struct {
	Reason NoiseReason
	Share  float64
}

// Candidate returns the reasons to fix the alert, the largest share first.
func (r NoiseRow) Candidate(window time.Duration) []NoiseCandidate {
	var out []NoiseCandidate
	for _, s := range noiseShares {
		part, whole := r.share(s.reason, window)
		if share := part / whole; whole > 0 && share >= s.from {
			out = append(out, NoiseCandidate{s.reason, min(share, 1)})
		}
	}
	slices.SortStableFunc(out, func(a, b NoiseCandidate) int { return cmp.Compare(b.Share, a.Share) })
	return out
}

// share returns a part and its whole. The whole is 0 if there are fewer than NoiseLeast episodes.
func (r NoiseRow) share(reason NoiseReason, window time.Duration) (part, whole float64) {
	n := 0
	switch reason {
	case NoiseFlapping:
		part, n = float64(r.Flaps), r.Episodes-r.Folded
	case NoiseBrief:
		part, n = float64(r.Short), r.Ended
	case NoiseOffHours:
		part, n = float64(r.OffHours), r.Episodes
	case NoiseStanding:
		if r.Episodes < NoiseLeast {
			return 0, 0
		}
		return r.Firing.Seconds(), window.Seconds() * float64(r.Alerts)
	}
	if n < NoiseLeast {
		return 0, 0
	}
	return part, float64(n)
}

// ShortShare returns the share of ended episodes that were short, from 0 to 1; false if fewer than NoiseLeast ended.
func (r NoiseRow) ShortShare() (float64, bool) {
	part, whole := r.share(NoiseBrief, 0)
	if whole == 0 {
		return 0, false
	}
	return part / whole, true
}

// MeanResolution returns the mean duration of the ended episodes; false if fewer than NoiseLeast ended.
func (r NoiseRow) MeanResolution() (time.Duration, bool) {
	if r.Ended < NoiseLeast {
		return 0, false
	}
	return r.Resolution / time.Duration(r.Ended), true
}

// AcknowledgedShare returns the share of episodes whose incident was acknowledged, from 0 to 1; false for fewer than NoiseLeast.
func (r NoiseRow) AcknowledgedShare() (float64, bool) {
	if r.Episodes < NoiseLeast {
		return 0, false
	}
	return min(float64(r.Acknowledged)/float64(r.Episodes), 1), true
}

// MeanAcknowledgement returns the mean time to acknowledge an incident of the alert; false if fewer than NoiseLeast were.
func (r NoiseRow) MeanAcknowledgement() (time.Duration, bool) {
	if r.AcknowledgedIncidents < NoiseLeast {
		return 0, false
	}
	return r.ToAcknowledge / time.Duration(r.AcknowledgedIncidents), true
}

// WorkingHours are the hours from From to To on Days, by the clock of Zone. A To that is not after From is on the next day. The
// zero value means that no working hours are known, and nothing counts as off-hours.
type WorkingHours struct {
	Days     []time.Weekday
	From, To time.Duration // since midnight
	Zone     *time.Location
}

// Period is a time from Since (inclusive) to Until (exclusive).
type Period struct{ Since, Until time.Time }

// Between returns the working hours that overlap a period, in order of time.
func (w WorkingHours) Between(since, until time.Time) []Period {
	if len(w.Days) == 0 {
		return nil
	}
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	at := func(day time.Time, clock time.Duration) time.Time { // of the wall clock, also on days of 23 or 25 hours
		return time.Date(day.Year(), day.Month(), day.Day(), 0, int(clock/time.Minute), 0, 0, zone)
	}
	first := since.In(zone).AddDate(0, 0, -1)
	var out []Period
	for n := 0; ; n++ {
		day := time.Date(first.Year(), first.Month(), first.Day()+n, 12, 0, 0, 0, zone)
		from, to := at(day, w.From), at(day, w.To)
		if !from.Before(until) {
			return out
		}
		if w.To <= w.From {
			to = at(day.AddDate(0, 0, 1), w.To)
		}
		if slices.Contains(w.Days, day.Weekday()) && to.After(since) {
			out = append(out, Period{from, to})
		}
	}
}

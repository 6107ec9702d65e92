package reporter

import (
	"cmp"
	"slices"
	"time"
)

// What an alert has to do to be noise. An episode is one run of an alert from its start to its end.
const (
	// NoiseWindow is the time that a review looks back on.
	NoiseWindow = 7 * 24 * time.Hour
	// NoiseLeast is the fewest episodes of which anything is said: an average of two is a coincidence.
	NoiseLeast = 3
	// NoiseShort is below how long an episode is short: nobody can have reacted to it.
	NoiseShort = 5 * time.Minute
	// NoiseFlap is how soon after the end of an alert's last episode the next one makes it flap.
	NoiseFlap = 15 * time.Minute
)

// NoiseReview says of each alert name how much noise it made between two times.
type NoiseReview struct {
	Since, Until time.Time
	Rows         []NoiseRow // names with NoiseLeast episodes or more; most episodes first, then by name
	Names        int        // how many such names there are: Rows may be the first of them
	// Acknowledging says that people acknowledge incidents: some incident that is kept was acknowledged.
	Acknowledging bool
}

// NoiseRow is what one alert name did. Some episodes of a very large incident are kept as counts only (Folded): of these it is not
// known which flapped.
type NoiseRow struct {
	Name       string
	Alerts     int           // how many alerts of the name, by their labels, fired in the window
	Episodes   int           // that began in the window
	Folded     int           // of them, those that are kept as counts only
	Flaps      int           // that began within NoiseFlap of the end of the same alert's episode before
	OffHours   int           // that began outside working hours
	Ended      int           // that began and ended in the window
	Short      int           // of Ended, shorter than NoiseShort
	Firing     time.Duration // sum of the time within the window in which its alerts were firing, also of episodes that began before
	Resolution time.Duration // sum of the durations of the Ended

	Acknowledged          int           // of Episodes, those of incidents that were acknowledged, before the episode or later
	AcknowledgedIncidents int           // the incidents of Acknowledged
	ToAcknowledge         time.Duration // sum of the times from the start of each of them to its first acknowledgement
}

// NoiseReason is why an alert is a candidate to be fixed.
type NoiseReason string

// The reasons; each has a share from 0 to 1 that makes it one from NoiseShare on.
const (
	NoiseFlapping NoiseReason = "flapping"  // Flaps, of the episodes known one by one
	NoiseBrief    NoiseReason = "short"     // Short, of those that ended
	NoiseStanding NoiseReason = "standing"  // time firing, of the window of each alert
	NoiseOffHours NoiseReason = "off_hours" // OffHours, of the episodes
)

// noiseShares is from which share on each reason makes an alert a candidate. Working hours are a quarter of a week, so that three
// quarters of evenly spread episodes begin outside of them.
var noiseShares = []struct {
	reason NoiseReason
	from   float64
}{{NoiseFlapping, 0.5}, {NoiseBrief, 0.5}, {NoiseStanding, 0.5}, {NoiseOffHours, 0.9}}

// NoiseCandidate is a reason with its share.
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

// share is a part and its whole, which is 0 where too little is known.
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

// ShortShare is the share of ended episodes that were short, from 0 to 1; false where fewer than NoiseLeast ended.
func (r NoiseRow) ShortShare() (float64, bool) {
	part, whole := r.share(NoiseBrief, 0)
	if whole == 0 {
		return 0, false
	}
	return part / whole, true
}

// MeanResolution is the mean time to resolve of the ended episodes; false where fewer than NoiseLeast ended.
func (r NoiseRow) MeanResolution() (time.Duration, bool) {
	if r.Ended < NoiseLeast {
		return 0, false
	}
	return r.Resolution / time.Duration(r.Ended), true
}

// AcknowledgedShare is the share of episodes whose incident was acknowledged, from 0 to 1; false of fewer than NoiseLeast episodes.
func (r NoiseRow) AcknowledgedShare() (float64, bool) {
	if r.Episodes < NoiseLeast {
		return 0, false
	}
	return min(float64(r.Acknowledged)/float64(r.Episodes), 1), true
}

// MeanAcknowledgement is the mean time to acknowledge an incident of the alert; false where fewer than NoiseLeast were.
func (r NoiseRow) MeanAcknowledgement() (time.Duration, bool) {
	if r.AcknowledgedIncidents < NoiseLeast {
		return 0, false
	}
	return r.ToAcknowledge / time.Duration(r.AcknowledgedIncidents), true
}

// WorkingHours is when people are at work anyway: on Days, from From to To of the clock of Zone. A To that is not after From is of
// the next day. The zero value is never, so that nothing is outside.
type WorkingHours struct {
	Days     []time.Weekday
	From, To time.Duration // since midnight
	Zone     *time.Location
}

// Period is from Since, inclusively, to Until.
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

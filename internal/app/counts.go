package app

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/awoooi/awoooi-reporter/collector/journal"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// noiseNames is the number of alert names that have gauges, those with the most episodes.
const noiseNames = 20

// storeCounts answers the queries of the journal source from the store.
type storeCounts struct {
	store *store.Store
	hours *atomic.Pointer[reporter.WorkingHours]

	reviewing sync.Mutex
	review    reporter.NoiseReview // the last one; guarded by reviewing, as is of
	of        *reporter.WorkingHours
}

func (s *storeCounts) Counts(ctx context.Context, what string, since, until time.Time) ([]journal.Count, error) {
	switch what {
	case "noise", "noise_totals", "noise_candidates":
		review, err := s.noise(ctx, since, until)
		if err != nil {
			return nil, err
		}
		return noiseCounts(what, review), nil
	}
	counts, err := s.store.Counts(ctx, what, since, until)
	if err != nil {
		return nil, err
	}
	out := make([]journal.Count, 0, len(counts))
	for _, c := range counts {
		out = append(out, journal.Count(c))
	}
	return out, nil
}

// noise returns the review of a window. The queries of one scrape have the same window and share one review.
func (s *storeCounts) noise(ctx context.Context, since, until time.Time) (reporter.NoiseReview, error) {
	s.reviewing.Lock()
	defer s.reviewing.Unlock()
	hours := s.hours.Load()
	if since.Equal(s.review.Since) && until.Equal(s.review.Until) && hours == s.of {
		return s.review, nil
	}
	review, err := s.store.Noise(ctx, since, until, *hours, noiseNames)
	if err == nil {
		s.review, s.of = review, hours
	}
	return review, err
}

// noiseCounts returns the rows of one query of a review. Values with too few samples to be meaningful are left out.
func noiseCounts(what string, review reporter.NoiseReview) []journal.Count {
	if what == "noise_totals" {
		candidates := len(noiseCounts("noise_candidates", review))
		return []journal.Count{{Values: map[string]float64{"names": float64(review.Names), "candidates": float64(candidates)}}}
	}
	var out []journal.Count
	for _, r := range review.Rows {
		if what == "noise_candidates" {
			for _, c := range r.Candidate(review.Until.Sub(review.Since)) {
				out = append(out, journal.Count{
					Labels: map[string]string{"name": r.Name, "reason": string(c.Reason)}, Values: map[string]float64{"share": c.Share},
				})
			}
			continue
		}
		values := map[string]float64{
			"episodes": float64(r.Episodes), "flaps": float64(r.Flaps), "off_hours": float64(r.OffHours),
			"firing_seconds": r.Firing.Seconds(), "resolved": float64(r.Ended),
		}
		if share, ok := r.ShortShare(); ok {
			values["short_ratio"] = share
		}
		if mean, ok := r.MeanResolution(); ok {
			values["resolution_seconds"] = mean.Seconds()
		}
		if share, ok := r.AcknowledgedShare(); ok && review.Acknowledging {
			values["acknowledged_ratio"], values["acknowledged"] = share, float64(r.AcknowledgedIncidents)
		}
		if mean, ok := r.MeanAcknowledgement(); ok && review.Acknowledging {
			values["acknowledgement_seconds"] = mean.Seconds()
		}
		out = append(out, journal.Count{Labels: map[string]string{"name": r.Name}, Values: values})
	}
	return out
}

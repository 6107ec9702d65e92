package incident

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// SampleLabel marks the alerts of the bundled sample.
const SampleLabel = "awoooi_sample"

// transition is the one place where events change incidents. Every episode that was ever told is kept as it was told,
// and the incidents are a function of that set, so that repeats, duplicates and any order end in the same incidents:
//
//   - An episode is a fingerprint and its startsAt. Told resolved, it is resolved, and ends at the latest endsAt told; a
//     firing that comes late changes nothing. One that nobody told of again is presumed to have ended, until it is told
//     firing once more, or told resolved.
//   - A fingerprint that starts again, while an earlier episode was never told resolved, has been firing all along: the
//     later episode says when that ended. One that starts within an episode told resolved is the same firing, told with
//     another startsAt, and ends with it.
//   - Episodes of a key that overlap, or lie at most ReopenWithin apart, are one incident.
//
// The incidents come back ordered by start; a new one has no ID yet.
func transition(cfg Config, key string, incidents []reporter.Incident, events []reporter.AlertEvent) []reporter.Incident {
	episodes := map[string][]reporter.Alert{}
	for _, in := range incidents {
		for _, a := range in.Alerts {
			episodes[a.Fingerprint] = append(episodes[a.Fingerprint], a)
		}
	}
	for _, e := range events {
		episodes[e.Fingerprint] = tell(episodes[e.Fingerprint], e)
	}
	var spans []span
	for _, fp := range slices.Sorted(maps.Keys(episodes)) {
		spans = append(spans, merge(episodes[fp])...)
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.start.Compare(b.start) })
	return regroup(cfg, key, spans, incidents, events)
}

// tell adds one event to the episodes of its fingerprint.
func tell(episodes []reporter.Alert, e reporter.AlertEvent) []reporter.Alert {
	a := reporter.Alert{
		Fingerprint: e.Fingerprint, StartsAt: e.StartsAt.UTC().Truncate(time.Microsecond), Firing: e.Firing,
		Labels: e.Labels, Annotations: e.Annotations, GeneratorURL: e.GeneratorURL,
	}
	switch {
	case e.Presumed != "":
		a.Firing, a.PresumedAt, a.PresumedWhy = true, e.EndsAt.UTC().Truncate(time.Microsecond), e.Presumed
	case e.Firing:
		a.SeenAt = e.ReceivedAt.UTC().Truncate(time.Microsecond)
	default:
		a.EndsAt = e.EndsAt.UTC().Truncate(time.Microsecond)
		if a.EndsAt.Before(a.StartsAt) {
			a.EndsAt = a.StartsAt
		}
	}
	for n, have := range episodes {
		if have.StartsAt.Equal(a.StartsAt) {
			episodes[n] = join(have, a)
			return episodes
		}
	}
	return append(episodes, a)
}

// join merges two tellings of one episode: resolved wins, and the latest end counts.
func join(a, b reporter.Alert) reporter.Alert {
	out := richer(a, b)
	out.Firing = a.Firing && b.Firing
	out.EndsAt, out.SeenAt = latest(a.EndsAt, b.EndsAt), latest(a.SeenAt, b.SeenAt)
	out.PresumedAt, out.PresumedWhy = a.PresumedAt, a.PresumedWhy
	if c := cmp.Or(b.PresumedAt.Compare(a.PresumedAt), cmp.Compare(b.PresumedWhy, a.PresumedWhy)); c > 0 {
		out.PresumedAt, out.PresumedWhy = b.PresumedAt, b.PresumedWhy
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// richer picks labels and annotations by their content and not by their arrival, since HA pairs and template reloads
// tell the same episode in different words: a resolve's words first, then the most, then the greatest.
func richer(a, b reporter.Alert) reporter.Alert {
	order := cmp.Or(
		compareBool(!a.Firing, !b.Firing),
		cmp.Compare(len(a.Annotations)+len(a.Labels), len(b.Annotations)+len(b.Labels)),
		cmp.Compare(flat(a.Annotations), flat(b.Annotations)),
		cmp.Compare(flat(a.Labels), flat(b.Labels)),
		cmp.Compare(a.GeneratorURL, b.GeneratorURL),
	)
	if order >= 0 {
		return a
	}
	return b
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func flat(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b.WriteString(k + "\x00" + m[k] + "\x00")
	}
	return b.String()
}

// span is one unbroken firing of one alert, and the episodes that told of it.
type span struct {
	start, end time.Time // end is zero while firing
	firing     bool
	why        reporter.CloseReason
	told       []reporter.Alert
}

// merge makes spans, in order, of the episodes of one fingerprint.
func merge(episodes []reporter.Alert) []span {
	slices.SortFunc(episodes, func(a, b reporter.Alert) int { return a.StartsAt.Compare(b.StartsAt) })
	var out []span
	for n, e := range episodes {
		end, why := e.Ended()
		if e.Firing && n < len(episodes)-1 && !episodes[n+1].StartsAt.After(end) {
			end, why = time.Time{}, "" // what a later episode tells beats what is presumed of this one
		}
		firing := end.IsZero()
		last := len(out) - 1
		if last < 0 || (!out[last].firing && e.StartsAt.After(out[last].end)) {
			out = append(out, span{start: e.StartsAt, end: end, firing: firing, why: why, told: []reporter.Alert{e}})
			continue
		}
		s := &out[last]
		s.told = append(s.told, e)
		switch within := !s.firing && e.StartsAt.Before(s.end); {
		case firing && within: // told with another startsAt
		case firing:
			s.firing, s.end = true, time.Time{}
		case s.firing || end.After(s.end):
			s.firing, s.end, s.why = false, end, why
		}
	}
	return out
}

// regroup cuts the spans, ordered by start, into incidents, and lets each keep the identity of the oldest stored
// incident that it holds.
func regroup(
	cfg Config, key string, spans []span, stored []reporter.Incident, events []reporter.AlertEvent,
) []reporter.Incident {
	var out []reporter.Incident
	var reach time.Time // the latest end so far
	for _, s := range spans {
		last := len(out) - 1
		if last < 0 || (out[last].State != reporter.IncidentOpen && s.start.After(reach.Add(cfg.ReopenWithin))) {
			out = append(out, reporter.Incident{
				Key: key, State: reporter.IncidentResolved, StartedAt: s.start, CloseReason: s.why,
			})
			reach, last = s.end, last+1
		}
		in := &out[last]
		in.Alerts = append(in.Alerts, s.told...)
		if s.firing {
			in.State = reporter.IncidentOpen
		}
		if c := s.end.Compare(reach); c > 0 || c == 0 && s.why == reporter.ClosedResolved {
			reach, in.CloseReason = s.end, s.why
		}
		in.EndedAt = reach
	}
	for n := range out {
		in := &out[n]
		if in.State == reporter.IncidentOpen {
			in.EndedAt, in.CloseReason = time.Time{}, ""
		}
		slices.SortFunc(in.Alerts, func(a, b reporter.Alert) int {
			return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
		})
		in.Sample = slices.ContainsFunc(in.Alerts, func(a reporter.Alert) bool { return a.Labels[SampleLabel] == "true" })
		inherit(in, stored)
		told(in, events)
		descend(in, stored)
	}
	return out
}

// inherit takes over what the stored incidents within in's time know; the oldest of them gives its ID.
func inherit(in *reporter.Incident, stored []reporter.Incident) {
	for _, s := range stored { // oldest first
		if s.StartedAt.Before(in.StartedAt) || (in.State != reporter.IncidentOpen && s.StartedAt.After(in.EndedAt)) {
			continue
		}
		if in.ID == "" {
			in.ID, in.GroupKey, in.Receiver, in.ExternalURL, in.GroupLabels = s.ID, s.GroupKey, s.Receiver, s.ExternalURL, s.GroupLabels
		}
		in.Notified = in.Notified || s.Notified
		in.Truncated = max(in.Truncated, s.Truncated)
		if in.FirstSeenAt.IsZero() || s.FirstSeenAt.Before(in.FirstSeenAt) {
			in.FirstSeenAt = s.FirstSeenAt
		}
		if s.LastSeenAt.After(in.LastSeenAt) {
			in.LastSeenAt = s.LastSeenAt
		}
	}
}

// descend takes over what the stored incident knew that this one was a part of, until a late resolve cut it off. It is an
// incident of its own from now on, with an ID of its own.
func descend(in *reporter.Incident, stored []reporter.Incident) {
	for _, s := range stored {
		if in.GroupKey == "" && !s.StartedAt.After(in.StartedAt) && (s.State == reporter.IncidentOpen || !s.EndedAt.Before(in.StartedAt)) {
			in.GroupKey, in.Receiver, in.ExternalURL, in.GroupLabels = s.GroupKey, s.Receiver, s.ExternalURL, s.GroupLabels
			in.FirstSeenAt, in.LastSeenAt = s.FirstSeenAt, s.LastSeenAt
		}
	}
}

// told notes what the events of this incident say of their group and of when they came.
func told(in *reporter.Incident, events []reporter.AlertEvent) {
	for _, e := range events {
		if e.StartsAt.Before(in.StartedAt) || (in.State != reporter.IncidentOpen && e.StartsAt.After(in.EndedAt)) {
			continue
		}
		in.GroupKey, in.Receiver, in.ExternalURL, in.GroupLabels = e.GroupKey, e.Receiver, e.ExternalURL, e.GroupLabels
		in.Truncated = max(in.Truncated, e.Truncated)
		if in.FirstSeenAt.IsZero() || e.ReceivedAt.Before(in.FirstSeenAt) {
			in.FirstSeenAt = e.ReceivedAt
		}
		if e.ReceivedAt.After(in.LastSeenAt) {
			in.LastSeenAt = e.ReceivedAt
		}
	}
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

const longestID = 64

// newID names an incident: by its label or annotation, else by a hash of its key and first start, so that the same
// incident told to another replica gets the same name. A given name that another incident has gets the hash as suffix.
func newID(ctx context.Context, tx reporter.JournalTx, cfg Config, in reporter.Incident) (string, error) {
	sum := sha256.Sum256([]byte(in.Key + "\x00" + in.StartedAt.UTC().Format(time.RFC3339Nano)))
	hash := base32.StdEncoding.EncodeToString(sum[:])
	made := "INC-" + in.StartedAt.UTC().Format("20060102") + "-" + hash[:6]
	if given := givenID(cfg, in); given != "" {
		_, err := tx.Incident(ctx, given)
		if errors.Is(err, reporter.ErrNotFound) {
			return given, nil
		}
		if err != nil {
			return "", err
		}
		made = given + "-" + hash[:6]
	}
	if _, err := tx.Incident(ctx, made); err == nil {
		return made + "-" + hash[6:12], nil
	} else if !errors.Is(err, reporter.ErrNotFound) {
		return "", err
	}
	return made, nil
}

// givenID is the name that the first alert with one gives; "" if none does.
func givenID(cfg Config, in reporter.Incident) string {
	if cfg.IDLabel == "" {
		return ""
	}
	for _, a := range in.Alerts {
		id := notInID.ReplaceAllString(cmp.Or(a.Labels[cfg.IDLabel], a.Annotations[cfg.IDLabel]), "-")
		if id = strings.Trim(id[:min(len(id), longestID)], "-."); id != "" {
			return id
		}
	}
	return ""
}

package report

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// Schedule is a crontab(5) expression in one zone. Where the clocks go forward, a due time in the hour that is skipped
// is due just after it; where they go back, one in the hour that comes twice is due once, in the first of the two.
type Schedule struct {
	wall *cron.SpecSchedule // in UTC, standing for wall clock times in zone
	zone *time.Location
}

// As in crontab(5), a day matches by month or by week where both are restricted.
const cronFields = cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom

// ParseSchedule reads five fields, or @daily, @weekly and so on. @every is an error: it counts from the start of the
// process, so that two replicas would never agree on a due time.
func ParseSchedule(expr string, zone *time.Location) (Schedule, error) {
	if strings.Contains(expr, "TZ=") {
		return Schedule{}, fmt.Errorf("schedule %q: the zone is a setting of its own", expr)
	}
	parser, err := cron.TryNewParser(cronFields)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule: %w", err)
	}
	parsed, err := parser.Parse(expr)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w; write minute, hour, day of the month, month and day of the week"+
			" as numbers, lists or ranges", expr, plainly(err))
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Schedule{}, fmt.Errorf("schedule %q: want five fields", expr)
	}
	wall := *spec
	wall.Location = time.UTC
	out := Schedule{wall: &wall, zone: zone}
	if _, ok := out.Next(time.Now()); !ok {
		return Schedule{}, fmt.Errorf("schedule %q: %w", expr, errNever)
	}
	return out, nil
}

var errField = errors.New("a field cannot be read")

// plainly replaces errors of the cron library that speak of Go: of its own options, and of strconv.
func plainly(err error) error {
	if text := err.Error(); strings.Contains(text, "option") || strings.Contains(text, "strconv.") {
		return errField
	}
	return err
}

var errNever = errors.New("is never due")

// Next returns the first due time after t, in UTC, and false where there is none within five years.
//
// The cron library reads the clock on the wall as if it were UTC, and the zone's jumps are left to instant: its own
// treatment of them loses days in zones that skip midnight or move by half an hour.
func (s Schedule) Next(t time.Time) (time.Time, bool) {
	local := t.In(s.zone)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(),
		local.Nanosecond(), time.UTC)
	for {
		if wall = s.wall.Next(wall); wall.IsZero() {
			return time.Time{}, false
		}
		// In the second of two equal hours, the wall's next due times have all been already.
		if due := s.instant(wall); due.After(t) {
			return due.UTC(), true
		}
	}
}

// instant returns when the clocks in the zone show wall: the first time if they do so twice, and the moment of the jump
// if they skip it.
func (s Schedule) instant(wall time.Time) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, s.zone)
	start, end := t.ZoneBounds()
	_, offset := t.Zone()
	switch shown := t.Unix() + int64(offset); {
	case shown > wall.Unix():
		return start
	case shown < wall.Unix():
		return end
	case start.IsZero():
		return t
	}
	_, before := start.Add(-time.Nanosecond).Zone()
	if first := t.Add(time.Duration(offset-before) * time.Second); first.Before(start) {
		return first
	}
	return t
}

// Latest returns the latest due time at or before t, in UTC, that is no older than age.
func (s Schedule) Latest(t time.Time, age time.Duration) (time.Time, bool) {
	var latest time.Time
	// A due time exactly of that age counts; Next wants a moment before it.
	for next, ok := s.Next(t.Add(-age).Add(-time.Nanosecond)); ok && !next.After(t); next, ok = s.Next(next) {
		latest = next
	}
	return latest, !latest.IsZero()
}

package report

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// Schedule is a crontab(5) expression in one time zone. When the clock goes forward, a due time in the skipped hour is due just after
// it. When the clock goes back, a due time in the repeated hour is due once, in the first of the two.
type Schedule struct {
	wall *cron.SpecSchedule // evaluated on wall clock times of zone, represented in UTC
	zone *time.Location
}

// As in crontab(5), a day matches either by day of the month or by day of the week if both are restricted.
const cronFields = cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom

// ParseSchedule reads five fields, or @daily, @weekly and so on. @every is an error: it counts from the start of the process, so
// replicas would have different due times.
func ParseSchedule(expr string, zone *time.Location) (Schedule, error) {
	if strings.Contains(expr, "TZ=") {
		return Schedule{}, fmt.Errorf("schedule %q: set the zone with timezone, not in the schedule", expr)
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

// plainly replaces errors of the cron library that are about Go: about its options, and those of strconv.
func plainly(err error) error {
	if text := err.Error(); strings.Contains(text, "option") || strings.Contains(text, "strconv.") {
		return errField
	}
	return err
}

var errNever = errors.New("is never due")

// Next returns the first due time after t, in UTC, and false if there is none within five years.
//
// The cron library gets wall clock times as if they were UTC, and instant handles the changes of the clock: the library's own
// handling loses days in zones that skip midnight or move by half an hour.
func (s Schedule) Next(t time.Time) (time.Time, bool) {
	local := t.In(s.zone)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(),
		local.Nanosecond(), time.UTC)
	for {
		if wall = s.wall.Next(wall); wall.IsZero() {
			return time.Time{}, false
		}
		// In the second of two equal hours, the next due times by the wall clock have passed already.
		if due := s.instant(wall); due.After(t) {
			return due.UTC(), true
		}
	}
}

// instant returns the time at which clocks in the zone show wall: the first one if there are two, and the time of the change if
// the clocks skip it.
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
	// A due time of exactly that age counts, and Next returns only later ones.
	for next, ok := s.Next(t.Add(-age).Add(-time.Nanosecond)); ok && !next.After(t); next, ok = s.Next(next) {
		latest = next
	}
	return latest, !latest.IsZero()
}

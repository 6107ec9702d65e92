package pg

import "time"

// Location returns the zone of that name, and nil where there is none. "Local" and "localtime" are those of a machine: the
// server's are others.
func Location(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" || name == "localtime" {
		return nil
	}
	return zone
}

// Local returns the moment at which clocks of a zone show what t shows in UTC, and false where there is no such moment, because
// they were put forward then, or two of them, because they were put back.
func Local(t time.Time, zone *time.Location) (time.Time, bool) {
	t = t.UTC()
	local := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
	_, offset := local.Zone()
	if !t.Add(-time.Duration(offset) * time.Second).Equal(local) {
		return time.Time{}, false
	}
	from, until := local.ZoneBounds()
	if !from.IsZero() {
		_, before := from.Add(-time.Second).Zone()
		if t.Add(-time.Duration(before) * time.Second).Before(from) {
			return time.Time{}, false
		}
	}
	if !until.IsZero() {
		_, after := until.Zone()
		if !t.Add(-time.Duration(after) * time.Second).Before(until) {
			return time.Time{}, false
		}
	}
	return local, true
}

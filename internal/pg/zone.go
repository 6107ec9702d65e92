package pg

import "time"

// Location returns the zone of that name, or nil if it is unknown. "Local" and "localtime" are unknown, because those of the server
// may be others than those of this machine.
func Location(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" || name == "localtime" {
		return nil
	}
	return zone
}

// Local returns the moment at which clocks of the zone show the same as t in UTC. It returns false if there is no such moment, because
// clocks were put forward, or if there are two, because they were put back.
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

package i18n

import (
	"math"
	"strconv"
	"time"
)

// Layouts of times. They are the same in every language.
const (
	Minute   = "2006-01-02 15:04"
	Second   = "2006-01-02 15:04:05"
	DayClock = "01-02 15:04" // within a year
	Clock    = "15:04"       // within a day
)

// units are the units of durations with the keys of their words, the largest first.
var units = []struct {
	key  string
	unit time.Duration
}{{"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}}

// Duration writes the two largest units of d, rounded down to seconds: "1 小時 12 分", "1h 12m". A negative d is 0 seconds.
func (w Words) Duration(d time.Duration) string {
	for n, u := range units {
		if d < u.unit {
			continue
		}
		text := w.T(u.key, int64(d/u.unit))
		if n+1 < len(units) {
			if rest := d % u.unit / units[n+1].unit; rest > 0 {
				text += " " + w.T(units[n+1].key, int64(rest))
			}
		}
		return text
	}
	return w.T("seconds", 0)
}

// Precise is Duration for any length: it writes milliseconds below a second, and a minus before a negative d.
func (w Words) Precise(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + w.Precise(-max(d, -math.MaxInt64))
	case d >= time.Second || d == 0:
		return w.Duration(d)
	case d >= time.Millisecond:
		return w.T("milliseconds", strconv.FormatInt(d.Milliseconds(), 10))
	}
	return w.T("milliseconds", Number(float64(d)/float64(time.Millisecond)))
}

// Relative writes the distance of t from now, in one unit: "3 小時前".
func (w Words) Relative(t, now time.Time) string {
	d, key := now.Sub(t), "ago"
	if d < 0 {
		d, key = -d, "ahead"
	}
	for _, u := range units {
		if d >= u.unit {
			return w.T(key, w.Duration(d.Truncate(u.unit)))
		}
	}
	return w.T("now")
}

// ZoneName returns the name of a time zone for people.
func (w Words) ZoneName(z *time.Location) string {
	if z.String() == "Asia/Taipei" {
		return w.T("taipei_time")
	}
	return z.String()
}

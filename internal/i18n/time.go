package i18n

import "time"

// Layouts of moments. They are the same in every language.
const (
	Minute = "2006-01-02 15:04"
	Second = "2006-01-02 15:04:05"
	Clock  = "15:04"
)

// units of durations, with their keys.
var units = []struct {
	key  string
	unit time.Duration
}{{"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}}

// Duration shows the two largest units of d, down to seconds: "1 小時 12 分", "1h 12m". Less than a second is 0 seconds.
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

// Precise is Duration, with milliseconds below a second.
func (w Words) Precise(d time.Duration) string {
	if d > 0 && d < time.Second {
		return w.T("milliseconds", max(d.Milliseconds(), 1))
	}
	return w.Duration(d)
}

// Relative says how far t is from now, in one unit: "3 小時前".
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

// ZoneName names a time zone for people.
func (w Words) ZoneName(z *time.Location) string {
	if z.String() == "Asia/Taipei" {
		return w.T("taipei_time")
	}
	return z.String()
}

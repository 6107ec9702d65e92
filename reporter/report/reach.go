package report

import "time"

// Reach returns how far before its due time the report evaluates figures, including comparisons and the trend. The server must
// keep samples for that long.
func (d Definition) Reach(due time.Time) time.Duration {
	far := due.AddDate(0, 0, -d.trend().Days)
	for _, f := range d.Asked() {
		at := due
		for _, c := range f.Compare {
			if t := due.Add(-c); t.Before(at) {
				at = t
			}
		}
		if f.EachDay {
			at = d.Since(at)
		}
		if at.Before(far) {
			far = at
		}
	}
	return due.Sub(far)
}

package collector

import "time"

// Outcome is the result of one query in the last run that read it.
type Outcome struct {
	Source, Kind, Query string
	At                  time.Time     // the end of its window; zero if it was not read yet
	Duration            time.Duration // of the read
	Dropped             int           // rows that were folded into another series
	LastSuccess         time.Time     // zero if there was none
	Up                  bool          // whether the source answered any query of that run
	Err                 error         // nil if it gave its metrics; shows no secret
}

// Outcomes returns the last outcome of every configured query, by source in the order of the configuration, and nil
// if there is no query. A run that was cancelled because its scrapers disconnected does not count.
func (c *Collector) Outcomes() []Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := map[queryKey]queryState{}
	up := map[string]bool{}
	if c.last != nil {
		for _, s := range c.last.sources {
			up[s.name] = s.up
		}
		for _, q := range c.last.queries {
			known[queryKey{q.source, q.name}] = q
		}
	}
	var out []Outcome
	for _, s := range c.current.cfg.Sources {
		for _, q := range c.current.queries[s.Name] {
			o := Outcome{Source: s.Name, Kind: s.Kind, Query: q.Name, Up: up[s.Name]}
			o.LastSuccess = c.known[queryKey{s.Name, q.Name}].lastSuccess
			if k, ok := known[queryKey{s.Name, q.Name}]; ok {
				o.At, o.Duration, o.Dropped, o.Err = k.at, k.duration, k.dropped, k.err
			}
			out = append(out, o)
		}
	}
	return out
}

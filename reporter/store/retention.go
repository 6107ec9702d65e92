package store

import (
	"context"
	"fmt"
	"time"
)

// pruneAtOnce is how many rows one transaction deletes, so that pruning does not block others for long.
const pruneAtOnce = 500

// Pruned counts what was deleted.
type Pruned struct{ Incidents, Deliveries, Claims int64 }

// Prune deletes incidents that were closed and last heard of before that moment, unless a postmortem of theirs is still to
// be sent, deliveries that ended before it, unless they are about an incident that lasts, claims of due times before it but for
// the latest of each report, which says what need not be caught up with, and outages of heartbeats that began before it, unless
// they last or are still to be sent.
func (s *Store) Prune(ctx context.Context, before time.Time) (Pruned, error) {
	var p Pruned
	var outages int64
	t := before.UnixMicro()
	for _, step := range []struct {
		count *int64
		query string
	}{
		{&p.Incidents, `DELETE FROM incidents WHERE id IN (SELECT i.id FROM incidents i
			WHERE i.state = 'resolved' AND i.ended_at < $1 AND COALESCE(i.last_seen, i.ended_at) < $1 AND NOT EXISTS (
				SELECT 1 FROM deliveries d WHERE d.state = 'pending' AND d.subject = i.id) LIMIT $2)`},
		// The messages of an incident that lasts are still used: their buttons are, and they are edited.
		{&p.Deliveries, `DELETE FROM deliveries WHERE id IN (SELECT d.id FROM deliveries d
			WHERE d.state != 'pending' AND d.finished_at < $1 AND NOT EXISTS (
				SELECT 1 FROM incidents i WHERE i.id = d.subject AND i.state != 'resolved') LIMIT $2)`},
		{&p.Claims, `DELETE FROM claims WHERE (report, due) IN (SELECT c.report, c.due FROM claims c
			WHERE c.due < $1 AND EXISTS (SELECT 1 FROM claims l WHERE l.report = c.report AND l.due > c.due) LIMIT $2)`},
		{&outages, `DELETE FROM heartbeat_outages WHERE id IN (SELECT o.id FROM heartbeat_outages o WHERE o.missing_at < $1
			AND NOT EXISTS (SELECT 1 FROM heartbeats h WHERE h.outage = o.id)
			AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.state = 'pending' AND d.subject = o.id) LIMIT $2)`},
	} {
		for {
			n, err := s.writing().exec(ctx, step.query, t, pruneAtOnce)
			if err != nil {
				return p, fmt.Errorf("prune: %w", err)
			}
			*step.count += n
			if n < pruneAtOnce {
				break
			}
		}
	}
	return p, nil
}

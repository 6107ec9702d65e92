package store

import (
	"context"
	"fmt"
)

// RemoveIncident deletes a closed incident, so that no figure counts it. What was sent about it stays known, so that a copy
// of its alerts that comes later is not sent. It returns whether there was one.
func (s *Store) RemoveIncident(ctx context.Context, id string) (bool, error) {
	n, err := s.writing().exec(ctx, `DELETE FROM incidents WHERE id = $1 AND state = 'resolved' AND NOT EXISTS (
		SELECT 1 FROM deliveries d WHERE d.state = 'pending' AND d.subject = $1)`, id)
	if err != nil {
		return false, fmt.Errorf("remove incident %s: %w", id, err)
	}
	return n > 0, nil
}

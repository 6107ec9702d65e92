package compose

import (
	"context"
	"errors"
	"fmt"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// heartbeats composes a message about one heartbeat, or about many in a digest, with their present state: one that returned before the
// message was sent is shown as returned.
func (c *Composer) heartbeats(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	ids := []string{d.Subject}
	if d.Kind == reporter.DeliveryHeartbeatsMissing || d.Kind == reporter.DeliveryHeartbeatsReturned {
		var err error
		if ids, err = c.store.MergedInto(ctx, d.ID); err != nil {
			return reporter.Message{}, err
		}
	}
	n := reporter.HeartbeatNotice{
		Returned: d.Kind == reporter.DeliveryHeartbeatReturned || d.Kind == reporter.DeliveryHeartbeatsReturned,
	}
	for _, id := range ids {
		o, err := c.store.HeartbeatOutage(ctx, id)
		if errors.Is(err, reporter.ErrNotFound) {
			continue
		}
		if err != nil {
			return reporter.Message{}, err
		}
		n.Outages = append(n.Outages, o)
	}
	if len(n.Outages) == 0 {
		return reporter.Message{}, fmt.Errorf("heartbeats of delivery %d: %w", d.ID, reporter.ErrObsolete)
	}
	r := c.set.Load()
	n.Zone, n.Locale = r.Zone, r.RouteLocales[n.Outages[0].Route]
	if n.Locale == "" {
		n.Locale = r.Locale
	}
	return r.Writer.Heartbeats(n)
}

package outbox

import "context"

// Step does in the caller's goroutine what Run does once for each receiver.
func (o *Outbox) Step(ctx context.Context) {
	due, _, err := o.store.Due(ctx, o.config().Now(), 1000)
	if err != nil {
		panic(err)
	}
	for _, ds := range byReceiver(due) {
		o.work(ctx, ds)
	}
}

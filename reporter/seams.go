package reporter

import (
	"context"
	"time"
)

// JournalQuestion is what an update is going to ask JournalTx.Incidents first, so that a store can read the answers for many
// updates at once.
type JournalQuestion struct {
	Key   string
	Since time.Time
}

// JournalTx is the view of the incident journal inside one transaction: what is put there is kept together or not at all.
type JournalTx interface {
	// Incidents returns the incidents of a key that are open or ended at or after since, oldest first.
	Incidents(ctx context.Context, key string, since time.Time) ([]Incident, error)
	// Incident returns the incident of that ID, or ErrNotFound.
	Incident(ctx context.Context, id string) (Incident, error)
	// DeleteIncident removes the incident of that ID, which became part of another, with its alerts.
	DeleteIncident(ctx context.Context, id string) error
	// PutIncident inserts or replaces the incident of the same ID, with its alerts.
	PutIncident(ctx context.Context, in Incident) error
	// PutDelivery inserts the delivery, unless one of its key is there already.
	PutDelivery(ctx context.Context, d Delivery) error
}

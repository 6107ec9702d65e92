package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// cancelTimeout bounds a request to cancel, and how long the cancelled query may still answer.
	cancelTimeout = time.Second
	// cancelSettles is how long a server may take to deliver a cancellation that it has confirmed. What runs on the
	// connection by then would be cancelled.
	cancelSettles = 100 * time.Millisecond
)

// canceller cancels a query on the server when its context ends. Unlike pgconn's own handler it never drops a request
// half-way: PgBouncer 1.18 ends with "bad client state" when one is closed while it passes it on.
type canceller struct {
	conn *pgconn.PgConn
	done chan struct{}
}

// HandleCancel implements ctxwatch.Handler.
func (c *canceller) HandleCancel(context.Context) {
	c.done = make(chan struct{})
	deadline := time.Now().Add(cancelTimeout)
	_ = c.conn.Conn().SetDeadline(deadline)
	go func() { //nolint:gosec // the request was cancelled, which is what this tells the server
		defer close(c.done)
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		if err := c.conn.CancelRequest(ctx); err == nil {
			<-time.After(cancelSettles)
		}
	}()
}

// HandleUnwatchAfterCancel implements ctxwatch.Handler.
func (c *canceller) HandleUnwatchAfterCancel() {
	<-c.done
	_ = c.conn.Conn().SetDeadline(time.Time{})
}

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// cancelTimeout bounds a request to cancel, and the answer to the cancelled query.
	cancelTimeout = time.Second
	// cancelSettles is how long a server may take to deliver a cancellation that it has confirmed. A later query on the connection
	// could be cancelled until then.
	cancelSettles = 100 * time.Millisecond
)

// canceller cancels a query on the server when its context ends. Unlike pgconn's own handler it never closes the connection of a
// request to cancel early: PgBouncer 1.18 crashes with "bad client state" then.
type canceller struct {
	conn *pgconn.PgConn
	done chan struct{}
}

// HandleCancel implements ctxwatch.Handler.
func (c *canceller) HandleCancel(context.Context) {
	c.done = make(chan struct{})
	deadline := time.Now().Add(cancelTimeout)
	_ = c.conn.Conn().SetDeadline(deadline)
	go func() { //nolint:gosec // the query's context has ended
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

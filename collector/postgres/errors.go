package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/awoooi/awoooi-reporter/internal/neterr"
	"github.com/awoooi/awoooi-reporter/internal/pg"
)

// explain returns why a query has no answer, by its cause if that is known.
func (c *session) explain(ctx context.Context, err error, q question, took time.Duration) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return c.s.safe(ctx, err)
	}
	limit := c.limits(q)
	switch cause := pg.Message(e, c.s.hide...); {
	case ctx.Err() != nil && cause == pg.Cancelled:
		return fmt.Errorf("postgres: %s: %w", pg.Cancelled, context.Cause(ctx))
	// A server whose messages are in another language does not say which limit it was.
	case cause == pg.StatementTimeout, cause == pg.Cancelled && took >= limit.statement:
		return fmt.Errorf("postgres: %s: the query took longer than %v", pg.StatementTimeout, limit.statement.Round(time.Millisecond))
	case cause == pg.LockTimeout:
		return fmt.Errorf("postgres: %s: the query waited longer than %v for a lock that another session holds",
			pg.LockTimeout, limit.lock.Round(time.Millisecond))
	default:
		return fmt.Errorf("postgres: %s", cause)
	}
}

// connecting returns why there is no connection.
func (s *Source) connecting(ctx context.Context, err error) error {
	var connect *pgconn.ConnectError
	if ctx.Err() != nil && !errors.As(err, &connect) {
		return fmt.Errorf("postgres: no connection before the scrape's deadline: %w", context.Cause(ctx))
	}
	return fmt.Errorf("postgres: %w", pg.Connecting(err))
}

// safe returns the server's message, or the cause of a failed connection. pgx's own errors name host, user and database, which must
// not be in a log.
func (s *Source) safe(ctx context.Context, err error) error {
	var (
		e    *pgconn.PgError
		long *pgproto3.ExceededMaxBodyLenErr
	)
	switch {
	case errors.As(err, &long):
		return fmt.Errorf("postgres: %w", errLargeRow)
	case errors.As(err, &e) && (e.Code == "22023" || e.Code == "42704"):
		for _, set := range s.settings {
			if strings.Contains(strings.ToLower(e.Message), `"`+strings.ToLower(set.Name)+`"`) {
				return fmt.Errorf("postgres: the server refuses the setting %s of the DSN or the source (SQLSTATE %s)", set.Name, e.Code)
			}
		}
		return fmt.Errorf("postgres: %s", pg.Message(e, s.hide...))
	case errors.As(err, &e):
		return fmt.Errorf("postgres: %s", pg.Message(e, s.hide...))
	case ctx.Err() != nil:
		return fmt.Errorf("postgres: no answer: %w", context.Cause(ctx))
	case errors.Is(err, errTooManyRows), errors.Is(err, errTooLarge), errors.Is(err, errNoSelect):
		return fmt.Errorf("postgres: %w", err)
	}
	cause := neterr.Cause(err)
	if strings.HasSuffix(err.Error(), "conn closed") { // pgconn's error has no type
		cause = neterr.Lost
	}
	if cause != "" {
		return fmt.Errorf("postgres: %s", cause)
	}
	return fmt.Errorf("postgres: %w", err)
}

// Package details looks up incidents in the operations database: an incident's id and alert come in, its title, cause and action go
// out.
package details

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/awoooi/awoooi-reporter/internal/pg"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/internal/sqltext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// BuiltinSQL looks up an incident in the AWOOOI tables. An approval with a name means that a person acted. An incident that was
// resolved without one was repaired automatically.
const BuiltinSQL = `
SELECT i.title, i.severity, i.root_cause, i.action, i.ai_decision AS decision, i.retry_count AS retries,
	CASE
		WHEN EXISTS (SELECT 1 FROM approval_records a WHERE a.incident_id = i.incident_id AND a.approved_by IS NOT NULL
			AND UPPER(a.status::text) NOT IN ('PENDING', 'REJECTED', 'EXPIRED')) THEN 'human'
		WHEN UPPER(i.status::text) = 'RESOLVED' THEN 'auto'
	END AS disposition
FROM incidents i WHERE i.incident_id = @incident_id`

// Parameters are the names of the parameters that the SELECT may use, as @name.
var Parameters = []string{"incident_id", "fingerprint", "alertname", "starts_at", "ends_at"}

// columns are the names of the columns that are read.
var columns = []string{
	"title", "severity", "root_cause", "action", "decision", "disposition", "retries", "acknowledged_at",
}

// Check returns an error unless SQL is one SELECT that uses no parameters other than Parameters.
func Check(sql string) error {
	statement, err := sqltext.Parse(sql)
	if err != nil {
		return err
	}
	if err := statement.Reads(); err != nil {
		return err
	}
	return statement.Check(Parameters...)
}

// Config holds one SELECT and the database that runs it.
type Config struct {
	DSN     secret.Text
	SQL     string // see Check
	Timeout time.Duration
	// Timezone is the IANA zone of columns without time zone; "" means the DSN's, if it has one.
	Timezone string
}

// Lookup runs the SELECT for single incidents. It is safe for concurrent use.
type Lookup struct {
	pool     *pgxpool.Pool
	settings string // a statement that sets them
	sql      string
	names    []string       // of $1, $2 …
	zone     *time.Location // of columns without time zone; nil means unknown
	timeout  time.Duration
}

// Open prepares the lookup. It connects at the first lookup. Its errors never contain the DSN.
func Open(c Config) (*Lookup, error) {
	statement, err := sqltext.Parse(c.SQL)
	if err == nil {
		err = statement.Check(Parameters...)
	}
	if err != nil {
		return nil, fmt.Errorf("details: sql: %w", err)
	}
	names := statement.Names()
	numbered, err := statement.Cast(map[string]string{"starts_at": "timestamptz", "ends_at": "timestamptz"}, names...)
	if err != nil {
		return nil, fmt.Errorf("details: sql: %w", err)
	}
	cfg, err := pg.Parse(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("details: %w", err)
	}
	cfg.Pool.MaxConns = 1
	cfg.Pool.ConnConfig.ConnectTimeout = min(c.Timeout, 5*time.Second)
	// Settings are set in the transaction, because poolers refuse them as startup parameters.
	settings := append(slices.Clone(cfg.Settings),
		pg.Setting{Name: "statement_timeout", Value: strconv.FormatInt(c.Timeout.Milliseconds(), 10)},
		pg.Setting{Name: "lock_timeout", Value: strconv.FormatInt(c.Timeout.Milliseconds()/2, 10)})
	zone := cmp.Or(c.Timezone, cfg.TimeZone)
	if zone != "" {
		settings = append(settings, pg.Setting{Name: "TimeZone", Value: zone})
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg.Pool)
	if err != nil {
		return nil, errors.New("details: the DSN cannot be used")
	}
	return &Lookup{
		pool: pool, settings: pg.Statement(settings...), sql: numbered, names: names, zone: pg.Location(zone), timeout: c.Timeout,
	}, nil
}

// Close ends the connection.
func (l *Lookup) Close() { l.pool.Close() }

// Details returns the row of an incident. reporter.ErrNotFound: there is none, or more than one, so that it is not known which row
// is the incident's. Other errors never contain the host, the user or the database.
func (l *Lookup) Details(ctx context.Context, q reporter.DetailsQuery) (reporter.Details, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	args := map[string]any{
		"incident_id": orNull(q.IncidentID), "fingerprint": orNull(q.Fingerprint), "alertname": orNull(q.AlertName),
		"starts_at": q.StartsAt, "ends_at": nil,
	}
	if !q.EndsAt.IsZero() {
		args["ends_at"] = q.EndsAt
	}
	rows, end, err := l.query(ctx, args)
	if err != nil {
		return reporter.Details{}, safe(err)
	}
	defer end()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return reporter.Details{}, safe(err)
		}
		return reporter.Details{}, fmt.Errorf("details of %q: %w", q.IncidentID, reporter.ErrNotFound)
	}
	values, err := rows.Values()
	if err != nil {
		return reporter.Details{}, safe(err)
	}
	known := map[string]string{}
	var acknowledged time.Time
	for n, f := range rows.FieldDescriptions() {
		if t, ok := values[n].(time.Time); ok && strings.EqualFold(f.Name, "acknowledged_at") {
			acknowledged = l.moment(t, f.DataTypeOID)
		} else if values[n] != nil {
			known[strings.ToLower(f.Name)] = strings.TrimSpace(text(values[n]))
		}
	}
	if rows.Next() {
		return reporter.Details{}, fmt.Errorf("details of %q: more than one row: %w", q.IncidentID, reporter.ErrNotFound)
	}
	if err := rows.Err(); err != nil {
		return reporter.Details{}, safe(err)
	}
	d := reporter.Details{
		Title: known["title"], Severity: reporter.Severity(known["severity"]), RootCause: known["root_cause"],
		Action: known["action"], Decision: known["decision"], Disposition: reporter.ParseDisposition(known["disposition"]),
		Acknowledged: acknowledged,
	}
	if f, err := strconv.ParseFloat(known["retries"], 64); err == nil && f > 0 && f < 1e6 {
		d.Retries = int(f)
	}
	return d, nil
}

// moment returns the time of a value; zero if the column has no time zone and none is configured, or if the time is ambiguous.
func (l *Lookup) moment(t time.Time, oid uint32) time.Time {
	switch oid {
	case pgtype.TimestamptzOID:
		return t.UTC()
	case pgtype.TimestampOID: // pgx returns it as if it were UTC
		if l.zone != nil {
			if t, certain := pg.Local(t, l.zone); certain {
				return t.UTC()
			}
		}
	}
	return time.Time{}
}

// orNull returns NULL for an unknown value, so that conditions on it are not true.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// query runs the SELECT in a read-only transaction. The three statements are sent together, so that a pooler in any mode runs them in
// the same transaction.
func (l *Lookup) query(ctx context.Context, args map[string]any) (rows pgx.Rows, end func(), err error) {
	batch := &pgx.Batch{}
	batch.Queue("SET TRANSACTION READ ONLY")
	batch.Queue(l.settings)
	values := make([]any, len(l.names))
	for n, name := range l.names {
		values[n] = args[name]
	}
	batch.Queue(l.sql, values...)
	results := l.pool.SendBatch(ctx, batch)
	for range 2 {
		if _, err := results.Exec(); err != nil {
			return nil, nil, errors.Join(err, results.Close())
		}
	}
	if rows, err = results.Query(); err != nil {
		return nil, nil, errors.Join(err, results.Close())
	}
	return rows, func() {
		rows.Close()
		_ = results.Close() // rows has the error
	}, nil
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case driver.Valuer: // numbers of pgtype
		if plain, err := v.Value(); err == nil {
			return fmt.Sprint(plain)
		}
	}
	return fmt.Sprint(v)
}

// safe reduces an error to the server's message or its class. Errors of the connection contain host, user and database, which must not
// reach a chat.
func safe(err error) error {
	var server *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &connect):
		return fmt.Errorf("details: %w", pg.Connecting(err))
	case errors.As(err, &server):
		return fmt.Errorf("details: %s", pg.Message(server))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("details: %w", context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("details: %w", context.Canceled)
	}
	return fmt.Errorf("details: %w", pg.Connecting(err))
}

// Check runs the SELECT for an incident that does not exist, and returns the names of its columns that are not read.
func (l *Lookup) Check(ctx context.Context) (unknown []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	const nobody = "awoooi-reporter-doctor"
	args := map[string]any{"incident_id": nobody, "fingerprint": nobody, "alertname": nobody, "starts_at": time.Now(), "ends_at": nil}
	rows, end, err := l.query(ctx, args)
	if err != nil {
		return nil, safe(err)
	}
	defer end()
	for _, f := range rows.FieldDescriptions() {
		if !slices.Contains(columns, strings.ToLower(f.Name)) {
			unknown = append(unknown, f.Name)
		}
	}
	for rows.Next() { // errors of the execution come at the end
	}
	if err := rows.Err(); err != nil {
		return nil, safe(err)
	}
	return unknown, nil
}

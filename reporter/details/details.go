// Package details looks up incidents in the operations database: an incident ID comes in, its title, cause and action go out.
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

// BuiltinSQL looks up an incident in the AWOOOI tables. An approval with a name means that a person acted; an incident that
// was resolved without one was repaired automatically.
const BuiltinSQL = `
SELECT i.title, i.severity, i.root_cause, i.action, i.ai_decision AS decision, i.retry_count AS retries,
	CASE
		WHEN EXISTS (SELECT 1 FROM approval_records a WHERE a.incident_id = i.incident_id AND a.approved_by IS NOT NULL
			AND UPPER(a.status::text) NOT IN ('PENDING', 'REJECTED', 'EXPIRED')) THEN 'human'
		WHEN UPPER(i.status::text) = 'RESOLVED' THEN 'auto'
	END AS disposition
FROM incidents i WHERE i.incident_id = @incident_id`

// Parameters are the names that the SELECT may use.
var Parameters = []string{"incident_id", "fingerprint", "alertname", "starts_at", "ends_at"}

// Config is one SELECT with some of the Parameters, and the database that runs it.
type Config struct {
	DSN     secret.Text
	SQL     string
	Timeout time.Duration
	// Timezone is the IANA zone of columns without time zone; "" takes the DSN's, if it has one.
	Timezone string
}

// Lookup runs the SELECT for single incidents.
type Lookup struct {
	pool     *pgxpool.Pool
	settings string // sets them
	sql      string
	names    []string       // of $1, $2 …
	zone     *time.Location // of columns without time zone; nil where it is unknown
	timeout  time.Duration
}

// Check says whether SQL is one SELECT with some of the Parameters.
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

// Open prepares the lookup; it connects at the first lookup. The error is a DSN that cannot be parsed, and does not
// contain the DSN.
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
	// Settings are the transaction's, because a pooler refuses them as startup parameters.
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

// Details returns the row by the names of its columns; reporter.ErrNotFound if there is none, or more than one, as then nobody
// knows which is the incident's.
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
	}
	d.Acknowledged = acknowledged
	if f, err := strconv.ParseFloat(known["retries"], 64); err == nil && f > 0 && f < 1e6 {
		d.Retries = int(f)
	}
	return d, nil
}

// moment is the time of a value, and zero where a column without time zone does not say which it is.
func (l *Lookup) moment(t time.Time, oid uint32) time.Time {
	switch oid {
	case pgtype.TimestamptzOID:
		return t.UTC()
	case pgtype.TimestampOID: // which is read as UTC
		if l.zone != nil {
			if t, certain := pg.Local(t, l.zone); certain {
				return t.UTC()
			}
		}
	}
	return time.Time{}
}

// orNull keeps a condition on what is not known from being met.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// query runs the SELECT in a transaction that cannot write. The three statements are one message, which a pooler passes on
// as a whole in each of its modes.
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
		_ = results.Close() // what failed is in the error of rows
	}, nil
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case driver.Valuer: // pgtype's numbers
		if plain, err := v.Value(); err == nil {
			return fmt.Sprint(plain)
		}
	}
	return fmt.Sprint(v)
}

// safe keeps the server's message or the deadline. Errors of the connection contain host, user and database, which must
// not reach a chat.
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

// columns are the names that a row may have.
var columns = []string{
	"title", "severity", "root_cause", "action", "decision", "disposition", "retries", "acknowledged_at",
}

// Check runs the SELECT for an incident that there is not, and returns which of its columns nothing is made of.
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
	for rows.Next() { // to the end, where errors of the execution come
	}
	if err := rows.Err(); err != nil {
		return nil, safe(err)
	}
	return unknown, nil
}

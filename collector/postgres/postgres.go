// Package postgres is the source of KPIs from PostgreSQL: SQL comes in, rows of one consistent snapshot go out.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/pg"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

const (
	// maxBytes and maxRow bound the memory of one query and of one row, in bytes.
	maxBytes = 32 << 20
	maxRow   = 8 << 20
	// rollbackTimeout bounds the end of a transaction after its scrape was cancelled.
	rollbackTimeout = 2 * time.Second
)

// Config names a database.
type Config struct {
	Name     string // of the source
	DSN      secret.Text
	MaxConns int32 // at least 1
	// Timezone is the IANA zone of columns without time zone; "" means the DSN's, if it has one.
	Timezone string
}

// Source reads one database, over at most MaxConns connections.
type Source struct {
	name     string
	pool     *pgxpool.Pool
	max      int
	settings []pg.Setting // of every transaction
	declared bool         // the zone of columns without time zone is known
	zone     *time.Location
	utc      bool     // the session's zone is UTC
	hide     []string // texts that no error may quote

	statementMode atomic.Bool  // a pooler in between allows no transaction
	noExport      atomic.Bool  // the server exports no snapshots, so that one session runs all queries
	unprepared    atomic.Bool  // the server lacks a feature that prepared statements need here
	ending        atomic.Int64 // sessions that have answered, and whose transaction is being rolled back
	joinAfter     atomic.Int64 // when further sessions may be tried, in ns since 1970

	mu       sync.Mutex
	compiled map[string]compiled // by SQL
	history  map[string]asked    // by query
}

// compiled is a query's SQL with numbered parameters.
type compiled struct {
	sql         string
	names       []string // of $1, $2 …
	identifiers []string
	moment      bool // may hold a constant such as 'now', whose value is that of the time at which it is parsed
	err         error
}

// asked is the duration and the result of the last run of a query.
type asked struct {
	took   time.Duration
	failed bool
}

// Open makes the source. It connects at the first Read, and again after a connection is lost. The error is about a DSN or a zone
// that cannot be used, and shows nothing of the DSN.
func Open(c Config) (*Source, error) {
	cfg, err := pg.Parse(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	s := &Source{name: c.Name, max: max(int(c.MaxConns), 1), compiled: map[string]compiled{}, history: map[string]asked{}}
	if err := s.setZone(c.Timezone, cfg.TimeZone); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	// Labels are PostgreSQL's own text of a value, in these output styles.
	s.settings = append(s.settings, slices.DeleteFunc(cfg.Settings, func(set pg.Setting) bool { return set.Name == plainStrings.Name })...)
	s.settings = append(s.settings, pg.Setting{Name: "DateStyle", Value: "ISO"}, pg.Setting{Name: "IntervalStyle", Value: "postgres"},
		pg.Setting{Name: "extra_float_digits", Value: "3"}, pg.Setting{Name: "bytea_output", Value: "hex"})
	if password := cfg.Pool.ConnConfig.Password; password != "" {
		s.hide = append(s.hide, password)
	}
	cfg.Pool.MaxConns, cfg.Pool.MinConns = int32(s.max), 0 //nolint:gosec // 1..3
	// A connection that was lost fails its first statement, and is replaced then: a ping would cost a round trip.
	cfg.Pool.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	cfg.Pool.ConnConfig.MaxProtocolMessageBodyLen = maxRow
	// A scrape that ends early cancels its query on the server, which would run on otherwise.
	cfg.Pool.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &canceller{conn: conn}
	}
	if s.pool, err = pgxpool.NewWithConfig(context.Background(), cfg.Pool); err != nil {
		return nil, errors.New("postgres: the DSN cannot be used")
	}
	return s, nil
}

// setZone sets the zone of columns without time zone: the source's own setting, else the DSN's, else it is unknown and the session
// is in UTC.
func (s *Source) setZone(own, dsn string) error {
	name := "UTC"
	switch {
	case own != "":
		if s.zone = pg.Location(own); s.zone == nil {
			return fmt.Errorf("timezone: unknown zone %q, want an IANA zone such as Asia/Taipei", own)
		}
		name, s.declared = own, true
	case dsn != "":
		s.zone = pg.Location(dsn) // nil for a zone that only the server knows, such as "-08"
		name, s.declared = dsn, true
	}
	s.utc = name == "UTC"
	s.settings = append(s.settings, pg.Setting{Name: "TimeZone", Value: name})
	return nil
}

// Close ends the connections.
func (s *Source) Close() { s.pool.Close() }

// Connections counts the pool's connections by state.
func (s *Source) Connections() map[string]float64 {
	st := s.pool.Stat()
	used := max(0, float64(st.AcquiredConns())-float64(s.ending.Load()))
	return map[string]float64{"in_use": used, "idle": float64(st.TotalConns()) - used, "max": float64(st.MaxConns())}
}

// compile parses a query's SQL, once.
func (s *Source) compile(q kpi.Query) compiled {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.compiled[q.SQL]
	if known {
		return c
	}
	st, err := q.Statement()
	if err == nil {
		c.names, c.identifiers, c.moment = st.Names(), st.Identifiers(), namesMoment(q.SQL)
		c.sql, err = st.Numbered(c.names...)
	}
	c.err = err
	s.compiled[q.SQL] = c
	return c
}

// remember stores the result of a query, for the order of the next scrape.
func (s *Source) remember(query string, a asked) {
	s.mu.Lock()
	s.history[query] = a
	s.mu.Unlock()
}

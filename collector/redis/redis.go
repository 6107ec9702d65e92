// Package redis is the source of KPIs from Redis: a command that reads comes in, its answer goes out as rows.
package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/neterr"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// countKeys is a command of this program: it counts the keys that match a pattern, by SCAN.
const countKeys = "COUNT_KEYS"

// maxKeys bounds a COUNT_KEYS. An application with more keys should keep their count in a key.
const maxKeys = 1_000_000

// arguments is the number of arguments of each command that is allowed: those that read a number, or a table of names and numbers.
// For commands that count, a missing key is a real 0, because Redis has no empty collections; for GET and HGET it is an error.
var arguments = map[string]int{
	"GET": 1, "STRLEN": 1, "EXISTS": 1, "SCARD": 1, "LLEN": 1, "ZCARD": 1, "ZCOUNT": 3, "HLEN": 1, "XLEN": 1,
	"HGET": 2, "HGETALL": 1, "PFCOUNT": 1, "DBSIZE": 0, countKeys: 1,
}

// Config names a Redis.
type Config struct {
	Name string      // of the source
	URL  secret.Text // redis://user:password@host:port/db, or rediss://
}

// Source reads one Redis.
type Source struct{ client *redis.Client }

// Open makes the source; it connects at the first Read. The error is about a URL that cannot be parsed, and shows nothing of
// it.
func Open(c Config) (*Source, error) {
	silence()
	o, err := redis.ParseURL(c.URL.Reveal())
	if err != nil {
		return nil, errors.New("redis: the URL cannot be parsed, want redis://user:password@host:port/db")
	}
	// No client name is set: for a user without the right to client|setname every command would fail.
	o.ClientName, o.DisableIdentity = "", true
	o.PoolSize = 3
	o.MaxRetries, o.DialerRetries = -1, 1 // the next scrape is the retry
	o.ContextTimeoutEnabled = true
	o.DialTimeout = 3 * time.Second
	o.ReadTimeout, o.WriteTimeout = -1, -1 // the query's own timeout applies
	return &Source{client: redis.NewClient(o)}, nil
}

// silence turns off the library's own log on stderr, which ignores the program's log level and format. The errors of the queries have
// the same content.
var silence = sync.OnceFunc(func() { redis.SetLogger(noLog{}) })

type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

// Check refuses commands that write, or that may be expensive.
func Check(q kpi.Query) error {
	if len(q.Redis) == 0 {
		return fmt.Errorf("query %q: redis: no command", q.Name)
	}
	name := strings.ToUpper(q.Redis[0])
	want, ok := arguments[name]
	if !ok {
		return fmt.Errorf("query %q: redis: command %s is not allowed (have %s)", q.Name, name,
			strings.Join(slices.Sorted(maps.Keys(arguments)), ", "))
	}
	if have := len(q.Redis) - 1; have != want {
		return fmt.Errorf("query %q: redis: %s needs %d arguments, has %d", q.Name, name, want, have)
	}
	return nil
}

// Close ends the connections.
func (s *Source) Close() { _ = s.client.Close() }

// Connections counts the pool's connections by state.
func (s *Source) Connections() map[string]float64 {
	st := s.client.PoolStats()
	return map[string]float64{"idle": float64(st.IdleConns), "in_use": float64(st.TotalConns - st.IdleConns)}
}

// Read answers the queries.
func (s *Source) Read(ctx context.Context, _ time.Time, queries []kpi.Query, give collector.Give) {
	collector.Each(ctx, queries, give, func(ctx context.Context, q kpi.Query) (collector.Rows, error) {
		if err := Check(q); err != nil {
			return collector.Rows{}, err
		}
		rows, err := s.ask(ctx, q)
		if err != nil {
			return collector.Rows{}, fmt.Errorf("redis: %w", safe(err))
		}
		return rows, nil
	})
}

func (s *Source) ask(ctx context.Context, q kpi.Query) (collector.Rows, error) {
	server, err := s.server(ctx)
	if err != nil {
		return collector.Rows{}, err
	}
	if err := s.refuseStale(ctx, server); err != nil {
		return collector.Rows{}, err
	}
	switch strings.ToUpper(q.Redis[0]) {
	case countKeys:
		if err := s.refuseCluster(ctx, server); err != nil {
			return collector.Rows{}, err
		}
		n, err := s.count(ctx, q.Redis[1])
		return one(n), err
	case "DBSIZE":
		if err := s.refuseCluster(ctx, server); err != nil {
			return collector.Rows{}, err
		}
	case "HGETALL":
		all, err := s.client.HGetAll(ctx, q.Redis[1]).Result()
		rows := collector.Rows{Columns: []string{"key", "value"}}
		for _, k := range slices.Sorted(maps.Keys(all)) {
			rows.Values = append(rows.Values, []any{k, all[k]})
		}
		return rows, err
	}
	args := make([]any, len(q.Redis))
	for n, a := range q.Redis {
		args[n] = a
	}
	v, err := s.client.Do(ctx, args...).Result()
	if errors.Is(err, redis.Nil) {
		return collector.Rows{}, errNoKey
	}
	return one(v), err
}

// server is a server's answer to HELLO, which every user may send; it is empty for a server without that command.
type server struct{ mode, role string }

func (s *Source) server(ctx context.Context) (server, error) {
	var answer redis.Error
	hello, err := s.client.Do(ctx, "HELLO").Result()
	if err != nil && !errors.As(err, &answer) {
		return server{}, err
	}
	return server{mode: field(hello, "mode"), role: field(hello, "role")}, nil
}

// refuseStale fails on a replica that has lost its master, whose data is old. It needs the right to INFO; without it, the replica is
// used.
func (s *Source) refuseStale(ctx context.Context, is server) error {
	if is.role != "replica" && is.role != "slave" {
		return nil
	}
	var answer redis.Error
	text, err := s.client.Info(ctx, "replication").Result()
	switch {
	case err != nil && !errors.As(err, &answer):
		return err
	case err == nil && masterLost.MatchString(text):
		return errStale
	}
	return nil
}

// refuseCluster fails on a node of a Redis Cluster, which has only its own keys. Servers before 6.0 have no HELLO, but INFO.
func (s *Source) refuseCluster(ctx context.Context, is server) error {
	switch is.mode {
	case "cluster":
		return errCluster
	case "":
	default:
		return nil
	}
	var answer redis.Error
	text, err := s.client.Info(ctx, "cluster").Result()
	switch {
	case err == nil && clusterEnabled.MatchString(text):
		return errCluster
	case errors.As(err, &answer) && strings.HasPrefix(err.Error(), "NOPERM"):
		return errNotVerified
	case errors.As(err, &answer): // a server without clusters
		return nil
	}
	return err
}

// field is a field of the answer to HELLO; "" if it is missing.
func field(hello any, name string) string {
	switch h := hello.(type) {
	case map[any]any:
		text, _ := h[name].(string)
		return text
	case []any: // RESP2
		for n := 0; n+1 < len(h); n += 2 {
			if h[n] == name {
				text, _ := h[n+1].(string)
				return text
			}
		}
	}
	return ""
}

var (
	clusterEnabled = regexp.MustCompile(`(?m)^cluster_enabled:1\r?$`)
	masterLost     = regexp.MustCompile(`(?m)^master_link_status:down\r?$`)
)

var (
	errCluster = errors.New("the server is a node of a Redis Cluster, and counts only its own keys: " +
		"let the application keep the count in a key, and read that by GET")
	errNotVerified = errors.New("it is not known whether the server is a node of a Redis Cluster, which counts only its own keys: " +
		"grant the user INFO")
	errStale   = errors.New("the server is a replica that has lost its master: its data is old")
	errNoKey   = errors.New("no such key")
	errTooMany = fmt.Errorf("more than %d keys match", maxKeys)
)

func one(v any) collector.Rows {
	return collector.Rows{Columns: []string{"value"}, Values: [][]any{{v}}}
}

// count scans the keyspace. SCAN may give a key twice, so that the keys are kept.
func (s *Source) count(ctx context.Context, pattern string) (int64, error) {
	seen := map[string]struct{}{}
	var cursor uint64
	for {
		keys, next, err := s.client.Scan(ctx, cursor, pattern, 1000).Result()
		if err != nil {
			return 0, err
		}
		for _, k := range keys {
			seen[k] = struct{}{}
		}
		if len(seen) > maxKeys {
			return 0, errTooMany
		}
		if cursor = next; cursor == 0 {
			return int64(len(seen)), nil
		}
	}
}

// safe keeps the errors of this package and of the server. A network error is replaced by its cause, because it names the address.
func safe(err error) error {
	var answer redis.Error
	switch {
	case errors.Is(err, errNoKey), errors.Is(err, errTooMany), errors.Is(err, errStale), errors.Is(err, errCluster),
		errors.Is(err, errNotVerified):
		return err
	case errors.As(err, &answer):
		return named(err.Error())
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	switch cause := neterr.Cause(err); cause {
	case "":
		return errors.New("the server does not answer as a Redis does: check the URL")
	case neterr.TimedOut:
		return fmt.Errorf("timeout: %w", context.DeadlineExceeded)
	default:
		return errors.New(cause)
	}
}

// named explains errors of the server. The text of MOVED is left out, because it names an address.
func named(answer string) error {
	code, _, _ := strings.Cut(answer, " ")
	switch code {
	case "WRONGPASS", "NOAUTH":
		return fmt.Errorf("authentication failed (%s)", code)
	case "MOVED", "ASK", "CROSSSLOT":
		return fmt.Errorf("the key is on another node of the Redis Cluster (%s): set the URL of the node that has it", code)
	case "NOPERM":
		return errors.New("the user has no right to the command or the key (NOPERM)")
	case "LOADING", "CLUSTERDOWN", "MASTERDOWN":
		return fmt.Errorf("the server is not ready (%s)", code)
	case "ERR":
		if strings.Contains(answer, "invalid password") || strings.Contains(answer, "without any password configured") {
			return errors.New("authentication failed (ERR)")
		}
		if strings.Contains(answer, "DB index") {
			return errors.New("database missing (ERR)")
		}
	}
	return errors.New(safetext.Line(answer, safetext.MaxError))
}

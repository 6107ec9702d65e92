package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/redis"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

const planted = "pl4nted-p4ssword"

func query(command ...string) kpi.Query {
	return kpi.Query{Name: "q", Source: "cache", Redis: command, Metrics: []kpi.Metric{{Name: "a", Help: "b"}}}.WithDefaults()
}

func open(t *testing.T, url string) *redis.Source {
	t.Helper()
	s, err := redis.Open(redis.Config{Name: "cache", URL: secret.New(url)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func read(t *testing.T, s *redis.Source, q kpi.Query) collector.Result {
	t.Helper()
	var out collector.Result
	s.Read(t.Context(), time.Now(), []kpi.Query{q}, func(_ int, r collector.Result) { out = r })
	return out
}

func TestCommands(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	m.RequireAuth(planted)
	_ = m.Set("number", "42.5")
	_, _ = m.SAdd("set", "a", "b", "c")
	_, _ = m.Push("list", "a", "b")
	_, _ = m.ZAdd("zset", 1, "a")
	m.HSet("hash", "P2", "3", "P1", "7")
	for n := range 2500 {
		_ = m.Set(fmt.Sprintf("playbook:%d", n), "x")
	}
	s := open(t, "redis://:"+planted+"@"+m.Addr())
	for want, command := range map[string][]string{
		"[[42.5]]":        {"GET", "number"},
		"[[3]]":           {"scard", "set"},
		"[[2]]":           {"LLEN", "list"},
		"[[1]]":           {"ZCARD", "zset"},
		"[[1]] ":          {"ZCOUNT", "zset", "0", "5"},
		"[[7]]":           {"HGET", "hash", "P1"},
		"[[P1 7] [P2 3]]": {"HGETALL", "hash"},
		"[[2500]]":        {"COUNT_KEYS", "playbook:*"},
		"[[0]]":           {"SCARD", "nothing"},
		"[[0]] ":          {"COUNT_KEYS", "nothing:*"},
	} {
		r := read(t, s, query(command...))
		if got := fmt.Sprint(r.Rows.Values); r.Err != nil || got != strings.TrimSpace(want) {
			t.Errorf("%v gives %s, %v; want %s", command, got, r.Err, want)
		}
	}
	for says, command := range map[string][]string{
		"no such key": {"GET", "nothing"}, "no such key ": {"HGET", "hash", "nothing"}, "WRONGTYPE": {"SCARD", "number"},
	} {
		if r := read(t, s, query(command...)); r.Err == nil || !strings.Contains(r.Err.Error(), strings.TrimSpace(says)) {
			t.Errorf("%v: %v, want %q", command, r.Err, says)
		}
	}
}

func TestOnlyReadingCommandsAreAllowed(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	s := open(t, "redis://"+m.Addr())
	for _, command := range [][]string{{"SET", "a", "b"}, {"FLUSHALL"}, {"EVAL", "return 1", "0"}, {"KEYS", "*"}, {"SCARD"}, {"GET", "a", "b"}, {}} {
		if redis.Check(query(command...)) == nil {
			t.Errorf("%v is allowed", command)
		}
		if r := read(t, s, query(command...)); r.Err == nil {
			t.Errorf("%v was sent", command)
		}
	}
	if err := redis.Check(query("SCARD", "x")); err != nil {
		t.Error(err)
	}
}

func TestServerThatIsDownHealsAndShowsNoPassword(t *testing.T) {
	t.Parallel()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	addr := m.Addr()
	m.Close()
	s := open(t, "redis://user:"+planted+"@"+addr)
	r := read(t, s, query("DBSIZE"))
	if r.Err == nil || strings.Contains(r.Err.Error(), planted) || strings.Contains(r.Err.Error(), addr) {
		t.Errorf("down: %v", r.Err)
	}
	if err := m.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	m.RequireUserAuth("user", "other")
	if r := read(t, s, query("DBSIZE")); r.Err == nil || strings.Contains(r.Err.Error(), planted) || !strings.Contains(r.Err.Error(), "WRONGPASS") {
		t.Errorf("wrong password: %v", r.Err)
	}
	m.RequireUserAuth("user", planted)
	if r := read(t, s, query("DBSIZE")); r.Err != nil {
		t.Errorf("it did not heal: %v", r.Err)
	}
	if _, err := redis.Open(redis.Config{URL: secret.New("http://:" + planted + "@x")}); err == nil || strings.Contains(err.Error(), planted) {
		t.Errorf("bad URL: %v", err)
	}
}

// A server that takes connections and never answers costs the query its own timeout, and is told from one that is down.
func TestServerThatHangsCostsTheQuerysTimeout(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := open(t, "redis://:"+planted+"@"+l.Addr().String())
	q := query("DBSIZE")
	q.Timeout = 200 * time.Millisecond
	start := time.Now()
	r := read(t, s, q)
	if !errors.Is(r.Err, context.DeadlineExceeded) || time.Since(start) > 3*time.Second {
		t.Errorf("after %v: %v", time.Since(start), r.Err)
	}
}

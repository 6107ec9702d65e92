package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/redis"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

const planted = "pl4nted-p4ssword"

func query(command ...string) kpi.Query {
	return kpi.Query{Name: "q", Source: "cache", Redis: command, Timeout: time.Minute, Metrics: []kpi.Metric{{Name: "a", Help: "b"}}}.WithDefaults()
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
	addr, err := localstack.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
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

// A server that accepts connections and never answers fails the query at its timeout, with another error than one that is down.
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
	if r := read(t, s, q); !errors.Is(r.Err, context.DeadlineExceeded) {
		t.Error(r.Err)
	}
}

func startRedis(t *testing.T, o localstack.RedisOptions) *localstack.Redis {
	t.Helper()
	r, err := localstack.StartRedis(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Stop() })
	return r
}

// A node of a cluster counts only its own keys, which must not be taken for all of them.
func TestClusterIsRefusedWhereOneNodeIsNotTheWhole(t *testing.T) {
	t.Parallel()
	r := startRedis(t, localstack.RedisOptions{Masters: 3})
	cluster := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: r.Addrs()})
	t.Cleanup(func() { cluster.Close() })
	for n := range 40 {
		if err := cluster.Set(t.Context(), fmt.Sprintf("playbook:%d", n), n, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	moved := 0
	for _, protocol := range []string{"3", "2"} {
		s := open(t, r.URL()+"/0?protocol="+protocol)
		for _, command := range [][]string{{"COUNT_KEYS", "playbook:*"}, {"DBSIZE"}, {"dbsize"}} {
			if got := read(t, s, query(command...)); got.Err == nil || !strings.Contains(got.Err.Error(), "node of a Redis Cluster") {
				t.Errorf("%v: %v, %v", command, got.Rows.Values, got.Err)
			}
		}
		for n := range 40 {
			got := read(t, s, query("GET", fmt.Sprintf("playbook:%d", n)))
			switch {
			case got.Err == nil && fmt.Sprint(got.Rows.Values) == fmt.Sprintf("[[%d]]", n):
			case got.Err != nil && strings.Contains(got.Err.Error(), "on another node") && !strings.Contains(got.Err.Error(), "127.0.0.1"):
				moved++
			default:
				t.Errorf("GET playbook:%d: %v, %v", n, got.Rows.Values, got.Err)
			}
		}
	}
	if moved == 0 || moved == 80 {
		t.Errorf("%d of 80 keys are on other nodes", moved)
	}
}

// A user with only the right to read gets figures.
func TestUserWithFewRights(t *testing.T) {
	t.Parallel()
	r := startRedis(t, localstack.RedisOptions{Users: []string{
		"reader on >" + planted + " ~* +@read -client -info -cluster", "named on >" + planted + " ~* +@all -client|setname",
		"stranger on >" + planted + " ~none:* +get",
	}})
	client := goredis.NewClient(&goredis.Options{Addr: r.Addrs()[0]})
	t.Cleanup(func() { client.Close() })
	for _, key := range []string{"playbook:1", "playbook:2", "playbook:three"} {
		client.Set(t.Context(), key, "xyz", 0)
	}
	for _, user := range []string{"reader", "named"} {
		s := open(t, strings.Replace(r.URL(), "redis://", "redis://"+user+":"+planted+"@", 1))
		for _, command := range [][]string{{"DBSIZE"}, {"COUNT_KEYS", "playbook:*"}, {"STRLEN", "playbook:three"}} {
			if got := read(t, s, query(command...)); got.Err != nil || fmt.Sprint(got.Rows.Values) != "[[3]]" {
				t.Errorf("%s: %v gives %v, %v", user, command, got.Rows.Values, got.Err)
			}
		}
	}
	for url, says := range map[string]string{
		"redis://reader:wrong-" + planted + "@": "authentication failed (WRONGPASS)", "redis://nobody:" + planted + "@": "authentication failed (WRONGPASS)",
		"redis://stranger:" + planted + "@": "no right to the command or the key (NOPERM)",
	} {
		s := open(t, strings.Replace(r.URL(), "redis://", url, 1))
		if got := read(t, s, query("GET", "playbook:1")); got.Err == nil || !strings.Contains(got.Err.Error(), says) || strings.Contains(got.Err.Error(), planted) {
			t.Errorf("%s: %v, want %s", url, got.Err, says)
		}
	}
	s := open(t, r.URL()+"/99")
	if got := read(t, s, query("DBSIZE")); got.Err == nil || !strings.Contains(got.Err.Error(), "database missing") {
		t.Errorf("database 99: %v", got.Err)
	}
}

// A replica that has lost its master has old data, which must not be taken for current figures.
func TestReplicaThatHasLostItsMaster(t *testing.T) {
	t.Parallel()
	master, replica := startRedis(t, localstack.RedisOptions{}), startRedis(t, localstack.RedisOptions{})
	client := goredis.NewClient(&goredis.Options{Addr: replica.Addrs()[0]})
	t.Cleanup(func() { client.Close() })
	host, port, err := net.SplitHostPort(master.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := client.ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	link := func(state string) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.After(2 * time.Minute); ; {
			if text, err := client.Info(t.Context(), "replication").Result(); err == nil && strings.Contains(text, "master_link_status:"+state) {
				return
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("timed out waiting for the link to be %s", state)
			}
		}
	}
	link("up")
	at := goredis.NewClient(&goredis.Options{Addr: master.Addrs()[0]})
	t.Cleanup(func() { at.Close() })
	if err := at.Set(t.Context(), "number", "42", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := at.Wait(t.Context(), 1, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	commands := [][]string{{"GET", "number"}, {"STRLEN", "number"}, {"HGETALL", "hash"}, {"DBSIZE"}, {"COUNT_KEYS", "*"}}
	for _, protocol := range []string{"3", "2"} {
		s := open(t, replica.URL()+"/0?protocol="+protocol)
		for _, command := range commands {
			if got := read(t, s, query(command...)); got.Err != nil {
				t.Errorf("%v of a replica in touch with its master: %v", command, got.Err)
			}
		}
	}
	if err := master.Stop(); err != nil {
		t.Fatal(err)
	}
	link("down")
	for _, protocol := range []string{"3", "2"} {
		s := open(t, replica.URL()+"/0?protocol="+protocol)
		for _, command := range commands {
			if got := read(t, s, query(command...)); got.Err == nil || !strings.Contains(got.Err.Error(), "a replica that has lost its master") {
				t.Errorf("%v: %v, %v", command, got.Rows.Values, got.Err)
			}
		}
	}
}

func TestCausesOfErrors(t *testing.T) {
	t.Parallel()
	r := startRedis(t, localstack.RedisOptions{})
	http := httptest.NewServer(nil)
	t.Cleanup(http.Close)
	tls := httptest.NewTLSServer(nil)
	t.Cleanup(tls.Close)
	for url, says := range map[string]string{
		"redis://:" + planted + "@127.0.0.1:1":                                "redis: connection refused",
		"redis://:" + planted + "@nowhere.invalid:6379":                       "redis: host not found",
		"rediss://" + r.Addrs()[0]:                                            "redis: timeout",
		"rediss://" + strings.TrimPrefix(tls.URL, "https://"):                 "redis: certificate not trusted",
		"redis://:" + planted + "@" + strings.TrimPrefix(http.URL, "http://"): "redis: ",
	} {
		got := read(t, open(t, url), query("DBSIZE"))
		if got.Err == nil || !strings.HasPrefix(got.Err.Error(), says) {
			t.Errorf("%s: %v, want %s", url, got.Err, says)
			continue
		}
		for _, hidden := range []string{planted, "127.0.0.1", "nowhere"} {
			if strings.Contains(got.Err.Error(), hidden) {
				t.Errorf("%s: the error shows %s: %v", url, hidden, got.Err)
			}
		}
	}
}

package faults_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

var (
	kills        = flag.Int("faults.kills", 8, "how often the process on SQLite is killed")
	replicaKills = flag.Int("faults.replica-kills", 3, "how often a replica, or the PostgreSQL under both, is killed")
	seed         = flag.Uint64("faults.seed", 0, "seed of the random faults; 0 means a new one each time")
)

const (
	token     = "12345:faults"
	receivers = 8
	// outstanding is the number of waiting deliveries from which on no more incidents are posted: Telegram accepts one a second.
	outstanding = 60
	repeatMark  = "🔁"
	// fallbackChat gets the notices of suspensions, and of deliveries that were given up, of which there must be none in a trial.
	fallbackChat = 99
)

// program is the built program.
var program = sync.OnceValues(func() (string, error) { return localstack.Program(context.Background()) })

// world is a running trial: one or more processes on one state, a bot, and the incidents that were accepted.
type world struct {
	t     *testing.T
	dir   string
	bot   *localstack.BotAPI
	rng   *rand.Rand
	procs []*process

	mu       sync.Mutex
	accepted map[string]bool
	refused  map[int]int
}

func newWorld(t *testing.T, state string, processes int) *world {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	bot, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: token, Limits: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bot.Close)
	w := &world{
		t: t, dir: t.TempDir(), bot: bot, rng: rand.New(rand.NewPCG(s, 1)), accepted: map[string]bool{}, refused: map[int]int{},
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "prometheus: {url: \"http://127.0.0.1:1\"}\nreports: [{name: daily, disabled: true}]\ndelivery: {fallback_receiver: fallback}\nincidents: {digest_from: 0}\n%s\nreceivers:\n", state)
	fmt.Fprintf(&conf, "  - {name: fallback, telegram: {bot_token: %q, chat_id: \"%d\", api_url: %q}}\n", token, fallbackChat, bot.URL())
	for n := range receivers {
		fmt.Fprintf(&conf, "  - {name: r%d, telegram: {bot_token: %q, chat_id: \"%d\", api_url: %q}}\n", n+1, token, n+1, bot.URL())
	}
	if err := os.WriteFile(filepath.Join(w.dir, "config.yaml"), []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for range processes {
		w.procs = append(w.procs, w.newProcess())
	}
	return w
}

// process is one process of the program, which is restarted on the same address after each kill.
type process struct {
	w    *world
	addr string
	wrap []string // a command that runs the program, before the program's own arguments

	cmd *exec.Cmd
	log localstack.Buffer
}

func (w *world) newProcess() *process {
	addr, err := localstack.FreeAddress(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return &process{w: w, addr: addr}
}

func (p *process) start() {
	p.w.t.Helper()
	bin, err := program()
	if err != nil {
		p.w.t.Fatal(err)
	}
	args := slices.Concat(p.wrap, []string{bin, "run", "--role", "reporter",
		"--config.file", filepath.Join(p.w.dir, "config.yaml"), "--web.listen-address", p.addr})
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.w.dir, &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		p.w.t.Fatal(err)
	}
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

var client = &http.Client{Timeout: 20 * time.Second}

// ready waits until the process answers.
func (p *process) ready() {
	p.w.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for time.Now().Before(deadline) {
		resp, err := client.Get("http://" + p.addr + "/-/healthy")
		if err == nil {
			resp.Body.Close()
			return
		}
		pause(50 * time.Millisecond)
	}
	p.w.t.Fatalf("the program does not answer:\n%s", p.log.String())
}

// pause waits in real time, as other processes are involved.
func pause(d time.Duration) { <-time.After(d) }

// resolved is the body of a webhook with one resolved incident, with the key of its group and further JSON members of its alert.
func resolved(id, groupKey, members string) string {
	end := time.Now()
	return fmt.Sprintf(`{"version": "4", "groupKey": %q, "status": "resolved", "receiver": "awoooi", "groupLabels": {}, "externalURL": "http://am:9093",
		"alerts": [{"status": "resolved", "labels": {"alertname": "Broken", "incident_id": %q}, "startsAt": %q, "endsAt": %q, "fingerprint": %q%s}]}`,
		groupKey, id, end.Add(-time.Hour).Format(time.RFC3339Nano), end.Format(time.RFC3339Nano), id, members)
}

// post sends one resolved incident to one of the processes, and reports whether it was accepted.
func (w *world) post(id string, to *process) bool { return w.postBody(id, resolved(id, id, ""), to) }

func (w *world) postBody(id, body string, to *process) bool {
	resp, err := client.Post("http://"+to.addr+"/api/v1/alertmanager/webhook", "application/json", strings.NewReader(body))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if resp.StatusCode != http.StatusOK || err != nil {
		w.refused[resp.StatusCode]++
		return resp.StatusCode == http.StatusOK
	}
	w.accepted[id] = true
	return true
}

// attacks are requests that must be refused, with the status that refuses them.
var attacks = []struct {
	name, contentType, origin string
	body                      func() string
	want                      int
}{
	{"a number of 9 MB", "application/json", "", func() string {
		return `{"version": "4", "groupKey": "k", "truncatedAlerts": ` + strings.Repeat("1", 9<<20) + `}`
	}, 400},
	{"deep nesting", "application/json", "", func() string { return `{"x": ` + strings.Repeat("[", 4<<20) }, 400},
	{"a body beyond the limit", "application/json", "", func() string { return `{"x": "` + strings.Repeat("a", 11<<20) + `"}` }, 413},
	{"a form of another site", "text/plain", "", func() string { return resolved("F-STRANGER", "k", "") }, 415},
	{"a script of another site", "application/json", "https://evil.example", func() string { return resolved("F-STRANGER", "k", "") }, 403},
}

// poison returns inputs that once broke the program: the incident must be accepted, and its message must arrive.
func poison(n int, id string) (groupKey, members string) {
	switch n % 5 {
	case 0: // an expression that overflowed the parser's stack when it was evaluated
		return id, `, "generatorURL": "http://p/graph?g0.expr=` + strings.Repeat("min(", 2<<20) + `"`
	case 1:
		return id, `, "generatorURL": "http://p/graph?g0.expr=` + strings.Repeat("(", 400<<10) + `"`
	case 2: // a key that PostgreSQL could not index
		return id + strings.Repeat("k", 8<<10), ""
	case 3:
		return id, `, "annotations": {"summary": "</b><script>{{.}} \u001b[2J\u202e\u0000 <a href=\"tg://x\">", "description": "` + strings.Repeat("<b>", 20000) + `"}`
	}
	return id, `, "annotations": {"runbook_url": "javascript:alert(1)", "dashboard_url": "http://nodot:99999/"}`
}

// hostile posts attacks, which must be refused, and poisoned incidents, which must arrive as all others, until ctx ends.
func (w *world) hostile(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		to := w.procs[n%len(w.procs)]
		a := attacks[n%len(attacks)]
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+to.addr+"/api/v1/alertmanager/webhook", strings.NewReader(a.body()))
		if err != nil {
			w.t.Error(err)
			return
		}
		req.Header.Set("Content-Type", a.contentType)
		if a.origin != "" {
			req.Header.Set("Origin", a.origin)
			req.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		if resp, err := client.Do(req); err == nil { // else the process was killed, or answered before it had read all
			resp.Body.Close()
			if resp.StatusCode != a.want && resp.StatusCode != http.StatusServiceUnavailable {
				w.t.Errorf("%s is answered %d, want %d", a.name, resp.StatusCode, a.want)
			}
		}
		if w.waiting() <= outstanding {
			id := fmt.Sprintf("F-9%05d", n)
			key, members := poison(n, id)
			for ctx.Err() == nil && !w.postBody(id, resolved(id, key, members), to) {
				pause(100 * time.Millisecond)
			}
		}
		pause(300 * time.Millisecond)
	}
}

// feed posts incidents until ctx ends, each one until it is accepted, as Alertmanager does.
func (w *world) feed(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("F-%06d", n)
		for try := n; ctx.Err() == nil && !w.post(id, w.procs[try%len(w.procs)]); try++ {
			pause(20 * time.Millisecond)
		}
		for ctx.Err() == nil && w.waiting() > outstanding {
			pause(50 * time.Millisecond)
		}
	}
}

// waiting estimates the number of deliveries that have not arrived.
func (w *world) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.accepted)*receivers - len(w.bot.Messages())
}

// trouble makes random calls of the Bot API fail until ctx ends.
func (w *world) trouble(ctx context.Context, rng *rand.Rand) {
	kinds := []localstack.BotFault{
		{Cut: true}, {Cut: true, Accept: true}, {CutAtOnce: true}, {Garbage: true}, {HalfAnAnswer: true, Accept: true},
		{Status: 500, Description: "Internal Server Error"}, {Status: 500, Description: "Internal Server Error", Accept: true},
		{Status: 502, Description: "Bad Gateway", Proxy: true}, {Status: 502, Description: "Bad Gateway", Accept: true, Proxy: true},
		{Status: 504, Description: "Gateway Timeout", Accept: true, Proxy: true}, {Status: 503, Description: "Service Unavailable", Proxy: true},
		{Status: 503, Description: "Service Unavailable", Header: 1, Proxy: true}, {Status: 404, Description: "Not Found", Proxy: true},
		{Status: 429, Description: "Too Many Requests", RetryAfter: 1}, {Hang: true},
		{Status: 400, Description: "Bad Request: TOPIC_CLOSED"}, {Status: 403, Description: "Forbidden: bot was kicked from the group chat"},
		{Status: 401, Description: "Unauthorized"}, {Status: 400, Description: "Bad Request: not enough rights to send text messages to the chat"},
	}
	for faulted := 0; ctx.Err() == nil; {
		pause(time.Duration(rng.IntN(300)) * time.Millisecond)
		// At most every third call fails, so that a slow trial has sends too.
		if calls := w.bot.Calls(); calls >= faulted+3 {
			w.bot.Fail(kinds[rng.IntN(len(kinds))])
			faulted = calls
		}
	}
}

var incidentID = regexp.MustCompile(`F-\d{6}`)

// verify compares the accepted incidents with the messages, and fails for lost messages and for copies without a mark.
func (w *world) verify(kills int) {
	w.t.Helper()
	type delivery struct{ id, chat string }
	plain, marked, failed := map[delivery]int{}, map[delivery]int{}, 0
	count := func() (missing []delivery) {
		clear(plain)
		clear(marked)
		failed = 0
		for _, m := range w.bot.Messages() {
			d := delivery{incidentID.FindString(m.Plain), m.ChatID}
			if m.ChatID == fmt.Sprint(fallbackChat) {
				if strings.Contains(m.Plain, "發送失敗") {
					failed++
				}
				continue
			}
			if strings.Contains(m.Plain, repeatMark) {
				marked[d]++
			} else {
				plain[d]++
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for id := range w.accepted {
			for n := range receivers {
				if d := (delivery{id, fmt.Sprint(n + 1)}); plain[d]+marked[d] == 0 {
					missing = append(missing, d)
				}
			}
		}
		return missing
	}
	deadline := time.Now().Add(4 * time.Minute)
	missing := count()
	for len(missing) > 0 && time.Now().Before(deadline) {
		pause(200 * time.Millisecond)
		missing = count()
	}
	doubled, unmarked := 0, 0
	for d, n := range plain {
		if n > 1 {
			unmarked++
			w.t.Errorf("%v arrived %d times without a mark", d, n)
		}
		if n+marked[d] > 1 {
			doubled++
		}
	}
	for d, n := range marked {
		if plain[d] == 0 && n > 1 {
			doubled++
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := len(w.accepted) * receivers
	if floods := w.bot.Floods(); floods > 0 {
		w.t.Errorf("%d sends went beyond Telegram's limits", floods)
	}
	w.t.Logf("| %d kills | accepted %d | delivered %d | lost %d | doubled with the mark %d | doubled without a mark %d | given up %d | refused webhooks %v |",
		kills, all, all-len(missing), len(missing), doubled-unmarked, unmarked, failed, w.refused)
	if failed > 0 {
		w.t.Errorf("%d notices say that something was given up before give_up_after", failed)
	}
	if len(w.accepted) == 0 {
		w.t.Error("nothing was accepted, so nothing was tried")
	}
	if len(missing) > 0 {
		tail := w.procs[0].log.String()
		w.t.Errorf("%d deliveries are lost, among them %v; the log ends:\n%s", len(missing), missing[0], tail[max(0, len(tail)-4000):])
	}
}

// The process is killed many times at random moments, also while it starts.
func TestKillsOnSQLite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", 1)
	ctx, stop := context.WithCancel(t.Context())
	p := w.procs[0]
	p.start()
	p.ready()
	var feeders sync.WaitGroup
	feeders.Go(func() { w.feed(ctx) })
	feeders.Go(func() { w.hostile(ctx) })
	trouble := rand.New(rand.NewPCG(w.rng.Uint64(), 2))
	feeders.Go(func() { w.trouble(ctx, trouble) })
	for range *kills {
		pause(time.Duration(w.rng.IntN(1200)) * time.Millisecond)
		p.kill()
		p.start()
	}
	p.ready()
	stop()
	feeders.Wait()
	w.verify(*kills)
	p.kill()
}

// Two replicas share a PostgreSQL; one of the three is killed several times.
func TestKillsOfReplicas(t *testing.T) {
	t.Parallel()
	pg, err := localstack.StartPostgres(t.Context(), localstack.PostgresOptions{Fsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Stop() })
	w := newWorld(t, fmt.Sprintf("state: {dsn: %q}", pg.DSN("postgres")), 2)
	ctx, stop := context.WithCancel(t.Context())
	for _, p := range w.procs {
		p.start()
		p.ready()
	}
	var feeders sync.WaitGroup
	feeders.Go(func() { w.feed(ctx) })
	feeders.Go(func() { w.hostile(ctx) })
	trouble := rand.New(rand.NewPCG(w.rng.Uint64(), 2))
	feeders.Go(func() { w.trouble(ctx, trouble) })
	for n := range *replicaKills {
		pause(time.Duration(500+w.rng.IntN(2500)) * time.Millisecond)
		if n%3 == 2 {
			if err := pg.Kill(); err != nil {
				t.Fatal(err)
			}
			pause(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
			if err := pg.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		p := w.procs[w.rng.IntN(2)]
		p.kill()
		p.start()
		p.ready()
	}
	stop()
	feeders.Wait()
	w.verify(*replicaKills)
	for _, p := range w.procs {
		p.kill()
	}
}

// The state's disk is full for a while: webhooks are answered 503 until there is space again, and no accepted one is lost.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "state: {path: /mnt/awoooi}", 1)
	p := w.procs[0]
	mount := "mount -t tmpfs -o size=24m tmpfs /mnt && exec \"$@\""
	p.wrap = []string{"unshare", "--mount", "--", "sh", "-c", mount, "sh"}
	if os.Getuid() != 0 {
		p.wrap = []string{"unshare", "--mount", "--map-root-user", "--", "sh", "-c", mount, "sh"}
	}
	if out, err := exec.Command(p.wrap[0], append(p.wrap[1:len(p.wrap):len(p.wrap)], "true")...).CombinedOutput(); err != nil {
		// Some containers do not allow mounts.
		t.Fatalf("a small file system cannot be mounted: %v: %s", err, out)
	}
	p.start()
	defer p.kill()
	p.ready()
	for n := range 20 {
		if !w.post(fmt.Sprintf("F-%06d", n), p) {
			t.Fatalf("webhook %d was refused on an empty disk", n)
		}
	}
	filler := fmt.Sprintf("/proc/%d/root/mnt/filler", p.cmd.Process.Pid)
	fill(t, filler)
	n := 20
	for ; n < 2000; n++ {
		if !w.post(fmt.Sprintf("F-%06d", n), p) {
			break
		}
	}
	w.mu.Lock()
	if w.refused[http.StatusServiceUnavailable] == 0 {
		t.Errorf("after %d webhooks on a full disk the answers are %v", n, w.refused)
	}
	w.mu.Unlock()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(3 * time.Minute)
	for !w.post(fmt.Sprintf("F-%06d", n), p) {
		if time.Now().After(deadline) {
			t.Fatal("webhooks are refused though there is space again")
		}
		pause(100 * time.Millisecond)
	}
	w.verify(0)
}

// fill writes the file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		block := make([]byte, size)
		for {
			if _, err := f.Write(block); err != nil {
				break
			}
		}
	}
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Logf("sync: %v", err)
	}
}

package silence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/alertmanager"
	"github.com/awoooi/awoooi-reporter/reporter/silence"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

var alice = reporter.Person{Kind: reporter.AuthorTelegram, ID: "1", Name: "Alice <b>"}

// clock is what a test says.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func open(t *testing.T, dir string, now func() time.Time) *store.Store {
	t.Helper()
	s, err := store.OpenSQLite(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.SetClock(now)
	t.Cleanup(func() { s.Close() })
	return s
}

// put stores an incident that fires with these alerts.
func put(t *testing.T, s *store.Store, id string, state reporter.IncidentState, labels ...map[string]string) {
	t.Helper()
	now := s.Now()
	in := reporter.Incident{ID: id, Key: id, State: state, StartedAt: now, FirstSeenAt: now, LastSeenAt: now, AlertsTotal: len(labels)}
	if in.Over() {
		in.EndedAt = now
	}
	for n, l := range labels {
		in.Alerts = append(in.Alerts, reporter.Alert{Fingerprint: fmt.Sprint(id, n), StartsAt: now, Firing: true, Labels: l})
	}
	err := s.Update(t.Context(), reporter.JournalQuery{Incidents: []string{id}}, func(reporter.JournalView) reporter.JournalChanges {
		return reporter.JournalChanges{Incidents: []reporter.Incident{in}}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fake is a cluster that answers by a script.
type fake struct {
	mu       sync.Mutex
	fail     []error // of the next calls; nil is answered
	arrives  bool    // a creation that fails is made nevertheless
	silences map[string]reporter.KnownSilence
	comments map[string]string
	created  int
	calls    int
}

func (f *fake) next() (err error) {
	f.calls++
	if len(f.fail) > 0 {
		err, f.fail = f.fail[0], f.fail[1:]
	}
	return err
}

func (f *fake) Create(_ context.Context, n reporter.Silence, _, comment string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.next()
	if err != nil && !f.arrives {
		return "", err
	}
	f.created++
	id := fmt.Sprint("s", f.created)
	if f.silences == nil {
		f.silences, f.comments = map[string]reporter.KnownSilence{}, map[string]string{}
	}
	f.silences[id], f.comments[id] = reporter.KnownSilence{ID: id, EndsAt: n.EndsAt}, comment
	return id, err
}

func (f *fake) Find(_ context.Context, mark string) (reporter.KnownSilence, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.next(); err != nil {
		return reporter.KnownSilence{}, false, err
	}
	for id, comment := range f.comments {
		if strings.Contains(comment, mark) {
			return f.silences[id], true, nil
		}
	}
	return reporter.KnownSilence{}, false, nil
}

func (f *fake) Get(_ context.Context, id string) (reporter.KnownSilence, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.next(); err != nil {
		return reporter.KnownSilence{}, err
	}
	n, ok := f.silences[id]
	if !ok {
		return n, reporter.ErrNotFound
	}
	return n, nil
}

func (f *fake) End(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.next(); err != nil {
		return err
	}
	n := f.silences[id]
	n.Expired = true
	f.silences[id] = n
	return nil
}

// world is a silencer with one cluster.
type world struct {
	*silence.Silencer
	t     *testing.T
	store *store.Store
	clock *clock
	api   *fake
}

func build(t *testing.T) *world {
	t.Helper()
	c := &clock{at: time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)}
	w := &world{t: t, clock: c, store: open(t, t.TempDir(), c.now), api: &fake{}}
	w.Silencer = silence.New(silence.Config{Clusters: map[string]silence.Cluster{reporter.ClusterDefault: w.api}, ExternalURL: "https://r.example/"},
		w.store, w.store, slog.New(slog.DiscardHandler))
	put(t, w.store, "I", reporter.IncidentOpen, map[string]string{"alertname": "A"})
	return w
}

// passes lets time pass and asks the cluster every so often.
func (w *world) passes(d, every time.Duration) {
	w.t.Helper()
	for ; d >= 0; d -= every {
		if err := w.Pass(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.clock.pass(every)
	}
}

func (w *world) only() reporter.Silence {
	w.t.Helper()
	list, err := w.store.Silences(w.t.Context(), "I")
	if err != nil || len(list) != 1 {
		w.t.Fatalf("silences %+v, %v", list, err)
	}
	return list[0]
}

func (w *world) request() {
	w.t.Helper()
	if err := w.Request(w.t.Context(), "I", alice, time.Hour); err != nil {
		w.t.Fatal(err)
	}
}

// The cluster's answers decide the state of a silence. A silence is never created twice, and a failure is shown.
func TestSilences(t *testing.T) {
	t.Parallel()
	x := errors.New("connection reset")
	for name, tc := range map[string]struct {
		fail    []error
		arrives bool
		after   time.Duration
		act     func(w *world)
		state   reporter.SilenceState
		endedBy string
		error   string
		created int
	}{
		"created":                           {state: reporter.SilenceActive, created: 1},
		"refused":                           {fail: []error{fmt.Errorf("%w: too many", reporter.ErrRefused)}, state: reporter.SilenceFailed, error: "refused: too many"},
		"not answered at first":             {fail: []error{x, x, nil, x}, after: 2 * time.Minute, state: reporter.SilenceActive, created: 1},
		"made, and its answer was lost":     {fail: []error{x}, arrives: true, after: 2 * time.Minute, state: reporter.SilenceActive, created: 1},
		"never answered":                    {fail: slices.Repeat([]error{x}, 100), after: 15 * time.Minute, state: reporter.SilencePending, error: "connection reset"},
		"not answered until it is over":     {fail: slices.Repeat([]error{x}, 1000), after: 62 * time.Minute, state: reporter.SilenceFailed, error: "connection reset"},
		"answered too late":                 {fail: slices.Repeat([]error{x}, 65), after: 25 * time.Minute, state: reporter.SilenceFailed, error: "the cluster did not answer in time"},
		"expired":                           {after: time.Minute, act: func(w *world) { w.expire(time.Hour) }, state: reporter.SilenceEnded, created: 1},
		"asked for twice":                   {act: func(w *world) { w.request() }, state: reporter.SilenceActive, created: 1},
		"ended here":                        {after: time.Minute, act: func(w *world) { w.end() }, state: reporter.SilenceEnded, endedBy: "Bob", created: 1},
		"ended before the cluster answered": {fail: []error{x}, arrives: true, act: func(w *world) { w.end() }, after: time.Minute, state: reporter.SilenceEnded, endedBy: "Bob", created: 1},
		"ended while the cluster is away":   {after: time.Minute, act: func(w *world) { w.api.fail = []error{x, x}; w.end() }, state: reporter.SilenceEnded, endedBy: "Bob", created: 1},
		"deleted in the cluster":            {after: time.Minute, act: func(w *world) { clear(w.api.silences) }, state: reporter.SilenceEnded, created: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := build(t)
			w.api.fail, w.api.arrives = tc.fail, tc.arrives
			w.request()
			if err := w.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tc.act != nil && tc.after == 0 || name == "ended before the cluster answered" {
				tc.act(w)
			}
			w.passes(tc.after, 5*time.Second)
			if tc.act != nil && tc.after > 0 && name != "ended before the cluster answered" {
				tc.act(w)
				w.passes(2*time.Minute, 5*time.Second)
			}
			n := w.only()
			if n.State != tc.state || n.EndedBy != tc.endedBy || (tc.error != "") != (n.Error != "") || !strings.Contains(n.Error, tc.error) || w.api.created != tc.created {
				t.Errorf("%+v, created %d", n, w.api.created)
			}
			if (n.State == reporter.SilenceEnded || n.State == reporter.SilenceFailed) == n.EndedAt.IsZero() {
				t.Errorf("ended at %v", n.EndedAt)
			}
			calls := w.api.calls
			if n.State == reporter.SilenceEnded || n.State == reporter.SilenceFailed {
				w.passes(10*time.Minute, time.Minute)
				if w.api.calls != calls {
					t.Errorf("the cluster was asked %d times about a silence that is over", w.api.calls-calls)
				}
			} else if n.State == reporter.SilenceActive && w.api.calls > 10 {
				t.Errorf("the cluster was asked %d times", w.api.calls)
			}
		})
	}
}

func (w *world) end() {
	w.t.Helper()
	for range 2 { // It may be repeated.
		if err := w.End(w.t.Context(), "I", reporter.Person{Name: "Bob"}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// expire is what a cluster does when the time of its silences has come.
func (w *world) expire(after time.Duration) {
	w.clock.pass(after)
	for id, n := range w.api.silences {
		n.Expired = true
		w.api.silences[id] = n
	}
}

// hanging is a cluster whose first request is not answered before it is let go.
type hanging struct {
	fake
	first  atomic.Bool
	asked  chan struct{}
	letGo  chan struct{}
	others chan string
}

func (h *hanging) Create(ctx context.Context, n reporter.Silence, by, comment string) (string, error) {
	if h.asked != nil && h.first.CompareAndSwap(false, true) {
		close(h.asked)
		<-h.letGo
	}
	id, err := h.fake.Create(ctx, n, by, comment)
	h.others <- n.Incident
	return id, err
}

// A request without an answer delays neither other clusters nor other silences of the same cluster.
func TestAClusterThatHangs(t *testing.T) {
	t.Parallel()
	slow := &hanging{asked: make(chan struct{}), letGo: make(chan struct{}), others: make(chan string, 9)}
	fast := &hanging{others: make(chan string, 9)}
	c := &clock{at: time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)}
	s := open(t, t.TempDir(), c.now)
	err := s.Update(t.Context(), reporter.JournalQuery{}, func(v reporter.JournalView) (out reporter.JournalChanges) {
		for _, id := range []string{"slow-1", "slow-2", "fast-1"} {
			out.Incidents = append(out.Incidents, reporter.Incident{
				ID: id, Key: id, Cluster: id[:4], State: reporter.IncidentOpen, StartedAt: v.Now, FirstSeenAt: v.Now, LastSeenAt: v.Now, AlertsTotal: 1,
				Alerts: []reporter.Alert{{Fingerprint: id, StartsAt: v.Now, Firing: true, Labels: map[string]string{"alertname": "A"}}},
			})
		}
		return out
	})
	if err != nil {
		t.Fatal(err)
	}
	silencer := silence.New(silence.Config{Clusters: map[string]silence.Cluster{"slow": slow, "fast": fast}}, s, s, slog.New(slog.DiscardHandler))
	request := func(incident string) {
		if err := silencer.Request(t.Context(), incident, alice, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	request("slow-1")
	request("slow-2")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		silencer.Run(ctx)
	}()
	wait := func(what string, from <-chan string) {
		t.Helper()
		select {
		case <-from:
		case <-time.After(2 * time.Minute):
			t.Errorf("%s waits for a request that is not answered", what)
		}
	}
	<-slow.asked
	wait("the other silence of the cluster", slow.others)
	request("fast-1") // while the first cluster is being asked
	wait("another cluster", fast.others)
	close(slow.letGo)
	wait("nothing", slow.others)
	cancel()
	<-done
	if slow.created != 2 || fast.created != 1 {
		t.Errorf("created %d and %d", slow.created, fast.created)
	}
}

func TestWhatIsNotSilenced(t *testing.T) {
	t.Parallel()
	w := build(t)
	put(t, w.store, "over", reporter.IncidentResolved, map[string]string{"alertname": "A"})
	put(t, w.store, "apart", reporter.IncidentOpen, map[string]string{"a": "1"}, map[string]string{"b": "1"})
	for incident, want := range map[string]error{"none": reporter.ErrNotFound, "over": reporter.ErrResolved, "apart": nil} {
		err := w.Request(t.Context(), incident, alice, time.Hour)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", incident, err, want)
		}
	}
	w.SetConfig(silence.Config{})
	if err := w.Request(t.Context(), "I", alice, time.Hour); !errors.Is(err, reporter.ErrNotFound) {
		t.Errorf("without a cluster: %v", err)
	}
	if err := w.End(t.Context(), "none", alice); !errors.Is(err, reporter.ErrNotFound) {
		t.Errorf("the end of none: %v", err)
	}
}

func TestMatchers(t *testing.T) {
	t.Parallel()
	alert := func(pairs ...string) reporter.Alert {
		a := reporter.Alert{Labels: map[string]string{}, Firing: true}
		for n := 0; n < len(pairs); n += 2 {
			a.Labels[pairs[n]] = pairs[n+1]
		}
		return a
	}
	ended := alert("alertname", "Old", "job", "x")
	ended.Firing, ended.EndsAt = false, time.Unix(1, 0)
	many := func(n int) (in reporter.Incident) {
		for i := range n {
			in.Alerts = append(in.Alerts, alert("alertname", fmt.Sprintf("A%03d", i), "severity", "critical", "pod", strconv.Itoa(i)))
		}
		return in
	}
	var fifty []string
	for _, a := range many(50).Alerts {
		fifty = append(fifty, a.Labels["alertname"])
	}
	type m = reporter.SilenceMatcher
	for name, tc := range map[string]struct {
		in   reporter.Incident
		want []m
	}{
		"one alert":     {reporter.Incident{Alerts: []reporter.Alert{alert("alertname", "A", "job", "x", "empty", "")}}, []m{{Name: "alertname", Value: "A"}, {Name: "job", Value: "x"}}},
		"labels differ": {reporter.Incident{Alerts: []reporter.Alert{alert("alertname", "A", "pod", "1"), alert("alertname", "A", "pod", "2")}}, []m{{Name: "alertname", Value: "A"}}},
		"names differ":  {reporter.Incident{Alerts: []reporter.Alert{alert("alertname", "B.x", "job", "x"), alert("alertname", "A", "job", "x")}}, []m{{Name: "job", Value: "x"}, {Name: "alertname", Value: `A|B\.x`, Regex: true}}},
		"ended alerts":  {reporter.Incident{Alerts: []reporter.Alert{ended, alert("alertname", "A", "job", "x")}}, []m{{Name: "alertname", Value: "A"}, {Name: "job", Value: "x"}}},
		"fifty names":   {many(50), []m{{Name: "severity", Value: "critical"}, {Name: "alertname", Value: strings.Join(fifty, "|"), Regex: true}}},
		// Without a name, the severity would silence all critical alerts of others.
		"more names":         {many(51), nil},
		"one without a name": {reporter.Incident{Alerts: []reporter.Alert{alert("alertname", "A", "severity", "critical"), alert("severity", "critical")}}, nil},
		"no names":           {reporter.Incident{Alerts: []reporter.Alert{alert("severity", "critical")}}, nil},
		"names only":         {reporter.Incident{Alerts: []reporter.Alert{alert("alertname", "A"), alert("alertname", "B")}}, nil},
		"none fires":         {reporter.Incident{Alerts: []reporter.Alert{ended}}, nil},
		"no alerts":          {reporter.Incident{GroupLabels: map[string]string{"job": "x"}}, nil},
		"labels of the group": {
			reporter.Incident{GroupLabels: map[string]string{"cluster": "tpe", "job": "y"}, Alerts: []reporter.Alert{alert("alertname", "A", "job", "x")}},
			[]m{{Name: "alertname", Value: "A"}, {Name: "cluster", Value: "tpe"}, {Name: "job", Value: "x"}},
		},
		"a part of its alerts": {
			reporter.Incident{Partial: &reporter.Partial{CommonLabels: map[string]string{"job": "x"}}, Alerts: []reporter.Alert{alert("alertname", "B", "job", "x"), alert("alertname", "A", "job", "x")}},
			[]m{{Name: "job", Value: "x"}, {Name: "alertname", Value: "A|B", Regex: true}},
		},
		"a part of its alerts, without names": {
			reporter.Incident{Partial: &reporter.Partial{CommonLabels: map[string]string{"job": "x"}}, Alerts: []reporter.Alert{alert("job", "x")}}, nil,
		},
		"nothing common": {reporter.Incident{Alerts: []reporter.Alert{alert("a", "1"), alert("b", "1")}}, nil},
	} {
		got, err := silence.Matchers(tc.in)
		if !reflect.DeepEqual(got, tc.want) || errors.Is(err, reporter.ErrNothingInCommon) != (tc.want == nil) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tc.want)
		}
	}
}

// startAlertmanager starts a real one and gives it alerts.
func startAlertmanager(t *testing.T, labels ...map[string]string) (string, *alertmanager.API) {
	t.Helper()
	am, err := localstack.StartAlertmanager(context.WithoutCancel(t.Context()), localstack.AlertmanagerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = am.Stop() })
	api, err := alertmanager.New(alertmanager.Config{URL: am.URL()})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range labels {
		if err := api.Post(t.Context(), alertmanager.Alert{Labels: l, StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	return am.URL(), api
}

// A real Alertmanager silences the alerts of the incident and no others, in the person's name, until the silence is ended here or there.
func TestOnAlertmanager(t *testing.T) {
	t.Parallel()
	ours := []map[string]string{
		{"alertname": "Disk", "job": "node", "instance": `a"1\`}, {"alertname": "Load.High", "job": "node", "instance": `a"1\`},
	}
	other := map[string]string{"alertname": "LoadXHigh", "job": "node", "instance": `a"1\`}
	url, api := startAlertmanager(t, append(slices.Clone(ours), other)...)
	s := open(t, t.TempDir(), time.Now)
	put(t, s, "I <1>", reporter.IncidentOpen, ours...)
	silencer := silence.New(silence.Config{
		Clusters: map[string]silence.Cluster{reporter.ClusterDefault: alertmanager.NewSilencer(api)}, ExternalURL: "https://r.example", Poll: time.Nanosecond,
	}, s, s, slog.New(slog.DiscardHandler))
	pass := func() reporter.Silence {
		t.Helper()
		if err := silencer.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := s.Silences(t.Context(), "I <1>")
		if err != nil {
			t.Fatal(err)
		}
		return list[len(list)-1]
	}
	silenced := func() map[string]bool {
		t.Helper()
		alerts, err := api.Alerts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, a := range alerts {
			out[a.Labels["alertname"]] = a.Silenced
		}
		return out
	}
	request := func() {
		t.Helper()
		if err := silencer.Request(t.Context(), "I <1>", alice, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	request()
	n := pass()
	if want := map[string]bool{"Disk": true, "Load.High": true, "LoadXHigh": false}; n.State != reporter.SilenceActive || !maps.Equal(silenced(), want) {
		t.Errorf("silence %+v, silenced %v", n, silenced())
	}
	known, err := alertmanager.NewSilencer(api).Get(t.Context(), n.APIID)
	if err != nil || known.Expired || known.EndsAt.Sub(n.EndsAt).Abs() > time.Millisecond {
		t.Errorf("known %+v, %v; want the end %v", known, err, n.EndsAt)
	}
	for _, want := range []string{"Incident I <1> https://r.example/incidents/I%20%3C1%3E", "Alice <b> via awoooi-reporter"} {
		if all := silencesOf(t, url); len(all) != 1 || !strings.Contains(all[0].Comment+all[0].CreatedBy, want) {
			t.Errorf("the silence says %+v, want %q", all, want)
		}
	}
	// The end of a silenced alert is never sent, but the API shows it: reconciliation asks for silenced ones too.
	before, _, err := api.Known(t.Context())
	if err != nil || before.Len() != 3 {
		t.Fatalf("known %v, %v", before, err)
	}
	ended := alertmanager.Alert{Labels: ours[0], StartsAt: time.Now().Add(-time.Minute), EndsAt: time.Now().Add(-time.Second)}
	if err := api.Post(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	after := before
	for deadline := time.Now().Add(time.Minute); after.Len() == 3 && time.Now().Before(deadline); {
		if after, _, err = api.Known(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after.Len() != 2 {
		t.Errorf("after the end of a silenced alert its cluster knows %d", after.Len())
	}
	if err := silencer.End(t.Context(), "I <1>", reporter.Person{Name: "Bob"}); err != nil {
		t.Fatal(err)
	}
	if n = pass(); n.State != reporter.SilenceEnded || n.EndedBy != "Bob" || silenced()["Load.High"] {
		t.Errorf("after its end: %+v, silenced %v", n, silenced())
	}
	request()
	n = pass()
	if err := alertmanager.NewSilencer(api).End(t.Context(), n.APIID); err != nil { // by somebody in Alertmanager
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for n.State != reporter.SilenceEnded && time.Now().Before(deadline) {
		n = pass()
	}
	if n.State != reporter.SilenceEnded || n.EndedBy != "" || n.EndedAt.IsZero() {
		t.Errorf("ended in Alertmanager: %+v", n)
	}
}

// silencesOf are all that an Alertmanager has.
func silencesOf(t *testing.T, url string) (out []struct{ ID, Comment, CreatedBy string }) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v2/silences", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

const killDir = "AWOOOI_TEST_SILENCE_DIR"

// killed is a cluster whose process is killed once a silence was made.
type killed struct{ *alertmanager.Silencer }

func (k killed) Create(ctx context.Context, n reporter.Silence, by, comment string) (string, error) {
	if _, err := k.Silencer.Create(ctx, n, by, comment); err != nil {
		return "", err
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// If a process is killed after Alertmanager created the silence and before that was stored, the next process finds it and creates no second.
func TestKilledBeforeASilenceIsStored(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(killDir); dir != "" {
		api, err := alertmanager.New(alertmanager.Config{URL: os.Getenv("AWOOOI_TEST_ALERTMANAGER")})
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, time.Now)
		silencer := silence.New(silence.Config{Clusters: map[string]silence.Cluster{reporter.ClusterDefault: killed{alertmanager.NewSilencer(api)}}},
			s, s, slog.New(slog.DiscardHandler))
		if err := silencer.Request(t.Context(), "I", alice, time.Hour); err != nil {
			t.Fatal(err)
		}
		_ = silencer.Pass(t.Context())
		t.Fatal("the process lives")
	}
	url, api := startAlertmanager(t)
	dir := t.TempDir()
	s := open(t, dir, time.Now)
	put(t, s, "I", reporter.IncidentOpen, map[string]string{"alertname": "A"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKilledBeforeASilenceIsStored$")
	cmd.Env = append(os.Environ(), killDir+"="+dir, "AWOOOI_TEST_ALERTMANAGER="+url)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL { //nolint:forcetypeassert // on Linux
		t.Fatalf("%v: %s", err, out)
	}
	c := &clock{at: time.Now().Add(2 * time.Minute)}
	s = open(t, dir, c.now)
	silencer := silence.New(silence.Config{Clusters: map[string]silence.Cluster{reporter.ClusterDefault: alertmanager.NewSilencer(api)}},
		s, s, slog.New(slog.DiscardHandler))
	if err := silencer.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := s.Silences(t.Context(), "I")
	if err != nil || len(list) != 1 || list[0].State != reporter.SilenceActive {
		t.Errorf("silences %+v, %v", list, err)
	}
	if all := silencesOf(t, url); len(all) != 1 {
		t.Errorf("Alertmanager has %+v", all)
	}
}

// Package silence creates and ends silences by the APIs of clusters: requests of people come in and are stored, one silence of
// Alertmanager for each goes out.
package silence

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// State stores the silences.
type State interface {
	Requests
	Queue
}

// Requests stores the requests of people.
type Requests interface {
	// AddSilence stores a requested silence; added is false if one with the same end or a later one lasts. reporter.ErrNotFound and
	// reporter.ErrResolved are about the incident.
	AddSilence(ctx context.Context, n reporter.Silence) (added bool, err error)
	// EndSilences requests the end of the lasting silences of an incident.
	EndSilences(ctx context.Context, incident, by string, now time.Time) (int64, error)
}

// Queue holds the silences about which clusters have to be asked.
type Queue interface {
	// SaveSilence stores a silence, unless its stored state is no longer was.
	SaveSilence(ctx context.Context, n reporter.Silence, was reporter.SilenceState) (saved bool, err error)
	// ClustersDue returns the names of the clusters with silences that are due.
	ClustersDue(ctx context.Context, now time.Time) ([]string, error)
	// DueSilences returns at most limit due silences of a cluster.
	DueSilences(ctx context.Context, cluster string, now time.Time, limit int) ([]reporter.Silence, error)
}

// Incidents reads incidents, and coordinates the processes that share a state.
type Incidents interface {
	// IncidentExtract returns the incident with as many alerts as a message can show, or reporter.ErrNotFound.
	IncidentExtract(ctx context.Context, id string) (reporter.Incident, error)
	// Lease takes the lease of that name. A nil context means that another process has it.
	Lease(ctx context.Context, name string) (leased context.Context, release func(), err error)
	Now() time.Time
}

// Cluster is the silence API of a cluster of Alertmanagers.
type Cluster interface {
	Finder
	// Create creates a silence and returns its id. An error that wraps reporter.ErrRefused means that it was not created. After any other
	// error this is not known.
	Create(ctx context.Context, n reporter.Silence, createdBy, comment string) (id string, err error)
	// End ends a silence. It is no error if it has ended already.
	End(ctx context.Context, id string) error
}

// Finder reads silences of a cluster.
type Finder interface {
	// Find returns the silence whose comment contains the mark; false if the cluster has none.
	Find(ctx context.Context, mark string) (reporter.KnownSilence, bool, error)
	// Get returns the silence of that id, or reporter.ErrNotFound.
	Get(ctx context.Context, id string) (reporter.KnownSilence, error)
}

// Config holds the settings of a Silencer.
type Config struct {
	Clusters    map[string]Cluster // those that accept silences, by name
	ExternalURL string             // of the web pages, for comments; "" leaves the link out
	Poll        time.Duration      // interval of the requests about a lasting silence; default 1 min
}

const (
	// giveUpAfter is how long the creation of a silence is retried. After that it would surprise the person who requested it.
	giveUpAfter = 10 * time.Minute
	// knownAfter is how long after its end a silence counts as ended even if its cluster does not answer.
	knownAfter = time.Hour
	retryMin   = 5 * time.Second
	retryMax   = time.Minute
	askTimeout = 30 * time.Second // for all members of a cluster, including retries
	atOnce     = 50               // silences of a cluster in one pass
	together   = 5                // concurrent requests to a cluster
	sweep      = 5 * time.Second
	alertName  = "alertname"
	namesMax   = 50  // alert names in one matcher
	personMax  = 100 // characters of a name
)

// Silencer stores the requests of people, and creates, polls and ends the silences in the clusters. It is safe for concurrent use.
type Silencer struct {
	state     State
	incidents Incidents
	log       *slog.Logger
	wake      chan struct{}
	asking    sync.WaitGroup

	mu   sync.Mutex
	cfg  Config
	busy map[string]bool // clusters with a pass in progress
}

// New makes a silencer. It sends requests to clusters only while Run or Pass runs.
func New(cfg Config, state State, incidents Incidents, log *slog.Logger) *Silencer {
	s := &Silencer{state: state, incidents: incidents, log: log, wake: make(chan struct{}, 1), busy: map[string]bool{}}
	s.SetConfig(cfg)
	return s
}

// SetConfig replaces the configuration, also while Run is running.
func (s *Silencer) SetConfig(cfg Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg.Poll = cmp.Or(cfg.Poll, time.Minute)
	s.cfg = cfg
	s.look()
}

func (s *Silencer) config() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

func (s *Silencer) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Can reports whether alerts of the cluster can be silenced.
func (s *Silencer) Can(cluster string) bool {
	_, ok := s.config().Clusters[cmp.Or(cluster, reporter.ClusterDefault)]
	return ok
}

// Request stores a person's request to silence the alerts of an incident for d. If a silence lasts at least as long, nothing is added.
// Errors are those of Plan, and reporter.ErrTooMany.
func (s *Silencer) Request(ctx context.Context, incident string, by reporter.Person, d time.Duration) error {
	n, err := s.Plan(ctx, incident, by, d)
	if err != nil {
		return err
	}
	_, err = s.state.AddSilence(ctx, n)
	s.look()
	return err
}

// Plan returns the silence for a person's request, without storing it. The caller stores it in a transaction, and then calls Wake.
// reporter.ErrNotFound: there is no such incident, or its cluster does not accept silences. reporter.ErrResolved: it is resolved.
// reporter.ErrNothingInCommon: no matchers are narrow enough.
func (s *Silencer) Plan(ctx context.Context, incident string, by reporter.Person, d time.Duration) (n reporter.Silence, err error) {
	in, err := s.incidents.IncidentExtract(ctx, incident)
	if err != nil {
		return n, fmt.Errorf("silence: %w", err)
	}
	if !s.Can(in.Cluster) {
		return n, fmt.Errorf("silence: cluster %s does not accept silences, set silences: true for its alertmanagers: %w",
			cmp.Or(in.Cluster, reporter.ClusterDefault), reporter.ErrNotFound)
	}
	if in.Over() {
		return n, fmt.Errorf("silence: incident %s: %w", incident, reporter.ErrResolved)
	}
	matchers, err := Matchers(in)
	if err != nil {
		return n, fmt.Errorf("silence: incident %s: %w", incident, err)
	}
	now := s.incidents.Now().UTC()
	return reporter.Silence{
		ID: rand.Text(), Incident: in.ID, Cluster: cmp.Or(in.Cluster, reporter.ClusterDefault), By: by, Matchers: matchers,
		StartsAt: now, EndsAt: now.Add(d), State: reporter.SilencePending, NextAt: now,
	}, nil
}

// Wake makes Run process stored requests at once.
func (s *Silencer) Wake() { s.look() }

// End stores a person's request to end the silences of an incident that were created through this program. It may be repeated.
// reporter.ErrNotFound: there is no such incident.
func (s *Silencer) End(ctx context.Context, incident string, by reporter.Person) error {
	_, err := s.state.EndSilences(ctx, incident, by.Name, s.incidents.Now())
	s.look()
	return err
}

// Matchers returns the narrowest matchers that cover the firing alerts of an incident, and later alerts of the same kind: the labels that
// they have in common, including those of their group, and their names. reporter.ErrNothingInCommon: none fires, one has no name, they
// have too many names, or different names and nothing else in common.
func Matchers(in reporter.Incident) (out []reporter.SilenceMatcher, err error) {
	firing, common := in.Alerts, in.CommonLabels()
	if in.Partial == nil {
		firing = slices.DeleteFunc(slices.Clone(in.Alerts), func(a reporter.Alert) bool {
			end, _ := a.Ended()
			return !end.IsZero()
		})
		common = reporter.CommonLabels(firing)
	}
	if len(firing) == 0 {
		return nil, reporter.ErrNothingInCommon
	}
	if common == nil {
		common = map[string]string{}
	}
	for name, value := range in.GroupLabels {
		other := func(a reporter.Alert) bool { return a.Labels[name] != "" }
		if common[name] == "" && !slices.ContainsFunc(firing, other) {
			common[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(common)) {
		if common[name] != "" {
			out = append(out, reporter.SilenceMatcher{Name: name, Value: common[name]})
		}
	}
	if common[alertName] != "" {
		return out, nil
	}
	names := map[string]bool{}
	for _, a := range firing {
		names[a.Labels[alertName]] = true
	}
	// Matchers without the names, such as the severity alone, would cover alerts of others.
	if len(out) == 0 || names[""] || len(names) > namesMax {
		return nil, reporter.ErrNothingInCommon
	}
	var quoted []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		quoted = append(quoted, regexp.QuoteMeta(name))
	}
	return append(out, reporter.SilenceMatcher{Name: alertName, Value: strings.Join(quoted, "|"), Regex: true}), nil
}

// Run processes due silences until ctx ends.
func (s *Silencer) Run(ctx context.Context) {
	defer s.asking.Wait()
	for {
		if err := s.begin(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("due silences were not read", "err", err)
		}
		timer := time.NewTimer(sweep)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Pass processes due silences once, and returns when all are done.
func (s *Silencer) Pass(ctx context.Context) error {
	defer s.asking.Wait()
	return s.begin(ctx)
}

// begin starts a pass for each cluster with due silences, unless one is in progress. A cluster that does not answer delays no other.
func (s *Silencer) begin(ctx context.Context) error {
	due, err := s.state.ClustersDue(ctx, s.incidents.Now())
	if err != nil {
		return err
	}
	for _, cluster := range due {
		s.mu.Lock()
		busy := s.busy[cluster]
		s.busy[cluster] = true
		s.mu.Unlock()
		if busy {
			continue
		}
		s.asking.Go(func() {
			if err := s.ask(ctx, cluster); err != nil && ctx.Err() == nil {
				s.log.Error("due silences were not processed", "cluster", cluster, "err", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.busy, cluster)
		})
	}
	return nil
}

// ask processes the due silences of a cluster.
func (s *Silencer) ask(ctx context.Context, cluster string) error {
	// One process at a time, so that no silence is created twice.
	leased, release, err := s.incidents.Lease(ctx, "silences/"+cluster)
	if leased == nil || err != nil {
		return err
	}
	defer release()
	due, err := s.state.DueSilences(leased, cluster, s.incidents.Now(), atOnce)
	if err != nil {
		return err
	}
	var each errgroup.Group
	each.SetLimit(together)
	for _, n := range due {
		each.Go(func() error {
			if leased.Err() == nil {
				s.one(leased, n)
			}
			return nil
		})
	}
	return each.Wait()
}

// one creates, polls or ends a silence in its cluster, and stores the result.
func (s *Silencer) one(ctx context.Context, n reporter.Silence) {
	cfg := s.config()
	api := cfg.Clusters[n.Cluster]
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	was, now := n.State, s.incidents.Now().UTC()
	n.NextAt, n.Error = now.Add(cfg.Poll), ""
	var err error
	switch {
	case api == nil:
		if err = fmt.Errorf("cluster %s no longer accepts silences (silences of its alertmanagers)", n.Cluster); was == reporter.SilencePending {
			n.State = reporter.SilenceFailed
		}
	case was == reporter.SilencePending:
		err = s.create(asking, cfg, api, &n)
	case was == reporter.SilenceEnding:
		err = s.end(asking, api, &n)
	default:
		err = s.poll(asking, api, &n)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.later(&n, was, err)
	}
	if n.State == reporter.SilenceActive {
		n.NextAt = earliest(n.NextAt, n.EndsAt.Add(time.Second), now.Add(time.Second))
	}
	saved, err := s.state.SaveSilence(ctx, n, was)
	switch {
	case err != nil:
		s.log.Error("silence was not stored", "incident", n.Incident, "err", err)
	case saved && n.State != was:
		s.log.Info("silence", "incident", n.Incident, "cluster", n.Cluster, "state", n.State, "by", cmp.Or(n.EndedBy, n.By.Name))
	}
}

// earliest returns the earlier of two times, but not one before least.
func earliest(a, b, least time.Time) time.Time {
	if b.Before(a) {
		a = b
	}
	if a.Before(least) {
		return least
	}
	return a
}

// create creates the silence, unless an earlier attempt has: the answer to that may have been lost.
func (s *Silencer) create(ctx context.Context, cfg Config, api Cluster, n *reporter.Silence) error {
	if n.Attempts > 0 {
		known, found, err := api.Find(ctx, mark(n.ID))
		if err != nil {
			if !s.incidents.Now().Before(n.EndsAt) { // it has ended, whether it was created or not
				n.State = reporter.SilenceFailed
			}
			return err
		}
		if found {
			adopt(n, known)
			return nil
		}
	}
	now := s.incidents.Now()
	if now.Sub(n.StartsAt) >= giveUpAfter || !n.EndsAt.After(now) {
		n.State = reporter.SilenceFailed
		return errors.New("the cluster did not answer in time")
	}
	begun := *n
	begun.Attempts++
	begun.NextAt = now.Add(retryMin)
	if saved, err := s.state.SaveSilence(ctx, begun, reporter.SilencePending); err != nil || !saved {
		return err
	}
	n.Attempts = begun.Attempts
	id, err := api.Create(ctx, *n, createdBy(n.By), comment(cfg, *n))
	if errors.Is(err, reporter.ErrRefused) {
		n.State = reporter.SilenceFailed
	}
	if err != nil {
		return err
	}
	n.State, n.APIID, n.Attempts = reporter.SilenceActive, id, 0
	return nil
}

// end ends the silence, also if it is not known whether an attempt to create it succeeded.
func (s *Silencer) end(ctx context.Context, api Cluster, n *reporter.Silence) error {
	if n.APIID == "" && n.Attempts > 0 {
		known, found, err := api.Find(ctx, mark(n.ID))
		if err != nil {
			return err
		}
		if found {
			n.APIID = known.ID
		}
	}
	if n.APIID != "" {
		if err := api.End(ctx, n.APIID); err != nil {
			return err
		}
	}
	n.State, n.EndedAt = reporter.SilenceEnded, s.incidents.Now().UTC()
	return nil
}

// poll reads the state of a silence in its cluster.
func (s *Silencer) poll(ctx context.Context, api Cluster, n *reporter.Silence) error {
	known, err := api.Get(ctx, n.APIID)
	if errors.Is(err, reporter.ErrNotFound) {
		n.State, n.EndedAt = reporter.SilenceEnded, s.incidents.Now().UTC()
		return nil
	}
	if err != nil {
		return err
	}
	n.Attempts = 0
	adopt(n, known)
	return nil
}

// adopt copies the cluster's state to the silence.
func adopt(n *reporter.Silence, known reporter.KnownSilence) {
	n.State, n.APIID = reporter.SilenceActive, known.ID
	if !known.EndsAt.IsZero() {
		n.EndsAt = known.EndsAt.UTC()
	}
	if known.Expired {
		n.State, n.EndedAt = reporter.SilenceEnded, n.EndsAt
	}
}

// later sets the error of a failed attempt, and the time of the next one.
func (s *Silencer) later(n *reporter.Silence, was reporter.SilenceState, err error) {
	n.Error = safetext.Error(err).Error()
	now := s.incidents.Now().UTC()
	switch {
	case n.State == reporter.SilenceFailed:
		n.EndedAt = now
		s.log.Error("silence was not created", "incident", n.Incident, "cluster", n.Cluster, "by", n.By.Name, "err", err)
		return
	case was != reporter.SilencePending && !now.Before(n.EndsAt.Add(knownAfter)):
		n.State, n.EndedAt = reporter.SilenceEnded, n.EndsAt
		return
	}
	n.State = was
	if was != reporter.SilencePending {
		n.Attempts++
	}
	n.NextAt = now.Add(min(retryMin<<min(n.Attempts, 10), retryMax))
	s.log.Warn("request to cluster about a silence failed, retrying", "incident", n.Incident, "cluster", n.Cluster, "state", was, "err", err)
}

// mark returns the text in the comment of a silence by which it is found.
func mark(id string) string { return "[awoooi-reporter " + id + "]" }

func createdBy(p reporter.Person) string {
	return cmp.Or(safetext.Line(p.Name, personMax), "someone") + " via awoooi-reporter"
}

func comment(cfg Config, n reporter.Silence) string {
	text := "Incident " + n.Incident
	if cfg.ExternalURL != "" {
		text += " " + strings.TrimRight(cfg.ExternalURL, "/") + "/incidents/" + url.PathEscape(n.Incident)
	}
	return text + " " + mark(n.ID)
}

// Package silence silences the alerts of an incident by the API of its cluster: what people ask for comes in and is stored, and silences of
// Alertmanager go out, one for each.
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

// State keeps the silences.
type State interface {
	// AddSilence stores one that a person asked for; added is false where one that lasts as long is there. reporter.ErrNotFound,
	// reporter.ErrResolved: of the incident.
	AddSilence(ctx context.Context, n reporter.Silence) (added bool, err error)
	// EndSilences puts those of an incident down to be ended.
	EndSilences(ctx context.Context, incident, by string, now time.Time) (int64, error)
	// SaveSilence stores what became of one, unless its state is another than was by now.
	SaveSilence(ctx context.Context, n reporter.Silence, was reporter.SilenceState) (saved bool, err error)
	// ClustersDue returns the names of the clusters that are to be asked about silences.
	ClustersDue(ctx context.Context, now time.Time) ([]string, error)
	// DueSilences returns those about which the cluster is to be asked.
	DueSilences(ctx context.Context, cluster string, now time.Time, limit int) ([]reporter.Silence, error)
}

// Incidents reads incidents, and is how processes that share a state work together.
type Incidents interface {
	// IncidentExtract returns the incident with as many alerts as a message can show, or reporter.ErrNotFound.
	IncidentExtract(ctx context.Context, id string) (reporter.Incident, error)
	// Lease takes the right to do what the name says; a nil context means that another process has it.
	Lease(ctx context.Context, name string) (leased context.Context, release func(), err error)
	Now() time.Time
}

// Cluster is the API of a cluster of Alertmanagers.
type Cluster interface {
	// Create makes a silence and returns its id. An error that wraps reporter.ErrRefused: the cluster does not take it; any other leaves open
	// whether it was made.
	Create(ctx context.Context, n reporter.Silence, createdBy, comment string) (id string, err error)
	// Find returns the silence whose comment holds the mark; false if the cluster has none.
	Find(ctx context.Context, mark string) (reporter.KnownSilence, bool, error)
	// Get returns the silence of that id, or reporter.ErrNotFound.
	Get(ctx context.Context, id string) (reporter.KnownSilence, error)
	// End ends a silence; one that has ended is no error.
	End(ctx context.Context, id string) error
}

// Config says which clusters take silences.
type Config struct {
	Clusters    map[string]Cluster // by name
	ExternalURL string             // of our own pages, for comments; "" leaves the link out
	Poll        time.Duration      // how often a cluster is asked about a silence that lasts; default 1 min
}

const (
	// giveUpAfter is how long a silence is tried to be created: later, whoever asked for it has turned to something else.
	giveUpAfter = 10 * time.Minute
	// knownAfter is how long after its end a silence counts as ended although its cluster does not answer.
	knownAfter = time.Hour
	retryMin   = 5 * time.Second
	retryMax   = time.Minute
	askTimeout = 30 * time.Second // all members of a cluster, and more than once
	atOnce     = 50
	together   = 5 // requests to a cluster at a time
	sweep      = 5 * time.Second
	alertName  = "alertname"
	namesMax   = 50  // alert names in one matcher
	personMax  = 100 // characters of a name
)

// Silencer takes what people ask for, and asks the clusters.
type Silencer struct {
	state     State
	incidents Incidents
	log       *slog.Logger
	wake      chan struct{}
	asking    sync.WaitGroup

	mu   sync.Mutex
	cfg  Config
	busy map[string]bool // clusters that are being asked
}

// New makes a silencer; Run does its work.
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

// Can says whether alerts of the cluster can be silenced.
func (s *Silencer) Can(cluster string) bool {
	_, ok := s.config().Clusters[cmp.Or(cluster, reporter.ClusterDefault)]
	return ok
}

// Request stores that a person wants the alerts of an incident to be silenced for so long, and lets the cluster be asked. Where a silence
// lasts as long, nothing is added. Errors are those of Plan, and reporter.ErrTooMany.
func (s *Silencer) Request(ctx context.Context, incident string, by reporter.Person, d time.Duration) error {
	n, err := s.Plan(ctx, incident, by, d)
	if err != nil {
		return err
	}
	_, err = s.state.AddSilence(ctx, n)
	s.look()
	return err
}

// Plan makes the silence by which a person silences the alerts of an incident for so long, for whoever stores it in a transaction of
// their own, and calls Wake then. reporter.ErrNotFound: there is no such incident, or its cluster takes no silences.
// reporter.ErrResolved: it is over. reporter.ErrNothingInCommon: no matchers are narrow enough.
func (s *Silencer) Plan(ctx context.Context, incident string, by reporter.Person, d time.Duration) (n reporter.Silence, err error) {
	in, err := s.incidents.IncidentExtract(ctx, incident)
	if err != nil {
		return n, fmt.Errorf("silence: %w", err)
	}
	if !s.Can(in.Cluster) {
		return n, fmt.Errorf("silence: cluster %s takes no silences from here (silences: true of its alertmanagers): %w",
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

// Wake lets Run look at what was stored without waiting for its next turn.
func (s *Silencer) Wake() { s.look() }

// End lets the silences of an incident end that people made here, in that person's name. It may be repeated. reporter.ErrNotFound: there is
// no such incident.
func (s *Silencer) End(ctx context.Context, incident string, by reporter.Person) error {
	_, err := s.state.EndSilences(ctx, incident, by.Name, s.incidents.Now())
	s.look()
	return err
}

// Matchers are the narrowest that match the alerts of an incident that fire, and those of its kind that may come: the labels that they have
// in common, those of their group among them, and their names. reporter.ErrNothingInCommon where none fires, where one has no name, where
// they have too many, or where their names are all that they could be matched by and differ.
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
	// Without their names, what is left, such as a severity, may be that of all alerts of others.
	if len(out) == 0 || names[""] || len(names) > namesMax {
		return nil, reporter.ErrNothingInCommon
	}
	var quoted []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		quoted = append(quoted, regexp.QuoteMeta(name))
	}
	return append(out, reporter.SilenceMatcher{Name: alertName, Value: strings.Join(quoted, "|"), Regex: true}), nil
}

// Run asks the clusters until ctx ends.
func (s *Silencer) Run(ctx context.Context) {
	defer s.asking.Wait()
	for {
		if err := s.begin(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("silences were not worked off", "err", err)
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

// Pass asks the clusters about the silences that are due, once, and returns when all have been asked.
func (s *Silencer) Pass(ctx context.Context) error {
	defer s.asking.Wait()
	return s.begin(ctx)
}

// begin lets each cluster be asked that is to be, and is not being asked yet: one that does not answer delays no other.
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
				s.log.Error("silences were not worked off", "cluster", cluster, "err", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.busy, cluster)
		})
	}
	return nil
}

// ask asks a cluster about its silences that are due, of which one that is not answered delays a few only.
func (s *Silencer) ask(ctx context.Context, cluster string) error {
	// One process at a time, so that none creates what another is about to.
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

// one does what is to be done about a silence.
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
		if err = fmt.Errorf("cluster %s takes no silences from here any more", n.Cluster); was == reporter.SilencePending {
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

// earliest is the first of two times, but not before the least.
func earliest(a, b, least time.Time) time.Time {
	if b.Before(a) {
		a = b
	}
	if a.Before(least) {
		return least
	}
	return a
}

// create makes the silence, unless an attempt before has: what the process did not live to see the answer of may have arrived.
func (s *Silencer) create(ctx context.Context, cfg Config, api Cluster, n *reporter.Silence) error {
	if n.Attempts > 0 {
		known, found, err := api.Find(ctx, mark(n.ID))
		if err != nil {
			if !s.incidents.Now().Before(n.EndsAt) { // Whether it was there or not, it is over.
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

// end ends the silence, whatever attempts to create it have left behind.
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

// poll reads what has become of a silence in its cluster.
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

// adopt takes over what the cluster says of a silence.
func adopt(n *reporter.Silence, known reporter.KnownSilence) {
	n.State, n.APIID = reporter.SilenceActive, known.ID
	if !known.EndsAt.IsZero() {
		n.EndsAt = known.EndsAt.UTC()
	}
	if known.Expired {
		n.State, n.EndedAt = reporter.SilenceEnded, n.EndsAt
	}
}

// later notes why nothing could be done about a silence, and when that is tried again.
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
	s.log.Warn("a cluster was not asked about a silence", "incident", n.Incident, "cluster", n.Cluster, "state", was, "err", err)
}

// mark is what the comment of a silence holds, by which it is found.
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

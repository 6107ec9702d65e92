// Package chat takes what people do in chats, such as a tap on a button, a reply or a command: updates come in, and acknowledgements,
// notes, silences and answers go out.
package chat

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// Polls is how the updates of an account are received.
type Polls interface {
	// Me returns the name by which commands address the account.
	Me(ctx context.Context) (name string, all bool, err error)
	// Poll waits for updates from that one on; 0 is the oldest that there is.
	Poll(ctx context.Context, from int64) (reporter.Updates, error)
}

// Bot is an account of a channel.
type Bot interface {
	Polls
	// Member says what a person is in a chat.
	Member(ctx context.Context, chat, person string) (reporter.Membership, error)
	// Answer shows a person what became of an update. It may be repeated.
	Answer(ctx context.Context, a reporter.UpdateAnswer) error
	// Register offers commands in a chat to those who use the language, two letters; "" is all others.
	Register(ctx context.Context, chat, language string, commands []reporter.ChatCommand) error
}

// Queue keeps updates until they are worked off.
type Queue interface {
	// UpdateOffset is the first update of the account to ask for.
	UpdateOffset(ctx context.Context, account string) (next int64, err error)
	// StoreUpdates stores updates in one commit with the offset after them; it fails if asked is not the offset.
	StoreUpdates(ctx context.Context, account string, asked, next int64, updates []reporter.Update) (added int, err error)
	// NextUpdate returns the oldest update that is not done.
	NextUpdate(ctx context.Context, account string) (u reporter.UpdateState, found bool, err error)
	// WaitingUpdates counts the updates of the account that are not done.
	WaitingUpdates(ctx context.Context, account string) (int, error)
	// TryUpdate stores how many attempts of an update may have ended the process.
	TryUpdate(ctx context.Context, seq int64, attempts int) error
	// ApplyUpdate does work and marks the update as applied, with the answer that is left to be given, in one commit.
	ApplyUpdate(
		ctx context.Context, seq int64, do func(ctx context.Context, w reporter.UpdateWork) (reporter.UpdateAnswer, error),
	) error
	// FinishUpdate marks an update as done.
	FinishUpdate(ctx context.Context, seq int64) error
}

// Journal is what updates are about.
type Journal interface {
	// ActionOf returns what a button's token names, or reporter.ErrNotFound.
	ActionOf(ctx context.Context, token string) (incident, receiver string, err error)
	// MessageOf returns what a message of the receivers is about, or reporter.ErrNotFound. Chats are the keys of the chat's gates.
	MessageOf(ctx context.Context, receivers, chats []string, message string) (reporter.ChatMessage, error)
	// MayHaveSent says whether the receiver may have a message about the incident whose id is not known.
	MayHaveSent(ctx context.Context, incident, receiver string) (bool, error)
	// WasSentTo says whether one of the receivers has, or will have, a message about the incident.
	WasSentTo(ctx context.Context, incident string, receivers []string) (bool, error)
	// OpenOf returns the newest incidents of the routes that are not over, and counts them.
	OpenOf(ctx context.Context, routes []string, limit int) ([]reporter.OpenIncident, map[reporter.IncidentState]int, error)
	// IncidentExtract returns an incident, or reporter.ErrNotFound.
	IncidentExtract(ctx context.Context, id string) (reporter.Incident, error)
	// Entries returns what people wrote about an incident, and EntriesOfMessage what came, or may have come, from a message.
	Entries(ctx context.Context, incident string) ([]reporter.Entry, error)
	EntriesOfMessage(ctx context.Context, receiver, chat, message string) ([]reporter.Entry, error)
}

// Coordination is how processes that share a state work together.
type Coordination interface {
	// Now is the time that counts.
	Now() time.Time
	// Lease takes the right to do what the name says; a nil context means that another process has it.
	Lease(ctx context.Context, name string) (leased context.Context, release func(), err error)
	// Gates returns the gates of the keys, in that order, and UpdateGate changes one.
	Gates(ctx context.Context, keys ...string) ([]reporter.Gate, error)
	UpdateGate(ctx context.Context, key string, change func(*reporter.Gate)) error
	// Suspend closes a gate until a person has changed something.
	Suspend(
		ctx context.Context, key string, why reporter.Reason, detail string, until time.Time, notice reporter.NoticeTo,
	) (closed bool, err error)
}

// State is all that a Listener needs of the state's database.
type State interface {
	Queue
	Journal
	Coordination
}

// Silencer silences the alerts of incidents, as it is stored.
type Silencer interface {
	// Plan makes a silence that is not stored. reporter.ErrResolved, reporter.ErrNotFound, reporter.ErrNothingInCommon: there can be none.
	Plan(ctx context.Context, incident string, by reporter.Person, d time.Duration) (reporter.Silence, error)
	// Wake is called when something was stored.
	Wake()
}

// Place is a receiver in a chat.
type Place struct {
	Receiver string
	Account  string
	Address  string // as it is configured
	Topic    int    // 0 is none
}

// Report is a report that can be asked for in the chats that it is sent to.
type Report struct {
	Name      string
	Receivers []string
}

// Config is which chats are listened to, and who may do what.
type Config struct {
	Bots   map[string]Bot // by account
	Places []Place
	Users  []string // ids of who may act; none: the members of a chat, and of a channel its administrators
	Locale string
	Zone   *time.Location
	// ExternalURL is where the pages are; "" is not known.
	ExternalURL string
	// Routes are the receivers of each route, by its name. RouteLocales are the locales of those that have one.
	Routes       map[string][]string
	RouteLocales map[string]string
	Reports      []Report
	Silencer     Silencer // nil: nothing can be silenced
	Fallback     string   // who is notified that an account is refused; "" is nobody
}

// Listener receives and works off updates.
type Listener struct {
	state   State
	log     *slog.Logger
	metrics *metrics
	bundle  *i18n.Bundle
	pace    pace

	mu      sync.Mutex
	cfg     Config
	changed chan struct{} // closed when cfg is replaced
}

// New makes a listener; Run does its work.
func New(state State, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Listener, error) {
	bundle, err := i18n.New()
	if err != nil {
		return nil, err
	}
	l := &Listener{state: state, log: log, bundle: bundle, pace: defaultPace(), cfg: cfg, changed: make(chan struct{})}
	l.metrics = newMetrics(reg, l)
	l.metrics.initialise(cfg)
	return l, nil
}

// SetConfig replaces the configuration, also while Run is running. What is under way ends first.
func (l *Listener) SetConfig(cfg Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg = cfg
	l.metrics.initialise(cfg)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *Listener) config() (Config, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg, l.changed
}

// Faults returns why accounts cannot be listened to, by account: another program receives their updates.
func (l *Listener) Faults(ctx context.Context) (map[string]reporter.Gate, error) {
	cfg, _ := l.config()
	out := map[string]reporter.Gate{}
	for account := range cfg.Bots {
		gates, err := l.state.Gates(ctx, ListenGate(account))
		if err != nil {
			return nil, err
		}
		if gates[0].Reason != reporter.ReasonNone {
			out[account] = gates[0]
		}
	}
	return out, nil
}

// Run receives until ctx ends.
func (l *Listener) Run(ctx context.Context) {
	for ctx.Err() == nil {
		cfg, changed := l.config()
		working, cancel := context.WithCancel(ctx)
		var accounts sync.WaitGroup
		for account, bot := range cfg.Bots {
			a := newAccountWork(l, cfg, account, bot)
			accounts.Go(func() { a.run(working) })
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
		cancel()
		accounts.Wait()
	}
}

// room is the chat of an update: its receivers, and what they may see.
type room struct {
	cfg    *Config
	places []Place
	keys   []string // of the gates of the chat, one for each address that it is or was configured by
}

// receivers are those of the chat.
func (r room) receivers() []string {
	out := make([]string, 0, len(r.places))
	for _, p := range r.places {
		out = append(out, p.Receiver)
	}
	return out
}

// answerIn is the receiver by which an answer gets to where it was asked: in a group with topics, the one of the topic, or the one that
// has none, which writes where it replies. False: nothing can be written there.
func (r room) answerIn(topic int) (string, bool) {
	for _, of := range []int{topic, 0} {
		for _, p := range r.places {
			if p.Topic == of {
				return p.Receiver, true
			}
		}
	}
	if topic == 0 && len(r.places) > 0 && r.places[0].Topic == 1 { // The first topic of a group is called General and has the id 1.
		return r.places[0].Receiver, true
	}
	return "", false
}

func (r room) has(receivers []string) bool {
	return slices.ContainsFunc(r.places, func(p Place) bool { return slices.Contains(receivers, p.Receiver) })
}

// routes are the names of those whose incidents are sent to the chat.
func (r room) routes() (out []string) {
	for name, receivers := range r.cfg.Routes {
		if r.has(receivers) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// reports are the names of those that are sent to the chat.
func (r room) reports() (out []string) {
	for _, rep := range r.cfg.Reports {
		if r.has(rep.Receivers) {
			out = append(out, rep.Name)
		}
	}
	return out
}

// locale is that of the routes of the chat where they agree, else that of the configuration.
func (r room) locale() string {
	locale := ""
	for n, name := range r.routes() {
		of := r.cfg.RouteLocales[name]
		if of == "" {
			of = r.cfg.Locale
		}
		if n > 0 && of != locale {
			return r.cfg.Locale
		}
		locale = of
	}
	if locale == "" {
		return r.cfg.Locale
	}
	return locale
}

// room returns the chat of an update; one without places is not configured. Receivers may address one chat by its name, by its id, or by
// the id of before it moved.
func (a *accountWork) room(ctx context.Context, u reporter.Update) (room, error) {
	out := room{cfg: &a.cfg, keys: []string{reporter.ChatGate(a.account, u.Chat)}}
	if u.ChatName != "" {
		out.keys = append(out.keys, reporter.ChatGate(a.account, u.ChatName))
	}
	if len(a.places) == 0 {
		return out, nil
	}
	moved, err := a.movedTo(ctx, u.Chat)
	if err != nil {
		return out, err
	}
	for _, p := range a.places {
		if p.Address != u.Chat && (u.ChatName == "" || !strings.EqualFold(p.Address, u.ChatName)) && !slices.Contains(moved, p.Address) {
			continue
		}
		out.places = append(out.places, p)
		if key := reporter.ChatGate(a.account, p.Address); !slices.Contains(out.keys, key) {
			out.keys = append(out.keys, key)
		}
	}
	return out, nil
}

// movedTo returns the configured addresses of the chats that are at the address now.
func (a *accountWork) movedTo(ctx context.Context, address string) (out []string, err error) {
	var addresses, keys []string
	for _, p := range a.places {
		if !slices.Contains(addresses, p.Address) {
			addresses, keys = append(addresses, p.Address), append(keys, reporter.ChatGate(a.account, p.Address))
		}
	}
	gates, err := a.l.state.Gates(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for n, g := range gates {
		if g.MovedTo != "" && g.MovedTo == address {
			out = append(out, addresses[n])
		}
	}
	return out, nil
}

// addresses are where the chats of the account are now, each once.
func (a *accountWork) addresses(ctx context.Context) (out []Place, err error) {
	for _, p := range a.places {
		if slices.ContainsFunc(out, func(q Place) bool { return q.Address == p.Address }) {
			continue
		}
		out = append(out, p)
	}
	for n, p := range out {
		gates, err := a.l.state.Gates(ctx, reporter.ChatGate(a.account, p.Address))
		if err != nil {
			return nil, err
		}
		if to := gates[0].MovedTo; to != "" {
			out[n].Address = to
		}
	}
	return out, nil
}

// Package chat processes what people do in chats: taps on buttons, replies and commands come in as updates, acknowledgements, notes,
// silences and answers go out.
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

// Polls receives the updates of an account.
type Polls interface {
	// Me returns the name by which commands address the account, and whether it receives all messages of groups.
	Me(ctx context.Context) (name string, all bool, err error)
	// Poll waits for updates with IDs from from on; 0 means the oldest that the channel has.
	Poll(ctx context.Context, from int64) (reporter.Updates, error)
}

// Bot is an account of a channel.
type Bot interface {
	Polls
	// Member returns the membership of a person in a chat. A *reporter.SendError that is not temporary means that it is unknown.
	Member(ctx context.Context, chat, person string) (reporter.Membership, error)
	// Answer shows a person the result of an update. It may be repeated.
	Answer(ctx context.Context, a reporter.UpdateAnswer) error
	// Register offers commands in a chat to people with the language, two letters; "" means all others.
	Register(ctx context.Context, chat, language string, commands []reporter.ChatCommand) error
}

// Offsets stores updates.
type Offsets interface {
	// UpdateOffset returns the ID of the account's first update that was not stored yet.
	UpdateOffset(ctx context.Context, account string) (next int64, err error)
	// StoreUpdates stores updates in one commit with the offset after them; reporter.ErrOvertaken if asked is not the offset.
	StoreUpdates(ctx context.Context, account string, asked, next int64, updates []reporter.Update) (added int, err error)
}

// Queue keeps updates until they are processed.
type Queue interface {
	// NextUpdate returns the account's oldest update that is not finished.
	NextUpdate(ctx context.Context, account string) (u reporter.UpdateState, found bool, err error)
	// WaitingUpdates counts the account's updates that are not finished.
	WaitingUpdates(ctx context.Context, account string) (int, error)
	// FinishUpdate marks an update as finished.
	FinishUpdate(ctx context.Context, seq int64) error
}

// Effects stores the effects of updates.
type Effects interface {
	// TryUpdate stores how many attempts of an update may have ended the process.
	TryUpdate(ctx context.Context, seq int64, attempts int) error
	// ApplyUpdate calls do and marks the update as applied, with the answer that is left to be given, in one commit.
	ApplyUpdate(
		ctx context.Context, seq int64, do func(ctx context.Context, w reporter.UpdateWork) (reporter.UpdateAnswer, error),
	) error
}

// Actions finds the incidents of buttons.
type Actions interface {
	// ActionOf returns the incident and the receiver of a button's token, or reporter.ErrNotFound.
	ActionOf(ctx context.Context, token string) (incident, receiver string, err error)
	// MayHaveSent reports whether the receiver may have a message about the incident whose id is unknown.
	MayHaveSent(ctx context.Context, incident, receiver string) (bool, error)
}

// Messages finds the subjects of messages.
type Messages interface {
	// MessageOf returns the subject of a message of the receivers, or reporter.ErrNotFound. chats are the keys of the chat's gates.
	MessageOf(ctx context.Context, receivers, chats []string, message string) (reporter.ChatMessage, error)
	// WasSentTo reports whether one of the receivers has, or will have, a message about the incident.
	WasSentTo(ctx context.Context, incident string, receivers []string) (bool, error)
	// EntriesOfMessage returns the entries that came, or may have come, from a message.
	EntriesOfMessage(ctx context.Context, receiver, chat, message string) ([]reporter.Entry, error)
}

// Incidents reads the incident journal.
type Incidents interface {
	// OpenOf returns the newest incidents of the routes that are not over, at most limit, and counts all of them by state.
	OpenOf(ctx context.Context, routes []string, limit int) ([]reporter.OpenIncident, map[reporter.IncidentState]int, error)
	// IncidentExtract returns an incident with a part of its alerts, or reporter.ErrNotFound.
	IncidentExtract(ctx context.Context, id string) (reporter.Incident, error)
	// Entries returns the entries of an incident, the oldest first.
	Entries(ctx context.Context, incident string) ([]reporter.Entry, error)
}

// Coordination is how processes that share a state work together.
type Coordination interface {
	// Now is the clock of the state.
	Now() time.Time
	// Lease takes the lease of that name; a nil context means that another process has it.
	Lease(ctx context.Context, name string) (leased context.Context, release func(), err error)
}

// Gates hold back polls and sends.
type Gates interface {
	// Gates returns the gates of the keys, in that order.
	Gates(ctx context.Context, keys ...string) ([]reporter.Gate, error)
	// UpdateGate changes a gate in one commit.
	UpdateGate(ctx context.Context, key string, change func(*reporter.Gate)) error
	// Suspend suspends a gate until a person has changed something, and makes a notice if it was open before.
	Suspend(
		ctx context.Context, key string, why reporter.Reason, detail string, until time.Time, notice reporter.NoticeTo,
	) (closed bool, err error)
}

// State is what a Listener uses of the state's database.
type State interface {
	Offsets
	Queue
	Effects
	Actions
	Messages
	Incidents
	Coordination
	Gates
}

// Silencer silences the alerts of incidents.
type Silencer interface {
	// Plan makes a silence, which is not stored yet. With reporter.ErrResolved, reporter.ErrNotFound or reporter.ErrNothingInCommon the
	// incident cannot be silenced; other errors may be temporary.
	Plan(ctx context.Context, incident string, by reporter.Person, d time.Duration) (reporter.Silence, error)
	// Wake is called after a silence was stored or ended.
	Wake()
}

// Place is a receiver in a chat.
type Place struct {
	Receiver string
	Account  string
	Address  string // as it is configured
	Topic    int    // of a group; 0 means none
}

// Report is a report that people can request in the chats of its receivers.
type Report struct {
	Name      string
	Receivers []string
}

// Config has the chats to listen to, and the people who may act in them.
type Config struct {
	Bots   map[string]Bot // by account
	Places []Place
	Users  []string // ids of people who may act; none: the members of a chat, or the administrators of a channel
	Locale string
	Zone   *time.Location
	// ExternalURL is the base URL of the pages; "" if it is unknown.
	ExternalURL string
	// Routes are the receivers of each route, by name. RouteLocales are the locales of the routes that have one.
	Routes       map[string][]string
	RouteLocales map[string]string
	Reports      []Report
	Silencer     Silencer // nil if nothing can be silenced
	Fallback     string   // receiver of the notice that an account is refused; "" for none
}

// Listener receives and processes updates.
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

// New makes a listener; Run receives.
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

// SetConfig replaces the configuration, also during Run. Updates that are being processed end first.
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

// Faults returns the gates of accounts whose updates another program receives, by account.
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

// scope is the chat of an update: its receivers, and what they may see.
type scope struct {
	cfg    *Config
	places []Place
	keys   []string // of the gates of the chat, one for each of its current and earlier addresses
}

// receivers returns the names of the chat's receivers.
func (s scope) receivers() []string {
	out := make([]string, 0, len(s.places))
	for _, p := range s.places {
		out = append(out, p.Receiver)
	}
	return out
}

// answerIn returns the receiver for an answer in a topic: that of the topic, or one without a topic, whose replies appear in the topic
// of the question. It returns false if there is none.
func (s scope) answerIn(topic int) (string, bool) {
	for _, of := range []int{topic, 0} {
		for _, p := range s.places {
			if p.Topic == of {
				return p.Receiver, true
			}
		}
	}
	if topic == 0 && len(s.places) > 0 && s.places[0].Topic == 1 { // Messages in the topic General, whose id is 1, have no topic.
		return s.places[0].Receiver, true
	}
	return "", false
}

func (s scope) has(receivers []string) bool {
	return slices.ContainsFunc(s.places, func(p Place) bool { return slices.Contains(receivers, p.Receiver) })
}

// routes returns the names of the routes whose incidents are sent to the chat.
func (s scope) routes() (out []string) {
	for name, receivers := range s.cfg.Routes {
		if s.has(receivers) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// reports returns the names of the reports that are sent to the chat.
func (s scope) reports() (out []string) {
	for _, rep := range s.cfg.Reports {
		if s.has(rep.Receivers) {
			out = append(out, rep.Name)
		}
	}
	return out
}

// locale returns the locale of the chat's routes if it is the same, else that of the configuration.
func (s scope) locale() string {
	locale := ""
	for n, name := range s.routes() {
		of := s.cfg.RouteLocales[name]
		if of == "" {
			of = s.cfg.Locale
		}
		if n > 0 && of != locale {
			return s.cfg.Locale
		}
		locale = of
	}
	if locale == "" {
		return s.cfg.Locale
	}
	return locale
}

// scope returns the chat of an update, without places if the chat is not configured. Receivers may address the same chat by its name,
// by its id, or by the id that it had before it moved.
func (a *accountWork) scope(ctx context.Context, u reporter.Update) (scope, error) {
	out := scope{cfg: &a.cfg, keys: []string{reporter.ChatGate(a.account, u.Chat)}}
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

// movedTo returns the configured addresses of chats that have moved to the address.
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

// addresses returns the account's chats with their current addresses, each once.
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

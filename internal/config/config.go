// Package config takes one YAML file, the environment, flags and the defaults, and returns a checked Config, or every problem that
// it found with its line; it is the only package that uses viper.
package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	promconfig "github.com/prometheus/common/config"
	"github.com/spf13/viper"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

// EnvPrefix begins the name of every environment variable that overrides a setting: prometheus.url is
// AWOOOI_REPORTER_PROMETHEUS_URL. Secrets of list entries are reached by the entry's name, as in
// AWOOOI_REPORTER_SOURCES_AWOOOI_DSN.
const EnvPrefix = "AWOOOI_REPORTER"

// JournalSource is the name of the source that is always there: the incident journal.
const JournalSource = "journal"

// Config is everything that can be set; config.example.yaml is its manual.
type Config struct {
	Timezone    string              `mapstructure:"timezone"`
	Locale      string              `mapstructure:"locale"`
	Product     string              `mapstructure:"product"`
	ExternalURL string              `mapstructure:"external_url"`
	Log         Log                 `mapstructure:"log"`
	Web         Web                 `mapstructure:"web"`
	State       State               `mapstructure:"state"`
	Collector   Collector           `mapstructure:"collector"`
	KPISets     []string            `mapstructure:"kpi_sets"`
	Sources     []Source            `mapstructure:"sources"`
	Queries     []kpi.Query         `mapstructure:"queries"`
	Prometheus  Prometheus          `mapstructure:"prometheus"`
	Embedded    Embedded            `mapstructure:"embedded"`
	Reports     []report.Definition `mapstructure:"reports"`
	Webhook     Webhook             `mapstructure:"webhook"`

	Alertmanagers []Alertmanager `mapstructure:"alertmanagers"`
	Routes        []Route        `mapstructure:"routes"`

	Incidents    Incidents    `mapstructure:"incidents"`
	WorkingHours WorkingHours `mapstructure:"working_hours"`

	Receivers []Receiver `mapstructure:"receivers"`
	Telegram  Chats      `mapstructure:"telegram"`
	Delivery  Delivery   `mapstructure:"delivery"`

	// Zone is Timezone, loaded, and Hours are WorkingHours.
	Zone  *time.Location        `mapstructure:"-"`
	Hours reporter.WorkingHours `mapstructure:"-"`
}

// Log is what promslog takes.
type Log struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// Web is where the program listens; ConfigFile is exporter-toolkit's (TLS, basic auth for everything). The token and the
// user guard the pages, the reload and, with Pprof, profiles of the process. AllowedHosts are further names of the program for a
// loopback listener without them.
type Web struct {
	ListenAddresses []string    `mapstructure:"listen_addresses"`
	AllowedHosts    []string    `mapstructure:"allowed_hosts"`
	ConfigFile      string      `mapstructure:"config_file"`
	BearerToken     secret.Text `mapstructure:"bearer_token"`
	BearerTokenFile string      `mapstructure:"bearer_token_file"`
	Username        string      `mapstructure:"username"`
	Password        secret.Text `mapstructure:"password"`
	PasswordFile    string      `mapstructure:"password_file"`
	Pprof           bool        `mapstructure:"pprof"`
}

// State is where the reporter keeps its journal and deliveries: in PostgreSQL if DSN is set, else in SQLite in Path.
type State struct {
	Path      string        `mapstructure:"path"`
	DSN       secret.Text   `mapstructure:"dsn"`
	DSNFile   string        `mapstructure:"dsn_file"`
	Retention time.Duration `mapstructure:"retention"`
}

// Collector is how a scrape behaves.
type Collector struct {
	TimeoutOffset time.Duration `mapstructure:"timeout_offset"`
	ScrapeTimeout time.Duration `mapstructure:"scrape_timeout"`
	TTL           time.Duration `mapstructure:"ttl"`
}

// Source is one place that queries ask.
type Source struct {
	Name           string        `mapstructure:"name"`
	Kind           string        `mapstructure:"kind"`
	DSN            secret.Text   `mapstructure:"dsn"` // postgres
	DSNFile        string        `mapstructure:"dsn_file"`
	MaxConnections int           `mapstructure:"max_connections"` // postgres
	Timezone       string        `mapstructure:"timezone"`        // postgres; of columns without time zone
	URL            secret.Text   `mapstructure:"url"`             // redis, http; a secret, as it may hold a password
	URLFile        string        `mapstructure:"url_file"`
	HTTPConfig     HTTPClient    `mapstructure:"http_config"` // http
	Timeout        time.Duration `mapstructure:"timeout"`     // http
}

// Prometheus is where the reports' figures come from; without URL it is the embedded database.
type Prometheus struct {
	URL        string        `mapstructure:"url"`
	Timeout    time.Duration `mapstructure:"timeout"`
	HTTPConfig HTTPClient    `mapstructure:"http_config"`
	// ExtendedPromQL says that the server understands more than Prometheus does, so that expressions cannot be checked here.
	ExtendedPromQL bool `mapstructure:"extended_promql"`
}

// Embedded is the time-series database of the zero-config start.
type Embedded struct {
	ScrapeInterval time.Duration `mapstructure:"scrape_interval"`
	Retention      time.Duration `mapstructure:"retention"`
}

// Webhook is the endpoint that Alertmanager posts to.
type Webhook struct {
	BearerToken     secret.Text `mapstructure:"bearer_token"`
	BearerTokenFile string      `mapstructure:"bearer_token_file"`
	Username        string      `mapstructure:"username"`
	Password        secret.Text `mapstructure:"password"`
	PasswordFile    string      `mapstructure:"password_file"`
	MaxBodyBytes    int64       `mapstructure:"max_body_bytes"`

	Limits WebhookLimits `mapstructure:"limits"`
}

// WebhookLimits bound what is kept of one webhook; lengths are in bytes.
type WebhookLimits struct {
	Alerts          int `mapstructure:"alerts"`
	Labels          int `mapstructure:"labels"`
	Annotations     int `mapstructure:"annotations"`
	LabelBytes      int `mapstructure:"label_bytes"`
	AnnotationBytes int `mapstructure:"annotation_bytes"`
	URLBytes        int `mapstructure:"url_bytes"`
}

// Alertmanager is a cluster of Alertmanagers, or a member of the cluster of that name. URLs are those of its members, whose API
// is asked what it knows of alerts that are open here; the token, where it is set, is that of its own webhook path.
type Alertmanager struct {
	Name            string      `mapstructure:"name"`
	URL             string      `mapstructure:"url"`
	URLs            []string    `mapstructure:"urls"`
	HTTPConfig      HTTPClient  `mapstructure:"http_config"`
	BearerToken     secret.Text `mapstructure:"bearer_token"`
	BearerTokenFile string      `mapstructure:"bearer_token_file"`
	Silences        bool        `mapstructure:"silences"` // people may silence incidents, by this cluster's API
}

// Route is what becomes of the alerts that all its matchers match, in Alertmanager's syntax. Unset fields are those of incidents.
type Route struct {
	Name        string         `mapstructure:"name"`
	Matchers    []string       `mapstructure:"matchers"`
	Receivers   []string       `mapstructure:"receivers"`
	Locale      string         `mapstructure:"locale"`
	MinDuration *time.Duration `mapstructure:"min_duration"`
	Severity    string         `mapstructure:"severity"`
	Ignore      bool           `mapstructure:"ignore"`
	Heartbeat   *Heartbeat     `mapstructure:"heartbeat"`
}

// Heartbeat makes a route's alerts heartbeats, which are always firing and are reported when they are missing.
type Heartbeat struct {
	MissingAfter *time.Duration `mapstructure:"missing_after"`
}

// Incidents is how alerts become incidents, and incidents postmortems.
type Incidents struct {
	By           string        `mapstructure:"by"`
	MinDuration  time.Duration `mapstructure:"min_duration"`
	ReopenWithin time.Duration `mapstructure:"reopen_within"`
	ChronicAfter time.Duration `mapstructure:"chronic_after"`

	ReconcileInterval time.Duration `mapstructure:"reconcile_interval"`
	ReconcileAfter    time.Duration `mapstructure:"reconcile_after"`
	ExpireAfter       time.Duration `mapstructure:"expire_after"`

	DigestWindow time.Duration `mapstructure:"digest_window"`
	DigestFrom   int           `mapstructure:"digest_from"`
	FiringNotice bool          `mapstructure:"firing_notice"`

	IDLabel   string   `mapstructure:"id_label"`
	Receivers []string `mapstructure:"receivers"`
	Template  string   `mapstructure:"template"`
	Graph     Graph    `mapstructure:"graph"`
	Details   Details  `mapstructure:"details"`
}

// WorkingHours is when people are at work anyway: what begins outside of it is an interruption. From and To are times of day as
// 15:04; without Days nothing is outside. Timezone is that of all unless set.
type WorkingHours struct {
	Days     []string `mapstructure:"days"`
	From     string   `mapstructure:"from"`
	To       string   `mapstructure:"to"`
	Timezone string   `mapstructure:"timezone"`
}

// Graph is a postmortem's picture.
type Graph struct {
	Disabled bool   `mapstructure:"disabled"`
	KPI      string `mapstructure:"kpi"` // PromQL, shown beside the alert's own expression; "" leaves it out
}

// Details is the optional lookup of an incident in a PostgreSQL source.
type Details struct {
	Source  string        `mapstructure:"source"` // empty: awoooi if it is one; "none" means none
	SQL     string        `mapstructure:"sql"`    // empty: the builtin for the AWOOOI tables
	Timeout time.Duration `mapstructure:"timeout"`
}

// awoooiSource is the source of the platform whose tables are builtin: of the KPI set of that name, and of details.
const awoooiSource = "awoooi"

// noDetails is the details.source that turns the lookup off.
const noDetails = "none"

// complete chooses the source of the AWOOOI tables where none is named and that one is a database.
func (d *Details) complete(sources []Source) {
	have := func(name, kind string) bool {
		return slices.ContainsFunc(sources, func(s Source) bool { return s.Name == name && (kind == "" || s.Kind == kind) })
	}
	switch {
	case d.Source == "" && have(awoooiSource, kpi.KindPostgres):
		d.Source = awoooiSource
	case d.Source == noDetails && !have(noDetails, ""):
		d.Source = ""
	}
}

// Receiver is a chat; exactly one kind is set.
type Receiver struct {
	Name     string    `mapstructure:"name"`
	Telegram *Telegram `mapstructure:"telegram"`
	HTTPPost *HTTPPost `mapstructure:"httppost"`
	Terminal *Terminal `mapstructure:"terminal"`
}

// Kinds names the kinds that are set: one, if the receiver is right.
func (r Receiver) Kinds() (names []string) {
	for _, kind := range []struct {
		name string
		set  bool
	}{{"telegram", r.Telegram != nil}, {"httppost", r.HTTPPost != nil}, {"terminal", r.Terminal != nil}} {
		if kind.set {
			names = append(names, kind.name)
		}
	}
	return names
}

// HTTPPost is a program that messages are posted to.
type HTTPPost struct {
	URL        secret.Text   `mapstructure:"url"` // a secret, as it may hold a token
	URLFile    string        `mapstructure:"url_file"`
	Secret     secret.Text   `mapstructure:"secret"`
	SecretFile string        `mapstructure:"secret_file"`
	Format     string        `mapstructure:"format"`
	Timeout    time.Duration `mapstructure:"timeout"`
	HTTPConfig HTTPClient    `mapstructure:"http_config"`
}

// Terminal is the channel that prints.
type Terminal struct{}

// Telegram is a bot and the chat that it talks in.
type Telegram struct {
	BotToken     secret.Text `mapstructure:"bot_token"`
	BotTokenFile string      `mapstructure:"bot_token_file"`
	ChatID       string      `mapstructure:"chat_id"`
	ThreadID     int         `mapstructure:"thread_id"`
	Silent       bool        `mapstructure:"silent"`
	APIURL       string      `mapstructure:"api_url"`
	HTTPConfig   HTTPClient  `mapstructure:"http_config"`
}

// Chats is what people may do in the chats of the receivers in Telegram. Without Users, the members of a chat may act.
type Chats struct {
	Listen bool   `mapstructure:"listen"`
	Users  []User `mapstructure:"users"`
}

// User is a person who may act; Name is for readers of the file only.
type User struct {
	ID   int64  `mapstructure:"id"`
	Name string `mapstructure:"name"`
}

// Delivery is the outbox's patience.
type Delivery struct {
	GiveUpAfter      time.Duration `mapstructure:"give_up_after"`
	FallbackReceiver string        `mapstructure:"fallback_receiver"`
}

// HTTPClient is Prometheus' own http_config block: basic_auth, authorization, tls_config, proxy_url, http_headers.
type HTTPClient struct {
	// Config is a pointer, so that nothing which prints a Config walks into its secrets.
	Config *promconfig.HTTPClientConfig
}

// Value returns the settings, or prometheus/common's defaults where none are given.
func (h HTTPClient) Value() promconfig.HTTPClientConfig {
	if h.Config == nil {
		return promconfig.DefaultHTTPClientConfig
	}
	return *h.Config
}

// defaults are the scalar settings; each is also a key that the environment can override. An empty default stands for
// a setting that is off.
func defaults() map[string]any {
	return map[string]any{
		"timezone":                    reporter.DefaultZone,
		"locale":                      reporter.DefaultLocale,
		"product":                     reporter.DefaultProduct,
		"external_url":                "",
		"log::level":                  "info",
		"log::format":                 "logfmt",
		"web::listen_addresses":       []string{"127.0.0.1:9787"},
		"web::allowed_hosts":          []string{},
		"web::config_file":            "",
		"web::bearer_token":           "",
		"web::bearer_token_file":      "",
		"web::username":               "",
		"web::password":               "",
		"web::password_file":          "",
		"web::pprof":                  false,
		"state::path":                 "./data",
		"state::dsn":                  "",
		"state::dsn_file":             "",
		"state::retention":            "90d",
		"collector::timeout_offset":   "500ms",
		"collector::scrape_timeout":   "10s",
		"collector::ttl":              "0s",
		"kpi_sets":                    []string{},
		"prometheus::url":             "",
		"prometheus::timeout":         "30s",
		"prometheus::extended_promql": false,
		"embedded::scrape_interval":   "15s",
		"embedded::retention":         "40d",
		"webhook::bearer_token":       "",
		"webhook::bearer_token_file":  "",
		"webhook::username":           "",
		"webhook::password":           "",
		"webhook::password_file":      "",
		"webhook::max_body_bytes":     10 << 20,

		"webhook::limits::alerts":           20_000,
		"webhook::limits::labels":           64,
		"webhook::limits::annotations":      64,
		"webhook::limits::label_bytes":      2 << 10,
		"webhook::limits::annotation_bytes": 8 << 10,
		"webhook::limits::url_bytes":        8 << 10,

		"incidents::by":            "group",
		"incidents::min_duration":  "10m",
		"incidents::reopen_within": "15m",
		"incidents::chronic_after": "24h",
		"incidents::id_label":      "incident_id",

		"incidents::reconcile_interval": "1m",
		"incidents::reconcile_after":    "5m",
		"incidents::expire_after":       "7d",

		"incidents::digest_window": "1m",
		"incidents::digest_from":   5,
		"incidents::firing_notice": false,

		"incidents::graph::disabled": false,
		"incidents::graph::kpi":      reporter.DefaultGraphKPI,

		"incidents::template":         "",
		"incidents::details::source":  "",
		"incidents::details::sql":     "",
		"incidents::details::timeout": "5s",
		"working_hours::days":         []string{"mon", "tue", "wed", "thu", "fri"},
		"working_hours::from":         "09:00",
		"working_hours::to":           "18:00",
		"working_hours::timezone":     "",
		"telegram::listen":            false,
		"delivery::give_up_after":     "24h",
		"delivery::fallback_receiver": "",
	}
}

// Options say what a configuration is made of, from the weakest to the strongest: defaults, the file, the environment, flags.
type Options struct {
	Path    string          // of the file; "" means none
	Environ []string        // NAME=value, as os.Environ gives them
	Flags   map[string]Flag // by the dotted keys of the settings that they give
	Checks  []Check         // what else must be right
}

// Flag is a setting that was given on the command line.
type Flag struct {
	Name  string // with its dashes
	Value any    // of the setting's type
}

// Check reports what is wrong with a configuration beyond its own package: it may have settings that could not be read, whose
// problems are known already.
type Check func(c *Config, p *Problems)

// Load reads the file at path, or only defaults and environment where path is empty. Its error is an *Error, or that the file
// cannot be read; neither shows a secret.
func Load(path string) (*Config, error) {
	return Options{Path: path, Environ: os.Environ()}.Load(context.Background())
}

// Load reads a configuration, until ctx ends. The error is an *Error with every problem that was found, of the file as of the
// checks, or that the file cannot be read.
func (o Options) Load(ctx context.Context) (*Config, error) {
	p := newProblems(o.Path)
	d := decoder{problems: p, layer: map[string]any{}, keys: Keys()}
	dir := ""
	if o.Path != "" {
		text, err := readFile(ctx, o.Path, maxFile)
		if err != nil {
			return nil, fmt.Errorf("configuration %s: %w", o.Path, withoutPath(err))
		}
		dir = filepath.Dir(o.Path)
		if root := parseFile(text, p); root != nil {
			d.section(root, reflect.TypeFor[Config](), "")
		}
		if p.broken[""] { // The file as a whole says nothing that could be checked.
			return nil, p.err()
		}
	}
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	for k, value := range defaults() {
		v.SetDefault(k, value)
	}
	if err := v.MergeConfigMap(nested(d.layer)); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", o.Path, err)
	}
	env := environment(o.Environ)
	env.override(v, p)
	for key, flag := range o.Flags {
		v.Set(viperKey(key), flag.Value)
		p.from[key] = "flag " + flag.Name
	}
	var c Config
	hooks := mapstructure.ComposeDecodeHookFunc(secretHook, durationHook)
	if err := v.UnmarshalExact(&c, viper.DecodeHook(hooks)); err != nil {
		// Everything was decoded before; what is left is a defect of this package.
		return nil, fmt.Errorf("configuration %s: %s", o.Path, quoted.ReplaceAllString(err.Error(), "…"))
	}
	c.resolvePaths(dir)
	c.readSecrets(ctx, env, p)
	env.reportUnknown(p)
	c.complete(p)
	c.validate(p)
	for _, check := range o.Checks {
		check(&c, p)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return &c, nil
}

// delimiter parts the keys of viper; a dot may stand in a name.
const delimiter = "::"

func viperKey(key string) string { return strings.ReplaceAll(key, ".", delimiter) }

// nested makes the maps that viper merges of dotted keys.
func nested(layer map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range layer {
		parts := strings.Split(key, ".")
		m := out
		for _, part := range parts[:len(parts)-1] {
			sub, ok := m[part].(map[string]any)
			if !ok {
				sub = map[string]any{}
				m[part] = sub
			}
			m = sub
		}
		m[parts[len(parts)-1]] = value
	}
	return out
}

// withoutPath removes the path from an error of the file system, which the caller names.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// secretHook and durationHook decode defaults; values of the file and the environment have their types already.
func secretHook(_, to reflect.Type, data any) (any, error) {
	if s, ok := data.(string); ok && to == secretType {
		return secret.New(s), nil
	}
	return data, nil
}

func durationHook(_, to reflect.Type, data any) (any, error) {
	if s, ok := data.(string); ok && to == durationType {
		d, _, err := duration(s, false, "")
		return d, err
	}
	return data, nil
}

// resolvePaths makes relative paths relative to the config file, as Prometheus and Alertmanager do. The state's path
// stays relative to the working directory, as Prometheus' storage path does.
func (c *Config) resolvePaths(dir string) {
	join := func(p *string) {
		*p = promconfig.JoinDir(dir, *p)
	}
	join(&c.Web.ConfigFile)
	join(&c.State.DSNFile)
	join(&c.Web.BearerTokenFile)
	join(&c.Web.PasswordFile)
	join(&c.Webhook.BearerTokenFile)
	join(&c.Webhook.PasswordFile)
	join(&c.Incidents.Template)
	clients := []*HTTPClient{&c.Prometheus.HTTPConfig}
	for n := range c.Sources {
		join(&c.Sources[n].DSNFile)
		join(&c.Sources[n].URLFile)
		clients = append(clients, &c.Sources[n].HTTPConfig)
	}
	for n := range c.Alertmanagers {
		join(&c.Alertmanagers[n].BearerTokenFile)
		clients = append(clients, &c.Alertmanagers[n].HTTPConfig)
	}
	for n := range c.Reports {
		join(&c.Reports[n].Template)
	}
	for _, r := range c.Receivers {
		if r.Telegram != nil {
			join(&r.Telegram.BotTokenFile)
			clients = append(clients, &r.Telegram.HTTPConfig)
		}
		if r.HTTPPost != nil {
			join(&r.HTTPPost.URLFile)
			join(&r.HTTPPost.SecretFile)
			clients = append(clients, &r.HTTPPost.HTTPConfig)
		}
	}
	for _, h := range clients {
		if h.Config != nil {
			h.Config.SetDirectory(dir)
		}
	}
}

// complete fills what follows from other settings.
func (c *Config) complete(p *Problems) {
	if c.Telegram.Listen && !p.isSet("incidents.firing_notice") { // Its buttons are on the notice.
		c.Incidents.FiringNotice = true
	}
	for n := range c.Queries {
		c.Queries[n] = c.Queries[n].WithDefaults()
	}
	if len(c.KPISets) == 0 && !p.emptied["kpi_sets"] {
		c.KPISets = []string{"journal"}
		for _, s := range c.Sources {
			if s.Name == awoooiSource {
				c.KPISets = []string{awoooiSource}
			}
		}
	}
	for n := range c.Sources {
		s := &c.Sources[n]
		if s.MaxConnections == 0 {
			s.MaxConnections = 3
		}
		if s.Timeout == 0 {
			s.Timeout = kpi.DefaultTimeout
		}
	}
	c.Incidents.Details.complete(c.Sources)
	if len(c.Receivers) == 0 {
		c.Receivers = []Receiver{{Name: "terminal", Terminal: &Terminal{}}}
	}
	everyone := c.primaryReceivers()
	if len(c.Incidents.Receivers) == 0 {
		c.Incidents.Receivers = everyone
	}
	for n := range c.Routes {
		r := &c.Routes[n]
		if r.Name == "" {
			r.Name = strings.Join(r.Matchers, ",")
		}
		if len(r.Receivers) == 0 {
			r.Receivers = c.Incidents.Receivers
		}
		if r.MinDuration == nil {
			r.MinDuration = &c.Incidents.MinDuration
		}
		if r.Heartbeat != nil && r.Heartbeat.MissingAfter == nil {
			after := reporter.DefaultMissingAfter
			r.Heartbeat.MissingAfter = &after
		}
	}
	for n := range c.Reports {
		if len(c.Reports[n].Receivers) == 0 {
			c.Reports[n].Receivers = everyone
		}
	}
}

// primaryReceivers are all receivers but the fallback, which is there for notices only; a single receiver is primary
// whatever else it is.
func (c *Config) primaryReceivers() []string {
	var names []string
	for _, r := range c.Receivers {
		if (r.Name != c.Delivery.FallbackReceiver || len(c.Receivers) == 1) && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}

// PrimaryReceivers are the receivers of everything that names none: all but the fallback.
func (c *Config) PrimaryReceivers() []string { return c.primaryReceivers() }

// LogValue keeps a Config out of logs, whatever it holds.
func (c *Config) LogValue() slog.Value { return slog.StringValue("<config>") }

// Keys returns the dotted path of every setting there is, list entries without an index.
func Keys() []string {
	var keys []string
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || isLeaf(t) {
			keys = append(keys, prefix)
			return
		}
		if prefix != "" {
			prefix += "."
		}
		for f := range t.NumField() {
			if tag, _, _ := strings.Cut(cmpTag(t.Field(f)), ","); tag != "-" && t.Field(f).IsExported() {
				walk(prefix+tag, t.Field(f).Type)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	return keys
}

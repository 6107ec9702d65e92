// Package config loads the configuration: a YAML file, the environment, flags and defaults come in; a checked Config, or every
// problem with its line, goes out. It is the only package that uses viper.
package config

import (
	"cmp"
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

// EnvPrefix is the prefix of every environment variable that overrides a setting: AWOOOI_REPORTER_PROMETHEUS_URL overrides
// prometheus.url. The variable of a secret in a list has the name of the entry: AWOOOI_REPORTER_SOURCES_AWOOOI_DSN.
const EnvPrefix = "AWOOOI_REPORTER"

// JournalSource is the name of the source that is always there: the incident journal.
const JournalSource = "journal"

// Config is the whole configuration. config.example.yaml explains every setting.
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

	// DefaultKPISets says that KPISets is the default.
	DefaultKPISets bool `mapstructure:"-"`
	// Zone is Timezone, and Hours are WorkingHours, both parsed.
	Zone  *time.Location        `mapstructure:"-"`
	Hours reporter.WorkingHours `mapstructure:"-"`
}

// Log is the level and the format of the log, as promslog has them.
type Log struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// Web is the web listener. ConfigFile is a file of exporter-toolkit, with TLS and basic auth for everything. The token and the user
// protect the pages, the reload and, with Pprof, the profiles of the process. Without either, a loopback listener also accepts the
// host names AllowedHosts.
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

// State is where the reporter stores its journal and deliveries: in PostgreSQL if DSN is set, else in SQLite in the directory Path.
type State struct {
	Path      string        `mapstructure:"path"`
	DSN       secret.Text   `mapstructure:"dsn"`
	DSNFile   string        `mapstructure:"dsn_file"`
	Retention time.Duration `mapstructure:"retention"`
}

// Collector has the settings of scrapes.
type Collector struct {
	TimeoutOffset time.Duration `mapstructure:"timeout_offset"`
	ScrapeTimeout time.Duration `mapstructure:"scrape_timeout"`
	TTL           time.Duration `mapstructure:"ttl"`
}

// Source is a server that queries are sent to.
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

// Prometheus is where the reports' figures are read; without URL they are read from the embedded database.
type Prometheus struct {
	URL        string        `mapstructure:"url"`
	Timeout    time.Duration `mapstructure:"timeout"`
	HTTPConfig HTTPClient    `mapstructure:"http_config"`
	// ExtendedPromQL is for a server that extends PromQL: expressions are then not checked.
	ExtendedPromQL bool `mapstructure:"extended_promql"`
}

// Embedded is the embedded time-series database, which is used without Prometheus.URL.
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

// Alertmanager is a cluster of Alertmanagers, or a member of the cluster of that name. Open incidents are compared with the
// alerts that the API at URL and URLs, its members, has. BearerToken is for the cluster's own webhook path.
type Alertmanager struct {
	Name            string      `mapstructure:"name"`
	URL             string      `mapstructure:"url"`
	URLs            []string    `mapstructure:"urls"`
	HTTPConfig      HTTPClient  `mapstructure:"http_config"`
	BearerToken     secret.Text `mapstructure:"bearer_token"`
	BearerTokenFile string      `mapstructure:"bearer_token_file"`
	Silences        bool        `mapstructure:"silences"` // people may silence incidents through this cluster's API
}

// Cluster returns the name of the entry's cluster; entries without a name are of reporter.ClusterDefault.
func (a Alertmanager) Cluster() string { return cmp.Or(a.Name, reporter.ClusterDefault) }

// Route decides where the alerts go that all Matchers, in Alertmanager's syntax, match. Unset fields are those of Incidents.
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

// Heartbeat makes the alerts of a route heartbeats: they always fire, and people are notified when one is missing.
type Heartbeat struct {
	MissingAfter *time.Duration `mapstructure:"missing_after"`
}

// Incidents has the settings by which alerts become incidents, and incidents postmortems.
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

// WorkingHours is when people are at work: an alert outside of it is an interruption. From and To are times of day as 15:04. Without
// Days there are no working hours, and no interruptions. Timezone defaults to Config.Timezone.
type WorkingHours struct {
	Days     []string `mapstructure:"days"`
	From     string   `mapstructure:"from"`
	To       string   `mapstructure:"to"`
	Timezone string   `mapstructure:"timezone"`
}

// Graph has the settings of the picture of a postmortem.
type Graph struct {
	Disabled bool   `mapstructure:"disabled"`
	KPI      string `mapstructure:"kpi"` // PromQL, shown below the alert's own expression; "" leaves it out
}

// Details is the optional lookup of an incident in a PostgreSQL source.
type Details struct {
	Source  string        `mapstructure:"source"` // "": awoooi if that is a PostgreSQL source; "none": no lookup
	SQL     string        `mapstructure:"sql"`    // "": the builtin one for the AWOOOI tables
	Timeout time.Duration `mapstructure:"timeout"`
}

// awoooiSource is the name of the AWOOOI platform's source: the KPI set of that name and the builtin details query it.
const awoooiSource = "awoooi"

// noDetails is the details.source that turns the lookup off.
const noDetails = "none"

// complete sets the default of Source, and replaces noDetails by "".
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

// Receiver is a destination of messages; exactly one kind of channel is set.
type Receiver struct {
	Name     string    `mapstructure:"name"`
	Telegram *Telegram `mapstructure:"telegram"`
	HTTPPost *HTTPPost `mapstructure:"httppost"`
	Terminal *Terminal `mapstructure:"terminal"`
}

// Kinds returns the names of the kinds that are set: exactly one in a valid configuration.
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

// HTTPPost is the channel to a program by HTTP POST.
type HTTPPost struct {
	URL        secret.Text   `mapstructure:"url"` // a secret, as it may hold a token
	URLFile    string        `mapstructure:"url_file"`
	Secret     secret.Text   `mapstructure:"secret"`
	SecretFile string        `mapstructure:"secret_file"`
	Format     string        `mapstructure:"format"`
	Timeout    time.Duration `mapstructure:"timeout"`
	HTTPConfig HTTPClient    `mapstructure:"http_config"`
}

// Terminal is the channel that prints to standard output.
type Terminal struct{}

// Telegram is a bot and its chat.
type Telegram struct {
	BotToken     secret.Text `mapstructure:"bot_token"`
	BotTokenFile string      `mapstructure:"bot_token_file"`
	ChatID       string      `mapstructure:"chat_id"`
	ThreadID     int         `mapstructure:"thread_id"`
	Silent       bool        `mapstructure:"silent"`
	APIURL       string      `mapstructure:"api_url"`
	HTTPConfig   HTTPClient  `mapstructure:"http_config"`
}

// Chats has the settings of what people do in chats of Telegram. Without Users, the members of a chat may act.
type Chats struct {
	Listen bool   `mapstructure:"listen"`
	Users  []User `mapstructure:"users"`
}

// User is a person who may act in chats; Name is a comment for readers of the file.
type User struct {
	ID   int64  `mapstructure:"id"`
	Name string `mapstructure:"name"`
}

// Delivery has the settings of the outbox.
type Delivery struct {
	GiveUpAfter      time.Duration `mapstructure:"give_up_after"`
	FallbackReceiver string        `mapstructure:"fallback_receiver"`
}

// HTTPClient is Prometheus's http_config block: basic_auth, authorization, tls_config, proxy_url, http_headers.
type HTTPClient struct {
	// Config is a pointer, so that printing a Config does not print the secrets in it.
	Config *promconfig.HTTPClientConfig
}

// Value returns the settings, or prometheus/common's defaults if none are configured.
func (h HTTPClient) Value() promconfig.HTTPClientConfig {
	if h.Config == nil {
		return promconfig.DefaultHTTPClientConfig
	}
	return *h.Config
}

// defaultListen is the default address to listen on, and the one that remedies suggest.
const defaultListen = "127.0.0.1:9787"

// maxConnections is the largest and the default number of connections to a PostgreSQL source.
const maxConnections = 3

// defaults returns the defaults of all settings outside lists, by their keys for viper. Each can be overridden by the environment.
// Secrets and switches that are off have empty defaults.
func defaults() map[string]any {
	return map[string]any{
		"timezone":                    reporter.DefaultZone,
		"locale":                      reporter.DefaultLocale,
		"product":                     reporter.DefaultProduct,
		"external_url":                "",
		"log::level":                  "info",
		"log::format":                 "logfmt",
		"web::listen_addresses":       []string{defaultListen},
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
		"incidents::receivers":     []string(nil),

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

// Options are what a configuration is loaded from. Flags override the environment, which overrides the file, which overrides the
// defaults.
type Options struct {
	Path    string          // of the file; "" means none
	Environ []string        // NAME=value, as os.Environ gives them
	Flags   map[string]Flag // by the dotted keys of their settings
	Checks  []Check         // called after the checks of this package
}

// Flag is a setting that was given on the command line.
type Flag struct {
	Name  string // with its dashes
	Value any    // of the setting's type
}

// Check adds problems that this package cannot find to p. It also gets configurations with problems: p.Broken and p.Given tell which
// settings have one.
type Check func(c *Config, p *Problems)

// Load loads the file at path, or only defaults and environment if path is "". It fails as Options.Load does.
func Load(path string) (*Config, error) {
	return Options{Path: path, Environ: os.Environ()}.Load(context.Background())
}

// Load loads and checks the configuration, until ctx ends. The error is an *Error with every problem that was found, or an error of
// reading the file. Neither shows a secret.
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
		if p.broken[""] { // the file as a whole cannot be read, so that there is nothing else to check
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
		// Every value has its type already, so this is a defect of this package.
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

// delimiter separates the parts of viper's keys. viper's default, the dot, can be part of a name.
const delimiter = "::"

func viperKey(key string) string { return strings.ReplaceAll(key, ".", delimiter) }

// nested turns values by dotted keys into nested maps, as viper merges them.
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

// withoutPath removes the path from an error of the file system, because the caller adds it.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// secretHook and durationHook decode defaults, which are text; values of the file and the environment have their types already.
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

// resolvePaths makes relative paths relative to the configuration file, as Prometheus and Alertmanager do. state.path stays relative
// to the working directory, like Prometheus's storage path.
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

// complete sets the defaults that depend on other settings, and those of list entries.
func (c *Config) complete(p *Problems) {
	if c.Telegram.Listen && !p.isSet("incidents.firing_notice") { // the buttons are on that notice
		c.Incidents.FiringNotice = true
	}
	for n := range c.Queries {
		c.Queries[n] = c.Queries[n].WithDefaults()
	}
	if len(c.KPISets) == 0 && !p.emptied["kpi_sets"] {
		c.DefaultKPISets = true
		c.KPISets = []string{JournalSource}
		for _, s := range c.Sources {
			if s.Name == awoooiSource {
				c.KPISets = []string{awoooiSource}
			}
		}
	}
	for n := range c.Sources {
		s := &c.Sources[n]
		if s.MaxConnections == 0 {
			s.MaxConnections = maxConnections
		}
		if s.Timeout == 0 {
			s.Timeout = kpi.DefaultTimeout
		}
	}
	c.Incidents.Details.complete(c.Sources)
	if len(c.Receivers) == 0 {
		c.Receivers = []Receiver{{Name: "terminal", Terminal: &Terminal{}}}
	}
	primary := c.PrimaryReceivers()
	if len(c.Incidents.Receivers) == 0 {
		c.Incidents.Receivers = primary
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
			c.Reports[n].Receivers = primary
		}
	}
}

// PrimaryReceivers returns the default receivers of reports and incidents: all but the fallback receiver, which gets notices only,
// unless it is the only one.
func (c *Config) PrimaryReceivers() []string {
	var names []string
	for _, r := range c.Receivers {
		if (r.Name != c.Delivery.FallbackReceiver || len(c.Receivers) == 1) && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}

// LogValue keeps the contents of a Config out of logs.
func (c *Config) LogValue() slog.Value { return slog.StringValue("<config>") }

// Keys returns the dotted keys of all settings; list entries have no index.
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

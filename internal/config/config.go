// Package config turns one YAML file, the environment and the defaults into a checked Config; it is the only room that
// knows viper.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// EnvPrefix begins the name of every environment variable that overrides a setting: prometheus.url is
// AWOOOI_REPORTER_PROMETHEUS_URL. Secrets of list entries are reached by the entry's name, as in
// AWOOOI_REPORTER_SOURCES_AWOOOI_DSN.
const EnvPrefix = "AWOOOI_REPORTER"

// JournalSource is the name of the source that is always there: the incident journal.
const JournalSource = "journal"

// Config is everything that can be set; config.example.yaml is its manual.
type Config struct {
	Timezone    string      `mapstructure:"timezone"`
	Locale      string      `mapstructure:"locale"`
	Product     string      `mapstructure:"product"`
	ExternalURL string      `mapstructure:"external_url"`
	Log         Log         `mapstructure:"log"`
	Web         Web         `mapstructure:"web"`
	State       State       `mapstructure:"state"`
	Collector   Collector   `mapstructure:"collector"`
	KPISets     []string    `mapstructure:"kpi_sets"`
	Sources     []Source    `mapstructure:"sources"`
	Queries     []kpi.Query `mapstructure:"queries"`
	Prometheus  Prometheus  `mapstructure:"prometheus"`
	Embedded    Embedded    `mapstructure:"embedded"`
	Reports     []Report    `mapstructure:"reports"`
	Webhook     Webhook     `mapstructure:"webhook"`

	Alertmanagers []Alertmanager `mapstructure:"alertmanagers"`

	Incidents Incidents  `mapstructure:"incidents"`
	Receivers []Receiver `mapstructure:"receivers"`
	Delivery  Delivery   `mapstructure:"delivery"`

	// Zone is Timezone, loaded.
	Zone *time.Location `mapstructure:"-"`
}

// Log is what promslog takes.
type Log struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// Web is where the program listens; ConfigFile is exporter-toolkit's (TLS, basic auth for everything). The token and the
// user guard the pages and the reload. AllowedHosts are further names of the program for a loopback listener without them.
type Web struct {
	ListenAddresses []string    `mapstructure:"listen_addresses"`
	AllowedHosts    []string    `mapstructure:"allowed_hosts"`
	ConfigFile      string      `mapstructure:"config_file"`
	BearerToken     secret.Text `mapstructure:"bearer_token"`
	BearerTokenFile string      `mapstructure:"bearer_token_file"`
	Username        string      `mapstructure:"username"`
	Password        secret.Text `mapstructure:"password"`
	PasswordFile    string      `mapstructure:"password_file"`
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
}

// Embedded is the time-series database of the zero-config start.
type Embedded struct {
	ScrapeInterval time.Duration `mapstructure:"scrape_interval"`
	Retention      time.Duration `mapstructure:"retention"`
}

// Report is one report; unset fields of a builtin's name are taken from the builtin.
type Report struct {
	Name      string        `mapstructure:"name"`
	Schedule  string        `mapstructure:"schedule"`
	Timezone  string        `mapstructure:"timezone"`
	Lookback  time.Duration `mapstructure:"lookback"`
	Months    int           `mapstructure:"lookback_months"`
	CatchUp   time.Duration `mapstructure:"catch_up"`
	Title     string        `mapstructure:"title"`
	Locale    string        `mapstructure:"locale"`
	Template  string        `mapstructure:"template"`
	Health    Health        `mapstructure:"health"`
	Figures   []Figure      `mapstructure:"figures"`
	Trend     *Trend        `mapstructure:"trend"`
	Receivers []string      `mapstructure:"receivers"`
	Disabled  bool          `mapstructure:"disabled"`
}

// Health is the thresholds of the repair success rate, within 0..1.
type Health struct {
	Excellent float64 `mapstructure:"excellent"`
	Good      float64 `mapstructure:"good"`
}

// Figure is one PromQL expression of a report; Compare asks it again that long before, EachDay at each day of the lookback.
type Figure struct {
	Name    string          `mapstructure:"name"`
	Expr    string          `mapstructure:"expr"`
	Compare []time.Duration `mapstructure:"compare"`
	EachDay bool            `mapstructure:"each_day"`
}

// Trend is a report's picture; without figures there is none.
type Trend struct {
	Days    int      `mapstructure:"days"`
	Figures []string `mapstructure:"figures"`
}

// Webhook is Alertmanager's door.
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

// Alertmanager is one whose API is asked what it knows of alerts that are open here.
type Alertmanager struct {
	URL        string     `mapstructure:"url"`
	HTTPConfig HTTPClient `mapstructure:"http_config"`
}

// Incidents is how alerts become incidents, and incidents postmortems.
type Incidents struct {
	By           string        `mapstructure:"by"`
	MinDuration  time.Duration `mapstructure:"min_duration"`
	ReopenWithin time.Duration `mapstructure:"reopen_within"`

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

// Graph is a postmortem's picture.
type Graph struct {
	Disabled bool   `mapstructure:"disabled"`
	KPI      string `mapstructure:"kpi"` // PromQL, shown beside the alert's own expression; "" leaves it out
}

// Details is the optional lookup of an incident in a PostgreSQL source.
type Details struct {
	Source  string        `mapstructure:"source"`
	SQL     string        `mapstructure:"sql"` // empty: the builtin for the AWOOOI tables
	Timeout time.Duration `mapstructure:"timeout"`
}

// Receiver is a chat; exactly one kind is set.
type Receiver struct {
	Name     string    `mapstructure:"name"`
	Telegram *Telegram `mapstructure:"telegram"`
	Terminal *Terminal `mapstructure:"terminal"`
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

// UnmarshalMap takes the block as it was decoded from YAML. Strictness and file paths are prometheus/common's.
func (h *HTTPClient) unmarshalMap(m map[string]any) error {
	b, err := yaml.Marshal(m)
	if err != nil {
		return fmt.Errorf("http_config: %w", err)
	}
	c, err := promconfig.LoadHTTPConfig(string(b))
	if err != nil {
		return fmt.Errorf("http_config: %w", err)
	}
	h.Config = c
	return nil
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
		"timezone":                   reporter.DefaultZone,
		"locale":                     reporter.DefaultLocale,
		"product":                    reporter.DefaultProduct,
		"external_url":               "",
		"log::level":                 "info",
		"log::format":                "logfmt",
		"web::listen_addresses":      []string{"127.0.0.1:9787"},
		"web::allowed_hosts":         []string{},
		"web::config_file":           "",
		"web::bearer_token":          "",
		"web::bearer_token_file":     "",
		"web::username":              "",
		"web::password":              "",
		"web::password_file":         "",
		"state::path":                "./data",
		"state::dsn":                 "",
		"state::dsn_file":            "",
		"state::retention":           "90d",
		"collector::timeout_offset":  "500ms",
		"collector::scrape_timeout":  "10s",
		"collector::ttl":             "0s",
		"kpi_sets":                   []string{},
		"prometheus::url":            "",
		"prometheus::timeout":        "30s",
		"embedded::scrape_interval":  "15s",
		"embedded::retention":        "40d",
		"webhook::bearer_token":      "",
		"webhook::bearer_token_file": "",
		"webhook::username":          "",
		"webhook::password":          "",
		"webhook::password_file":     "",
		"webhook::max_body_bytes":    10 << 20,

		"webhook::limits::alerts":           20_000,
		"webhook::limits::labels":           64,
		"webhook::limits::annotations":      64,
		"webhook::limits::label_bytes":      2 << 10,
		"webhook::limits::annotation_bytes": 8 << 10,
		"webhook::limits::url_bytes":        8 << 10,

		"incidents::by":            "group",
		"incidents::min_duration":  "10m",
		"incidents::reopen_within": "15m",
		"incidents::id_label":      "incident_id",

		"incidents::reconcile_interval": "1m",
		"incidents::reconcile_after":    "5m",
		"incidents::expire_after":       "7d",

		"incidents::digest_window": "1m",
		"incidents::digest_from":   5,
		"incidents::firing_notice": false,

		"incidents::graph::disabled": false,
		"incidents::graph::kpi":      "sum(max by (category) (awoooi_alerts))",

		"incidents::template":         "",
		"incidents::details::source":  "",
		"incidents::details::sql":     "",
		"incidents::details::timeout": "5s",
		"delivery::give_up_after":     "24h",
		"delivery::fallback_receiver": "",
	}
}

// Load reads the file at path, or only defaults and environment where path is empty. Its error names every fault that
// was found, and never shows a secret.
func Load(path string) (*Config, error) {
	v := viper.NewWithOptions(viper.KeyDelimiter("::"))
	v.SetEnvPrefix(EnvPrefix)
	v.SetEnvKeyReplacer(strings.NewReplacer("::", "_"))
	v.AutomaticEnv()
	for k, d := range defaults() {
		v.SetDefault(k, d)
	}
	dir := ""
	if path != "" {
		v.SetConfigFile(path)
		v.SetConfigType("yaml")
		if err := v.ReadInConfig(); err != nil {
			return nil, fmt.Errorf("config %s: %w", path, yamlFault(err))
		}
		dir = filepath.Dir(path)
	}
	var c Config
	hooks := mapstructure.ComposeDecodeHookFunc(httpClientHook, secretHook, durationHook, terminalHook,
		mapstructure.StringToSliceHookFunc(","))
	if err := v.UnmarshalExact(&c, viper.DecodeHook(hooks)); err != nil {
		return nil, fmt.Errorf("config %s: %w", path, decodeFault(err))
	}
	c.resolvePaths(dir)
	if err := errors.Join(c.readSecrets(), c.complete(), c.validate()); err != nil {
		return nil, fmt.Errorf("config %s: %w", path, err)
	}
	return &c, nil
}

// yamlFault keeps the line and the kind of a YAML error, and drops the text that the parser quotes, which may be a
// secret.
func yamlFault(err error) error {
	var parse viper.ConfigParseError
	if errors.As(err, &parse) {
		return errors.New(quoted.ReplaceAllString(parse.Error(), "`…`"))
	}
	return err
}

var quoted = regexp.MustCompile("`[^`]*`")

var (
	invalidKeys  = regexp.MustCompile(`'([^']*)' has invalid keys: (.*)`)
	decodeQuotes = regexp.MustCompile(`value: '[^\n]*'`)
)

// decodeFault turns mapstructure's wording into ours, with the key that nobody knows by its whole path.
func decodeFault(err error) error {
	var faults []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if m := invalidKeys.FindStringSubmatch(line); m != nil {
			for key := range strings.SplitSeq(m[2], ", ") {
				if in := strings.ToLower(m[1]); in != "" && in != "config.config" {
					key = in + "." + key
				}
				faults = append(faults, fmt.Errorf("unknown key %q", key))
			}
			continue
		}
		line = strings.TrimPrefix(strings.TrimSpace(line), "* ")
		if line == "" || strings.HasPrefix(line, "decoding failed") {
			continue
		}
		faults = append(faults, errors.New(decodeQuotes.ReplaceAllString(line, "value: '…'")))
	}
	return errors.Join(faults...)
}

func httpClientHook(from, to reflect.Type, data any) (any, error) {
	if to != reflect.TypeFor[HTTPClient]() {
		return data, nil
	}
	m, ok := data.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("http_config: want a mapping, got %v", from)
	}
	var h HTTPClient
	if err := h.unmarshalMap(m); err != nil {
		return nil, err
	}
	return h, nil
}

func secretHook(from, to reflect.Type, data any) (any, error) {
	if to != reflect.TypeFor[secret.Text]() {
		return data, nil
	}
	s, ok := data.(string)
	if !ok {
		return nil, fmt.Errorf("want a string, got %v", from)
	}
	return secret.New(s), nil
}

// durationHook takes Go's durations, and Prometheus' for days and weeks ("40d").
func durationHook(_, to reflect.Type, data any) (any, error) {
	s, ok := data.(string)
	if to != reflect.TypeFor[time.Duration]() || !ok {
		return data, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not a duration such as 30s, 10m or 40d", s)
	}
	return time.Duration(d), nil
}

// terminalHook lets a block without settings be written as "terminal: {}" or "terminal: true".
func terminalHook(_, to reflect.Type, data any) (any, error) {
	if b, ok := data.(bool); ok && b && to == reflect.TypeFor[Terminal]() {
		return map[string]any{}, nil
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
	}
	for _, h := range clients {
		if h.Config != nil {
			h.Config.SetDirectory(dir)
		}
	}
}

// readSecrets fills every secret from its file or from the environment.
func (c *Config) readSecrets() error {
	var errs []error
	read := func(key string, into *secret.Text, file string) {
		if file == "" {
			return
		}
		if !into.Empty() {
			errs = append(errs, fmt.Errorf("%s and %s_file are both set", key, key))
			return
		}
		b, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s_file: %w", key, err))
			return
		}
		text := strings.TrimSpace(string(b))
		if text == "" {
			errs = append(errs, fmt.Errorf("%s_file: %s is empty", key, file))
		}
		*into = secret.New(text)
	}
	entry := func(list, name, key string, into *secret.Text, file string) {
		env := EnvPrefix + "_" + envName(list) + "_" + envName(name) + "_" + envName(key)
		if v, ok := os.LookupEnv(env); ok {
			*into = secret.New(v)
			return
		}
		read(list+" "+name+": "+key, into, file)
	}
	read("state.dsn", &c.State.DSN, c.State.DSNFile)
	read("web.bearer_token", &c.Web.BearerToken, c.Web.BearerTokenFile)
	read("web.password", &c.Web.Password, c.Web.PasswordFile)
	read("webhook.bearer_token", &c.Webhook.BearerToken, c.Webhook.BearerTokenFile)
	read("webhook.password", &c.Webhook.Password, c.Webhook.PasswordFile)
	for n := range c.Sources {
		s := &c.Sources[n]
		if s.Kind == kpi.KindPostgres {
			entry("sources", s.Name, "dsn", &s.DSN, s.DSNFile)
		} else {
			entry("sources", s.Name, "url", &s.URL, s.URLFile)
		}
	}
	for _, r := range c.Receivers {
		if r.Telegram != nil {
			entry("receivers", r.Name, "bot_token", &r.Telegram.BotToken, r.Telegram.BotTokenFile)
		}
	}
	return errors.Join(errs...)
}

var notEnvName = regexp.MustCompile(`[^A-Z0-9]+`)

func envName(s string) string { return notEnvName.ReplaceAllString(strings.ToUpper(s), "_") }

// complete fills what follows from other settings.
func (c *Config) complete() error {
	var errs []error
	var err error
	if c.Zone, err = time.LoadLocation(c.Timezone); err != nil || c.Timezone == "" {
		errs = append(errs, fmt.Errorf("timezone: %q is not an IANA zone", c.Timezone))
	}
	for n := range c.Queries {
		c.Queries[n] = c.Queries[n].WithDefaults()
	}
	if len(c.KPISets) == 0 {
		c.KPISets = []string{"journal"}
		for _, s := range c.Sources {
			if s.Name == "awoooi" {
				c.KPISets = []string{"awoooi"}
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
	if len(c.Receivers) == 0 {
		c.Receivers = []Receiver{{Name: "terminal", Terminal: &Terminal{}}}
	}
	everyone := c.primaryReceivers()
	if len(c.Incidents.Receivers) == 0 {
		c.Incidents.Receivers = everyone
	}
	for n := range c.Reports {
		if len(c.Reports[n].Receivers) == 0 {
			c.Reports[n].Receivers = everyone
		}
	}
	return errors.Join(errs...)
}

// primaryReceivers are all receivers but the fallback, which is there for notices only; a single receiver is primary
// whatever else it is.
func (c *Config) primaryReceivers() []string {
	var names []string
	for _, r := range c.Receivers {
		if r.Name != c.Delivery.FallbackReceiver || len(c.Receivers) == 1 {
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
		opaque := t == reflect.TypeFor[secret.Text]() || t == reflect.TypeFor[HTTPClient]()
		if t.Kind() != reflect.Struct || opaque {
			keys = append(keys, prefix)
			return
		}
		if prefix != "" {
			prefix += "."
		}
		for f := range t.NumField() {
			if tag := t.Field(f).Tag.Get("mapstructure"); tag != "-" {
				walk(prefix+tag, t.Field(f).Type)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	return keys
}

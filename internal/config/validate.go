package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// The words that some settings take.
var (
	logLevels   = []string{"debug", "info", "warn", "error"}
	logFormats  = []string{"logfmt", "json"}
	incidentsBy = []string{"group", "alert"}
	sourceKinds = []string{kpi.KindPostgres, kpi.KindRedis, kpi.KindHTTP}
)

var (
	hostName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	entryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
	// https://core.telegram.org/bots/api#authorizing-your-bot; /test is the test environment.
	botToken = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]+(/test)?$`)
	chatID   = regexp.MustCompile(`^(-?[1-9][0-9]{0,18}|@[A-Za-z][A-Za-z0-9_]{3,31})$`)
)

const nameRemedy = "use 1 to 63 of A-Z a-z 0-9 . _ -, beginning with a letter or digit"

// validate reports all problems of values that could be read, and sets Zone and Hours.
func (c *Config) validate(p *Problems) {
	c.Zone = checkZone(p, "timezone", c.Timezone)
	c.Hours = c.workingHours(p)
	oneOf(p, "log.level", c.Log.Level, logLevels)
	oneOf(p, "log.format", c.Log.Format, logFormats)
	c.validateWeb(p)
	if c.ExternalURL != "" {
		checkURL(p, "external_url", c.ExternalURL)
	}
	if c.State.Path == "" {
		p.Add("state.path", "is empty", "name a directory")
	}
	if c.State.Retention < 24*time.Hour {
		p.Add("state.retention", fmt.Sprintf("%v is below 24h", c.State.Retention), "write at least 24h")
	}
	c.validateDurations(p)
	if c.Prometheus.URL != "" {
		checkURL(p, "prometheus.url", c.Prometheus.URL)
	}
	if n := c.Incidents.DigestFrom; n < 0 || n == 1 {
		p.Add("incidents.digest_from", fmt.Sprintf("is %d", n), "write 0 for no digests, or at least 2")
	}
	oneOf(p, "incidents.by", c.Incidents.By, incidentsBy)
	c.validateLimits(p)
	c.validateAlertmanagers(p)
	c.validateRoutes(p)
	c.validateSources(p)
	c.validateDetails(p)
	c.validateReceivers(p)
	c.validateChats(p)
	c.validateReports(p)
	c.validateQueries(p)
	c.validateClients(p)
	c.validateMistakes(p)
	if c.Prometheus.ExtendedPromQL && c.Prometheus.URL == "" {
		p.Add("prometheus.extended_promql", "the embedded database understands PromQL only", "set prometheus.url, or remove this")
	}
}

// validateDurations reports durations outside lists that are 0 or negative.
func (c *Config) validateDurations(p *Problems) {
	for key, d := range map[string]time.Duration{
		"collector.scrape_timeout": c.Collector.ScrapeTimeout, "prometheus.timeout": c.Prometheus.Timeout,
		"embedded.scrape_interval": c.Embedded.ScrapeInterval, "embedded.retention": c.Embedded.Retention,
		"delivery.give_up_after": c.Delivery.GiveUpAfter, "incidents.details.timeout": c.Incidents.Details.Timeout,
		"incidents.reconcile_interval": c.Incidents.ReconcileInterval, "incidents.reconcile_after": c.Incidents.ReconcileAfter,
	} {
		if d <= 0 {
			p.Add(key, fmt.Sprintf("%v is not above 0", d), "")
		}
	}
	for key, d := range map[string]time.Duration{
		"collector.timeout_offset": c.Collector.TimeoutOffset, "collector.ttl": c.Collector.TTL,
		"incidents.min_duration": c.Incidents.MinDuration, "incidents.reopen_within": c.Incidents.ReopenWithin,
		"incidents.chronic_after": c.Incidents.ChronicAfter, "incidents.digest_window": c.Incidents.DigestWindow,
		"incidents.expire_after": c.Incidents.ExpireAfter,
	} {
		notNegative(p, key, d)
	}
}

// validateLimits reports limits of webhooks that are too low.
func (c *Config) validateLimits(p *Problems) {
	if c.Webhook.MaxBodyBytes <= 0 {
		p.Add("webhook.max_body_bytes", fmt.Sprintf("%d is not above 0", c.Webhook.MaxBodyBytes), "")
	}
	for key, l := range map[string]struct{ is, least int }{
		"alerts": {c.Webhook.Limits.Alerts, 1}, "labels": {c.Webhook.Limits.Labels, 1},
		"annotations": {c.Webhook.Limits.Annotations, 1}, "label_bytes": {c.Webhook.Limits.LabelBytes, 16},
		"annotation_bytes": {c.Webhook.Limits.AnnotationBytes, 16}, "url_bytes": {c.Webhook.Limits.URLBytes, 16},
	} {
		if l.is < l.least {
			p.Add("webhook.limits."+key, fmt.Sprintf("is %d", l.is), fmt.Sprintf("write %d or more", l.least))
		}
	}
}

// weekdays are the names of days, in the order of time.Weekday.
var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// workingHours parses c.WorkingHours.
func (c *Config) workingHours(p *Problems) reporter.WorkingHours {
	w := c.WorkingHours
	out := reporter.WorkingHours{Zone: c.Zone}
	if w.Timezone != "" {
		out.Zone = checkZone(p, "working_hours.timezone", w.Timezone)
	}
	for n, day := range w.Days {
		at := slices.Index(weekdays, strings.ToLower(day))
		if at < 0 {
			p.Add(fmt.Sprintf("working_hours.days[%d]", n), safetext.Quote(day, 80)+" is not a day", "write "+strings.Join(weekdays, ", "))
			continue
		}
		out.Days = append(out.Days, time.Weekday(at))
	}
	for _, clock := range []struct {
		key, text string
		into      *time.Duration
	}{{"from", w.From, &out.From}, {"to", w.To, &out.To}} {
		t, err := time.Parse("15:04", clock.text)
		if err != nil && clock.text != "24:00" {
			p.Add("working_hours."+clock.key, safetext.Quote(clock.text, 80)+" is not a time of day", `write it as "09:00", in quotes`)
		}
		if *clock.into = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute; clock.text == "24:00" {
			*clock.into = 24 * time.Hour
		}
	}
	return out
}

func (c *Config) validateAlertmanagers(p *Problems) {
	tokens := map[string]secret.Text{}
	for n, a := range c.Alertmanagers {
		key := fmt.Sprintf("alertmanagers[%d]", n)
		if a.URL != "" {
			checkURL(p, key+".url", a.URL)
		}
		for m, u := range a.URLs {
			checkURL(p, fmt.Sprintf("%s.urls[%d]", key, m), u)
		}
		name := a.Cluster()
		switch {
		case p.Broken(key+".name", key+".url", key+".urls"):
		case a.Name != "" && !entryName.MatchString(a.Name):
			p.Add(key+".name", safetext.Quote(a.Name, 80)+" is not a name", nameRemedy)
		case name == reporter.ClusterGrafana:
			p.Add(key+".name", "is the name of the cluster of Grafana's contact points", "choose another name")
		case name == reporter.ClusterDefault && a.URL == "" && len(a.URLs) == 0:
			checkURL(p, key+".url", "")
		case name == reporter.ClusterDefault && !a.BearerToken.Empty():
			p.Add(key+".bearer_token", "is for clusters with a name only", "set webhook.bearer_token, or set name")
		case a.Silences && a.URL == "" && len(a.URLs) == 0:
			p.Add(key+".silences", "needs the cluster's API", "set url or urls")
		case !a.BearerToken.Empty() && !tokens[name].Empty() && tokens[name].Reveal() != a.BearerToken.Reveal():
			p.Add(key+".bearer_token", "differs from that of another entry of this name", "remove one of them")
		}
		if !a.BearerToken.Empty() {
			tokens[name] = a.BearerToken
		}
	}
}

func (c *Config) validateRoutes(p *Problems) {
	seen := map[string]bool{}
	for n, r := range c.Routes {
		key := fmt.Sprintf("routes[%d]", n)
		if len(r.Matchers) == 0 && !p.Broken(key+".matchers") {
			p.Add(key+".matchers", "is missing", "write matchers as in Alertmanager; settings for all other alerts are under incidents")
		} else if seen[r.Name] {
			p.Add(key+".name", "a second route has the name "+safetext.Quote(r.Name, 80), "rename or remove one")
		}
		seen[r.Name] = true
		if r.MinDuration != nil {
			notNegative(p, key+".min_duration", *r.MinDuration)
		}
		r.validateHeartbeat(p, key)
	}
}

// leastMissingAfter is the shortest missing_after: heartbeats are not checked more often.
const leastMissingAfter = time.Second

func (r Route) validateHeartbeat(p *Problems, key string) {
	const remedy = "write heartbeat: {missing_after: 5m}"
	_, given := p.at[key+".heartbeat"]
	switch {
	case given && r.Heartbeat == nil && !p.Broken(key+".heartbeat"):
		p.Add(key+".heartbeat", "is empty", remedy)
	case r.Heartbeat == nil:
		return
	case *r.Heartbeat.MissingAfter < leastMissingAfter:
		p.Add(key+".heartbeat.missing_after", fmt.Sprintf("%v is too short", *r.Heartbeat.MissingAfter),
			"write three times the repeat_interval of Alertmanager's route, and at least 1s")
	}
	if r.Ignore {
		p.Add(key+".ignore", "cannot be combined with heartbeat", "remove one of them")
	}
	if _, given := p.at[key+".min_duration"]; given {
		p.Add(key+".min_duration", "has no effect with heartbeat", "remove it")
	}
}

// validateClients checks that every file of an http_config can be read.
func (c *Config) validateClients(p *Problems) {
	checkFiles(p, "prometheus.http_config", c.Prometheus.HTTPConfig)
	for n, s := range c.Sources {
		checkFiles(p, fmt.Sprintf("sources[%d].http_config", n), s.HTTPConfig)
	}
	for n, a := range c.Alertmanagers {
		checkFiles(p, fmt.Sprintf("alertmanagers[%d].http_config", n), a.HTTPConfig)
	}
	for n, r := range c.Receivers {
		if r.Telegram != nil {
			checkFiles(p, fmt.Sprintf("receivers[%d].telegram.http_config", n), r.Telegram.HTTPConfig)
		}
		if r.HTTPPost != nil {
			checkFiles(p, fmt.Sprintf("receivers[%d].httppost.http_config", n), r.HTTPPost.HTTPConfig)
		}
	}
}

func checkFiles(p *Problems, key string, h HTTPClient) {
	if h.Config == nil {
		return
	}
	files(reflect.ValueOf(*h.Config), key, func(key, file string) {
		if err := readable(file); err != nil {
			p.Add(key, safetext.Quote(file, 200)+" cannot be read: "+err.Error(), "check path and permissions")
		}
	})
}

// files calls visit for each file in a block of prometheus/common.
func files(v reflect.Value, key string, visit func(key, file string)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			files(v.Elem(), key, visit)
		}
	case reflect.Struct:
		for n := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(n).Tag.Get("yaml"), ",")
			sub := key
			if name != "" {
				sub = join(key, name)
			}
			f := v.Field(n)
			switch {
			case !v.Type().Field(n).IsExported():
			case strings.HasSuffix(name, "_file") && f.Kind() == reflect.String && f.String() != "":
				visit(sub, f.String())
			case name == "files" && f.Kind() == reflect.Slice:
				for i := range f.Len() {
					visit(fmt.Sprintf("%s[%d]", sub, i), f.Index(i).String())
				}
			default:
				files(f, sub, visit)
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if v.Type().Elem().Kind() == reflect.Struct {
				files(v.MapIndex(k), join(key, k.String()), visit)
			}
		}
	}
}

// readable returns why a file cannot be read. It does not open pipes and sockets.
func readable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return withoutPath(err)
	case info.IsDir():
		return errors.New("is a directory")
	case !info.Mode().IsRegular():
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return withoutPath(err)
	}
	return f.Close()
}

func (c *Config) validateWeb(p *Problems) {
	if len(c.Web.ListenAddresses) == 0 {
		p.Add("web.listen_addresses", "is empty", `write ["`+defaultListen+`"]`)
	}
	for n, addr := range c.Web.ListenAddresses {
		key := fmt.Sprintf("web.listen_addresses[%d]", n)
		if p.from["web.listen_addresses"] != "" {
			key = "web.listen_addresses"
		}
		if text, remedy := checkListen(addr); text != "" {
			p.Add(key, text, remedy)
		} else if slices.Contains(c.Web.ListenAddresses[:n], addr) && !strings.HasSuffix(addr, ":0") {
			p.Add(key, safetext.Quote(addr, 80)+" is given twice", "remove one of them")
		}
	}
	for n, host := range c.Web.AllowedHosts {
		if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
			key := fmt.Sprintf("web.allowed_hosts[%d]", n)
			if p.from["web.allowed_hosts"] != "" {
				key = "web.allowed_hosts"
			}
			p.Add(key, safetext.Quote(host, 80)+" is not a host name or address", "write it without scheme and port, such as reporter.example.org")
		}
	}
	if c.Web.Pprof && c.Web.Username == "" && c.Web.BearerToken.Empty() && c.Web.ConfigFile == "" &&
		!p.Broken("web.username", "web.bearer_token", "web.config_file") && !p.given["web.bearer_token_file"] {
		p.Add("web.pprof", "needs credentials", "set web.username and web.password_file, or web.bearer_token_file")
	}
	pair := func(section, username string, noPassword bool) {
		user, password := section+".username", section+".password"
		switch {
		case p.Broken(user, password, password+"_file"):
		case username == "" && !noPassword:
			p.Add(password, "is set without username", "set "+user)
		case username != "" && noPassword && !p.given[password+"_file"]:
			p.Add(user, "is set without password", "set "+password+"_file")
		}
	}
	pair("web", c.Web.Username, c.Web.Password.Empty())
	pair("webhook", c.Webhook.Username, c.Webhook.Password.Empty())
}

// checkListen returns what is wrong with an address to listen on, and what to do.
func checkListen(addr string) (text, remedy string) {
	const example = `write "` + defaultListen + `"`
	shown := safetext.Quote(addr, 80)
	if _, rest, ok := strings.Cut(addr, "://"); ok {
		return shown + " is a URL", "write " + safetext.Line(strings.TrimRight(rest, "/"), 80)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		switch {
		case addr != "" && strings.Trim(addr, "0123456789") == "":
			return shown + " has no colon", "write \":" + safetext.Line(addr, 10) + "\", or \"127.0.0.1:" + safetext.Line(addr, 10) + "\""
		case strings.Count(addr, ":") > 1 && !strings.HasPrefix(addr, "["):
			return shown + " is not host:port", "write an IPv6 address in brackets: [::1]:9787"
		}
		return shown + " is not host:port", example + `, or ":9787" for every address`
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Sprintf("port %s of %s is not a number within 0..65535", safetext.Quote(port, 20), shown), example
	}
	if strings.ContainsAny(host, " /@") {
		return shown + " is not host:port", example
	}
	return "", ""
}

func (c *Config) validateSources(p *Problems) {
	seen := map[string]bool{}
	for n, s := range c.Sources {
		key := fmt.Sprintf("sources[%d]", n)
		checkName(p, key, s.Name, "source", seen)
		if s.Name == JournalSource {
			p.Add(key+".name", "is the name of the incident journal, which is always there", "choose another name")
		}
		if s.Kind == "" {
			p.Add(key+".kind", "is missing", "write one of "+strings.Join(sourceKinds, ", "))
			continue
		}
		switch {
		case !oneOf(p, key+".kind", s.Kind, sourceKinds):
		case s.Kind == kpi.KindPostgres && s.DSN.Empty():
			missingSecret(p, key+".dsn", !s.URL.Empty() || s.URLFile != "", "url")
		case s.Kind != kpi.KindPostgres && s.URL.Empty():
			missingSecret(p, key+".url", !s.DSN.Empty() || s.DSNFile != "", "dsn")
		case s.Kind == kpi.KindHTTP:
			checkURL(p, key+".url", s.URL.Reveal())
		}
		if s.MaxConnections < 1 || s.MaxConnections > maxConnections {
			p.Add(key+".max_connections", fmt.Sprintf("%d is outside 1..%d", s.MaxConnections, maxConnections), "")
		}
		notNegative(p, key+".timeout", s.Timeout)
		if s.Timezone != "" && s.Kind == kpi.KindPostgres {
			checkZone(p, key+".timezone", s.Timezone)
		}
		s.settingsOfOtherKinds(p, key)
	}
}

// validateDetails reports incidents.details with a source that cannot be used, or none.
func (c *Config) validateDetails(p *Problems) {
	d := c.Incidents.Details
	switch s, ok := c.Source(d.Source); {
	case d.Source == "" && strings.TrimSpace(d.SQL) != "":
		p.Add("incidents.details.sql", "is set without a source", "set incidents.details.source")
	case d.Source == "" || (!ok && !c.namesKnown(p, "sources", len(c.Sources))):
	case !ok:
		p.Add("incidents.details.source", "source "+safetext.Quote(d.Source, 80)+" is not configured",
			didYouMean(d.Source, c.sourceNames(kpi.KindPostgres)))
	case s.Kind != kpi.KindPostgres && !p.Broken("sources"):
		p.Add("incidents.details.source", fmt.Sprintf("source %q is of kind %s, want postgres", s.Name, s.Kind),
			didYouMean("", c.sourceNames(kpi.KindPostgres)))
	}
}

// settingsOfOtherKinds reports settings that would be ignored.
func (s Source) settingsOfOtherKinds(p *Problems, key string) {
	for _, setting := range []struct{ name, kind, remedy string }{
		{"max_connections", kpi.KindPostgres, "remove it"},
		{"timezone", kpi.KindPostgres, "remove it"},
		{"timeout", kpi.KindHTTP, "remove it; the queries of this source have a timeout of their own"},
		{"http_config", kpi.KindHTTP, "remove it"},
	} {
		if _, given := p.at[key+"."+setting.name]; given && s.Kind != setting.kind && slices.Contains(sourceKinds, s.Kind) {
			p.Add(key+"."+setting.name, "is for sources of kind "+setting.kind, setting.remedy)
		}
	}
}

func (c *Config) sourceNames(kind string) []string {
	var names []string
	for _, s := range c.Sources {
		if s.Kind == kind {
			names = append(names, s.Name)
		}
	}
	return names
}

// missingSecret reports that a source or receiver has no secret. hasOther tells that other, a setting of another kind, is set
// instead.
func missingSecret(p *Problems, key string, hasOther bool, other string) {
	if p.Broken(key, key+"_file") || p.given[key+"_file"] {
		return
	}
	name := key[strings.LastIndex(key, ".")+1:]
	text := "is missing"
	if hasOther {
		text += ", " + other + " is for sources of another kind"
	}
	p.Add(key, text, "set "+name+"_file, "+name+" or an environment variable")
}

// namesKnown tells whether the names of all entries of a list could be read, so that any other name is wrong.
func (c *Config) namesKnown(p *Problems, list string, entries int) bool {
	if p.broken[list] {
		return false
	}
	for n := range entries {
		entry := fmt.Sprintf("%s[%d]", list, n)
		if p.broken[entry] || p.broken[entry+".name"] {
			return false
		}
	}
	return true
}

func (c *Config) validateReceivers(p *Problems) {
	seen := map[string]bool{}
	for n, r := range c.Receivers {
		key := fmt.Sprintf("receivers[%d]", n)
		checkName(p, key, r.Name, "receiver", seen)
		kinds := r.Kinds()
		switch {
		case len(kinds) == 0:
			p.Add(key, "has no kind", "add telegram:, httppost: or terminal: {}")
		case len(kinds) > 1:
			p.Add(key, "has more than one kind, "+strings.Join(kinds, " and "), "write one receiver for each")
		case r.Telegram != nil:
			r.Telegram.validate(p, key+".telegram")
		case r.HTTPPost != nil:
			r.HTTPPost.validate(p, key+".httppost")
		}
	}
	c.validateReceiverNames(p, seen)
}

// validateReceiverNames reports unknown and repeated names in settings that list receivers. known are the names of receivers.
func (c *Config) validateReceiverNames(p *Problems, known map[string]bool) {
	have := slices.Sorted(maps.Keys(known))
	names := func(key string, list []string) {
		if p.emptied[key] {
			p.Add(key, "is empty", "list receivers, or remove it for the default")
		}
		for n, name := range list {
			entry := fmt.Sprintf("%s[%d]", key, n)
			if p.from[key] != "" {
				entry = key
			}
			switch {
			case slices.Contains(list[:n], name):
				p.Add(entry, "receiver "+safetext.Quote(name, 80)+" is given twice", "remove one of them")
			case !known[name] && c.namesKnown(p, "receivers", len(c.Receivers)):
				p.Add(entry, "receiver "+safetext.Quote(name, 80)+" is not configured", didYouMean(name, have))
			}
		}
	}
	names("incidents.receivers", c.Incidents.Receivers)
	for n, r := range c.Routes {
		names(fmt.Sprintf("routes[%d].receivers", n), r.Receivers)
	}
	for n, r := range c.Reports {
		names(fmt.Sprintf("reports[%d].receivers", n), r.Receivers)
	}
	if f := c.Delivery.FallbackReceiver; f != "" && !known[f] && c.namesKnown(p, "receivers", len(c.Receivers)) {
		p.Add("delivery.fallback_receiver", "receiver "+safetext.Quote(f, 80)+" is not configured", didYouMean(f, have))
	}
}

func (t *Telegram) validate(p *Problems, key string) {
	token := t.BotToken.Reveal()
	tokenKey := key + ".bot_token"
	if t.BotTokenFile != "" {
		tokenKey += "_file"
	}
	switch {
	case token == "":
		missingSecret(p, key+".bot_token", false, "")
	case !botToken.MatchString(token):
		p.Add(tokenKey, "is not a bot token", "copy it whole from @BotFather; it looks like 123456:ABC-def")
	case t.APIURL == "" && len(token) < 20:
		p.Add(tokenKey, "is too short for a bot token of Telegram", "copy it whole from @BotFather")
	}
	switch {
	case t.ChatID == "":
		p.Add(key+".chat_id", "is missing", "write the chat's id, such as \"-1001234567890\"")
	case !chatID.MatchString(t.ChatID):
		remedy := "write a number such as \"-1001234567890\", or \"@name\" of a public group or channel"
		if _, name, ok := strings.Cut(t.ChatID, "t.me/"); ok && chatID.MatchString("@"+name) {
			remedy = "write \"@" + name + "\""
		} else if chatID.MatchString("@" + t.ChatID) {
			remedy = "write \"@" + t.ChatID + "\" or a number"
		}
		p.Add(key+".chat_id", safetext.Quote(t.ChatID, 60)+" is not a chat id", remedy)
	}
	if t.ThreadID < 0 {
		p.Add(key+".thread_id", fmt.Sprintf("is %d", t.ThreadID), "write the topic's id, or 0 for none")
	}
	if t.APIURL != "" {
		checkURL(p, key+".api_url", t.APIURL)
	}
}

// sameConnectionOfBots reports receivers that share a bot and differ in its connection, because the updates of a bot are received
// through one connection.
func (c *Config) sameConnectionOfBots(p *Problems) {
	apiURL := func(r Receiver) string {
		return cmp.Or(strings.TrimRight(r.Telegram.APIURL, "/"), "https://api.telegram.org")
	}
	first := map[string]int{} // by token
	for n, r := range c.Receivers {
		if r.Telegram == nil || r.Telegram.BotToken.Reveal() == "" {
			continue
		}
		m, ok := first[r.Telegram.BotToken.Reveal()]
		if !ok {
			first[r.Telegram.BotToken.Reveal()] = n
			continue
		}
		key, other := fmt.Sprintf("receivers[%d].telegram.", n), c.Receivers[m]
		const remedy = "use the same for both, or remove telegram.listen, which receives the updates of a bot through one connection"
		if apiURL(r) != apiURL(other) {
			p.Add(key+"api_url", "differs from that of receiver "+safetext.Quote(other.Name, 60)+" with the same bot", remedy)
		}
		if !reflect.DeepEqual(r.Telegram.HTTPConfig.Value(), other.Telegram.HTTPConfig.Value()) {
			p.Add(key+"http_config", "differs from that of receiver "+safetext.Quote(other.Name, 60)+" with the same bot", remedy)
		}
	}
}

func (c *Config) validateChats(p *Problems) {
	if c.Telegram.Listen && !p.Broken("receivers") && !slices.ContainsFunc(c.Receivers, func(r Receiver) bool { return r.Telegram != nil }) {
		p.Add("telegram.listen", "no receiver is in Telegram", "add a receiver with telegram:, or remove this")
	}
	if c.Telegram.Listen && !p.Broken("receivers") {
		c.sameConnectionOfBots(p)
	}
	for n, u := range c.Telegram.Users {
		key := fmt.Sprintf("telegram.users[%d]", n)
		switch {
		case p.Broken(key+".id", key):
		case !p.isSet(key + ".id"):
			p.Add(key+".id", "is missing", "write the person's id, a number, with which the bot answers people who may not act")
		case u.ID <= 0:
			p.Add(key+".id", fmt.Sprintf("%d is not a person's id", u.ID), "write a number above 0; those of groups are negative")
		case slices.ContainsFunc(c.Telegram.Users[:n], func(v User) bool { return v.ID == u.ID }):
			p.Add(key+".id", fmt.Sprintf("%d is given twice", u.ID), "remove one of them")
		}
	}
}

func (h *HTTPPost) validate(p *Problems, key string) {
	if h.URL.Empty() {
		missingSecret(p, key+".url", false, "")
	}
	notNegative(p, key+".timeout", h.Timeout)
}

func (c *Config) validateReports(p *Problems) {
	seen := map[string]bool{}
	for n, r := range c.Reports {
		key := fmt.Sprintf("reports[%d]", n)
		checkName(p, key, r.Name, "report", seen)
		if r.Timezone != "" {
			checkZone(p, key+".timezone", r.Timezone)
		}
	}
}

func (c *Config) validateQueries(p *Problems) {
	names := map[string]bool{}
	for n, q := range c.Queries {
		checkEntry(p, fmt.Sprintf("queries[%d].name", n), q.Name, "query", names)
	}
}

// checkEntry reports the name of an entry if it is missing or used twice.
func checkEntry(p *Problems, key, name, what string, seen map[string]bool) {
	switch {
	case name == "":
		p.Add(key, "is missing", "give the "+what+" a name")
	case seen[name]:
		p.Add(key, "a second "+what+" has the name "+safetext.Quote(name, 80), "rename or remove one")
	}
	seen[name] = true
}

// checkName reports the name of an entry if it has a wrong form, is missing or used twice.
func checkName(p *Problems, entry, name, what string, seen map[string]bool) {
	key := entry + ".name"
	if name != "" && !entryName.MatchString(name) {
		p.Add(key, safetext.Quote(name, 80)+" is not a name", nameRemedy)
	}
	checkEntry(p, key, name, what, seen)
}

// notZones are names in the zone directory of some machines that are not a fixed zone. Of the directories there, right/ has zones
// with leap seconds, which Go's clock does not have, and posix/ is a copy of the others.
var notZones = []string{"Local", "localtime", "posixrules", "Factory"}

// checkZone returns the IANA zone of that name, or reports that there is none and returns UTC.
func checkZone(p *Problems, key, name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || slices.ContainsFunc(notZones, func(s string) bool { return strings.EqualFold(s, name) }) ||
		strings.HasPrefix(name, "right/") || strings.HasPrefix(name, "posix/") {
		p.Add(key, safetext.Quote(name, 60)+" is not an IANA time zone", "write one such as Asia/Taipei or UTC")
		return time.UTC
	}
	return zone
}

// checkURL reports what is not an http or https URL. It does not show it, because it may contain a password.
func checkURL(p *Problems, key, raw string) {
	if raw == "" {
		p.Add(key, "is missing", "write an http or https URL")
		return
	}
	u, err := url.Parse(raw)
	port := ""
	if err == nil {
		port = u.Port()
	}
	n, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		p.Add(key, "is not a URL", "write it as http://host:port")
	case u.Scheme != "http" && u.Scheme != "https":
		p.Add(key, "is not an http or https URL", "begin it with http:// or https://")
	case u.Hostname() == "":
		p.Add(key, "has no host", "write it as http://host:port")
	case strings.HasSuffix(u.Host, ":"):
		p.Add(key, "has a colon and no port after the host", "write it as http://host:port")
	case port != "" && (portErr != nil || n == 0):
		p.Add(key, "has a port outside 1..65535", "")
	}
}

func notNegative(p *Problems, key string, d time.Duration) {
	if d < 0 {
		p.Add(key, fmt.Sprintf("%v is negative", d), "")
	}
}

// oneOf reports a value that is not one of words; it returns whether the value is right.
func oneOf(p *Problems, key, value string, words []string) bool {
	if slices.Contains(words, value) {
		return true
	}
	remedy := "write one of " + strings.Join(words, ", ")
	if near := suggest(value, words); len(near) == 1 {
		remedy = "did you mean " + near[0] + "?"
	}
	p.Add(key, "is "+safetext.Quote(value, 60), remedy)
	return false
}

// Source returns the source of that name.
func (c *Config) Source(name string) (Source, bool) {
	for _, s := range c.Sources {
		if s.Name == name {
			return s, true
		}
	}
	return Source{}, false
}

package config

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// EnvConfigFile names the variable that holds the path of the configuration file.
const EnvConfigFile = EnvPrefix + "_CONFIG_FILE"

// env has the environment variables with our prefix, and the names that settings have.
type env struct {
	values map[string]string
	known  map[string]bool // names that lookup was called with
}

// environment selects the variables with our prefix from NAME=value pairs. An empty one counts as not set.
func environment(environ []string) *env {
	e := &env{values: map[string]string{}, known: map[string]bool{EnvConfigFile: true}}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(name, EnvPrefix+"_") {
			e.values[name] = value
		}
	}
	return e
}

func (e *env) lookup(name string) (string, bool) {
	e.known[name] = true
	value := e.values[name]
	return value, value != ""
}

// override sets every setting outside lists whose variable is set.
func (e *env) override(v *viper.Viper, p *Problems) {
	root := reflect.TypeFor[Config]()
	for _, viperKey := range slices.Sorted(maps.Keys(defaults())) {
		key := strings.ReplaceAll(viperKey, delimiter, ".")
		name := EnvPrefix + "_" + envName(key)
		text, ok := e.lookup(name)
		if !ok {
			continue
		}
		value := reflect.New(fieldType(root, key)).Elem()
		wrong, remedy := "", ""
		if value.Kind() == reflect.Slice {
			for part := range strings.SplitSeq(text, ",") {
				value.Set(reflect.Append(value, reflect.ValueOf(strings.TrimSpace(part))))
			}
		} else {
			wrong, remedy = scalar(text, "", value, key)
		}
		p.from[key] = "environment variable " + name
		if wrong != "" {
			p.broken[key] = true
			p.list = append(p.list, p.locate(key, wrong, remedy))
			continue
		}
		v.Set(viperKey, value.Interface())
		// The file's value is not used, so that problems of this key are not located there.
		delete(p.at, key)
	}
}

// fieldType returns the type of the setting at a dotted key.
func fieldType(t reflect.Type, key string) reflect.Type {
	for part := range strings.SplitSeq(key, ".") {
		fields := map[string]reflect.StructField{}
		structFields(t, fields)
		t = fields[part].Type
	}
	return t
}

// kubernetes are the variables that Kubernetes sets in each pod for a Service whose name begins like ours:
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var kubernetes = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)

// reportUnknown reports variables with our prefix that belong to no setting. It shows no values, because they may be secrets.
func (e *env) reportUnknown(p *Problems) {
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		link := strings.HasSuffix(name, "_PORT") && strings.Contains(e.values[name], "://")
		if e.known[name] || link || kubernetes.MatchString(name) {
			continue
		}
		remedy := "unset it"
		if near := suggest(name, slices.Sorted(maps.Keys(e.known))); len(near) > 0 {
			remedy = "did you mean " + strings.Join(near, " or ") + "?"
		}
		p.list = append(p.list, Problem{Source: "environment variable " + name, Text: "no setting has this name", Remedy: remedy})
	}
}

var notEnvName = regexp.MustCompile(`[^A-Z0-9]+`)

func envName(s string) string { return notEnvName.ReplaceAllString(strings.ToUpper(s), "_") }

// readSecrets reads every secret that has a file or, in a list, an environment variable.
func (c *Config) readSecrets(ctx context.Context, e *env, p *Problems) {
	read := func(key string, into *secret.Text, file string) {
		if file == "" || p.Broken(key) {
			return
		}
		if !into.Empty() {
			other := key[strings.LastIndex(key, ".")+1:]
			if from := p.from[key]; from != "" {
				other = from
			}
			p.Add(key+"_file", "is set beside "+other, "keep one of them")
			return
		}
		b, err := readFile(ctx, file, maxSecret)
		if err != nil {
			p.Add(key+"_file", fmt.Sprintf("%s: %v", file, withoutPath(err)), "")
			return
		}
		text := strings.TrimSpace(string(b))
		if text == "" {
			p.Add(key+"_file", fmt.Sprintf("%s is empty", file), "write the secret into it")
		}
		*into = secret.New(text)
	}
	owner := map[string]string{}
	entry := func(list string, n int, name, section, key string, into *secret.Text, file string) {
		path := fmt.Sprintf("%s[%d].%s%s", list, n, section, key)
		variable := EnvPrefix + "_" + envName(list) + "_" + envName(name) + "_" + envName(key)
		value, ok := e.lookup(variable)
		if !ok {
			read(path, into, file)
			return
		}
		if other, taken := owner[variable]; taken && other != name {
			p.Add(fmt.Sprintf("%s[%d].name", list, n), fmt.Sprintf("shares the environment variable %s with %q", variable, other), "rename one")
		}
		owner[variable] = name
		p.from[path] = "environment variable " + variable
		*into = secret.New(value)
	}
	read("state.dsn", &c.State.DSN, c.State.DSNFile)
	read("web.bearer_token", &c.Web.BearerToken, c.Web.BearerTokenFile)
	read("web.password", &c.Web.Password, c.Web.PasswordFile)
	read("webhook.bearer_token", &c.Webhook.BearerToken, c.Webhook.BearerTokenFile)
	read("webhook.password", &c.Webhook.Password, c.Webhook.PasswordFile)
	for n := range c.Sources {
		s := &c.Sources[n]
		if s.Kind == kpi.KindPostgres {
			entry("sources", n, s.Name, "", "dsn", &s.DSN, s.DSNFile)
		} else {
			entry("sources", n, s.Name, "", "url", &s.URL, s.URLFile)
		}
	}
	for n := range c.Alertmanagers {
		if a := &c.Alertmanagers[n]; a.Name != "" {
			entry("alertmanagers", n, a.Name, "", "bearer_token", &a.BearerToken, a.BearerTokenFile)
		}
	}
	for n, r := range c.Receivers {
		if r.Telegram != nil {
			entry("receivers", n, r.Name, "telegram.", "bot_token", &r.Telegram.BotToken, r.Telegram.BotTokenFile)
		}
		if r.HTTPPost != nil {
			entry("receivers", n, r.Name, "httppost.", "url", &r.HTTPPost.URL, r.HTTPPost.URLFile)
			entry("receivers", n, r.Name, "httppost.", "secret", &r.HTTPPost.Secret, r.HTTPPost.SecretFile)
		}
	}
}

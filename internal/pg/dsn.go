// Package pg reads DSNs and errors of PostgreSQL: a secret DSN or an error of pgx comes in, the configuration of a pool or an error
// text without secrets goes out.
package pg

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// Config is a parsed DSN. Settings of the session are separate from Pool, because a pooler such as PgBouncer refuses them as startup
// parameters: they are set in each transaction.
type Config struct {
	Pool *pgxpool.Config
	// Settings are the run-time parameters of the DSN and of its options, except TimeZone, sorted by name.
	Settings []Setting
	TimeZone string // of the DSN; "" if it has none
}

// Setting is a run-time parameter of PostgreSQL.
type Setting struct{ Name, Value string }

// defaultConnectTimeout is for a DSN without connect_timeout.
const defaultConnectTimeout = 3 * time.Second

const wantDSN = "want postgres://user:password@host:port/database or host=… user=… password=… dbname=…"

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// Parse reads a DSN. Its errors say what is wrong with it, and quote nothing of it but the names of known parameters.
func Parse(dsn secret.Text) (Config, error) {
	text := strings.TrimSpace(dsn.Reveal())
	switch {
	case text == "":
		return Config{}, errors.New("the DSN is empty: " + wantDSN)
	case strings.ContainsAny(text[:1], "\"'`<({[") || strings.HasPrefix(text, "“") || strings.HasPrefix(text, "‘"):
		return Config{}, errors.New("the DSN is in quotes or brackets: remove them")
	case strings.ContainsAny(text, "\r\n"):
		return Config{}, errors.New("the DSN has more than one line")
	}
	scheme, _, url := strings.Cut(text, "://")
	if url = url && !strings.ContainsAny(scheme, "= '"); url && scheme != "postgres" && scheme != "postgresql" {
		return Config{}, errors.New("the DSN has another scheme: " + wantDSN)
	}
	if !url && !strings.Contains(text, "=") {
		return Config{}, errors.New("the DSN is neither a URL nor a list of key=value: " + wantDSN)
	}
	pool, err := pgxpool.ParseConfig(text)
	if err != nil {
		return Config{}, errors.New(parseFault(err))
	}
	for name := range pool.ConnConfig.RuntimeParams {
		if !settingName.MatchString(name) {
			return Config{}, errors.New("the DSN has a key that is not the name of a setting: " + wantDSN)
		}
	}
	c := Config{Pool: pool}
	if err := c.takeSettings(); err != nil {
		return Config{}, err
	}
	if pool.ConnConfig.ConnectTimeout == 0 {
		pool.ConnConfig.ConnectTimeout = defaultConnectTimeout
	}
	// A pooler in transaction or statement mode gives each transaction another session, in which statements that were prepared in an
	// earlier one do not exist.
	pool.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	pool.ConnConfig.StatementCacheCapacity, pool.ConnConfig.DescriptionCacheCapacity = 0, 0
	return c, nil
}

// causes are the beginnings of pgx's errors about a DSN, after the DSN itself, and the texts that replace them.
var causes = []struct{ pgx, words string }{
	{"failed to parse as URL", "the DSN cannot be read as a URL: escape special characters of the password " +
		"(%40 for @), and check host and port"},
	{"failed to parse as keyword/value", "the DSN cannot be read as a list of key=value: put a value with spaces in single quotes"},
	{"invalid port", "the DSN's port is not a number from 1 to 65535, or the password has an @, : or / that is not escaped"},
	{"could not match", "the DSN has another number of ports than of hosts"},
	{"failed to configure TLS", "the DSN's sslmode, sslrootcert, sslcert or sslkey cannot be used"},
	{"unknown target_session_attrs", "the DSN's target_session_attrs is unknown " +
		"(have any, read-write, read-only, primary, standby, prefer-standby)"},
	{"invalid connect_timeout", "the DSN's connect_timeout is not a number of seconds"},
	{"failed to read service", "the DSN's service cannot be read from the service file"},
	{"invalid sslcertmode", "the DSN's sslcertmode is unknown (have disable, allow, require)"},
	{"unknown channel_binding", "the DSN's channel_binding is unknown (have disable, prefer, require)"},
	{"invalid require_auth", "the DSN's require_auth is unknown"},
	{"cannot parse pool_", "the DSN's pool settings cannot be used"},
	{"pool_", "the DSN's pool settings cannot be used"},
}

// parseFault replaces an error of pgx. It quotes the DSN first, so that only the beginning of the rest is compared.
func parseFault(err error) string {
	text := err.Error()
	if n := strings.LastIndex(text, "`: "); n >= 0 {
		text = text[n+len("`: "):]
	}
	for _, c := range causes {
		if strings.HasPrefix(text, c.pgx) {
			return c.words
		}
	}
	return "the DSN cannot be used: " + wantDSN
}

const clientEncoding = "client_encoding"

// takeSettings moves the settings out of the startup parameters, except application_name and client_encoding, which poolers
// accept.
func (c *Config) takeSettings() error {
	params := c.Pool.ConnConfig.RuntimeParams
	settings := map[string]string{}
	for name, value := range params {
		lower := strings.ToLower(name)
		switch lower {
		case "options":
			left, err := readOptions(value, settings)
			if err != nil {
				return err
			}
			if left == "" {
				delete(params, name)
			} else {
				params[name] = left
			}
			continue
		case "fallback_application_name":
			if params["application_name"] == "" {
				params["application_name"] = value
			}
		case "application_name":
			continue
		case clientEncoding: // it is always UTF8
		default:
			if _, both := settings[lower]; !both { // options override parameters, as in PostgreSQL
				settings[lower] = value
			}
		}
		delete(params, name)
	}
	if params["application_name"] == "" {
		params["application_name"] = "awoooi-reporter"
	}
	params[clientEncoding] = "UTF8"
	delete(settings, clientEncoding) // from the options
	c.TimeZone = settings["timezone"]
	delete(settings, "timezone")
	for name, value := range settings {
		c.Settings = append(c.Settings, Setting{name, value})
	}
	slices.SortFunc(c.Settings, func(a, b Setting) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// readOptions reads "-c name=value --name=value" as the server does, and returns the other words.
func readOptions(text string, into map[string]string) (left string, err error) {
	words := splitOptions(text)
	var rest []string
	for n := 0; n < len(words); n++ {
		word, pair := words[n], ""
		switch {
		case word == "-c" && n+1 < len(words):
			n++
			pair = words[n]
		case strings.HasPrefix(word, "-c") && len(word) > 2:
			pair = word[2:]
		case strings.HasPrefix(word, "--"):
			pair = word[2:]
		default:
			rest = append(rest, escapeOption(word))
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
		if !ok || !settingName.MatchString(name) {
			return "", errors.New("the DSN's options are not -c name=value")
		}
		into[name] = value
	}
	return strings.Join(rest, " "), nil
}

// splitOptions splits at white space; a backslash keeps the character after it.
func splitOptions(text string) []string {
	var words []string
	var word strings.Builder
	begun, escaped := false, false
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			begun, escaped = true, true
		case strings.ContainsRune(" \t\r\n\f\v", r):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

func escapeOption(word string) string {
	return strings.NewReplacer(`\`, `\\`, " ", `\ `, "\t", "\\\t").Replace(word)
}

// Statement returns a SELECT that sets the settings for the current transaction; "" without settings.
func Statement(settings ...Setting) string {
	if len(settings) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("SELECT ")
	for n, s := range settings {
		if n > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "set_config(%s, %s, true)", Quote(s.Name), Quote(s.Value))
	}
	return b.String()
}

// Quote makes a string constant of text that does not depend on standard_conforming_strings.
func Quote(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

var (
	prometheusPath   = regexp.MustCompile(`(/api/v1(/.*)?|/graph)/?$`)
	alertmanagerPath = regexp.MustCompile(`/api/v[12](/.*)?$`)
	botPath          = regexp.MustCompile(`/bot[0-9]+:`)
	// unexpanded matches variables of shells and template engines.
	unexpanded = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}|\{\{.*\}\}`)
)

// validateMistakes reports values that have the right form and cannot be intended.
func (c *Config) validateMistakes(p *Problems) {
	c.mistakenURLs(p)
	c.mistakenSecrets(p)
	for n, addr := range c.Web.ListenAddresses {
		for _, other := range c.Web.ListenAddresses[:n] {
			if addr != other && overlap(addr, other) {
				p.Add(fmt.Sprintf("web.listen_addresses[%d]", n), safetext.Quote(addr, 80)+" overlaps with "+safetext.Quote(other, 80),
					"remove one of them")
			}
		}
	}
	for key, user := range map[string]string{"web.username": c.Web.Username, "webhook.username": c.Webhook.Username} {
		if strings.Contains(user, ":") {
			p.Add(key, "has a colon, which basic authentication does not allow", "choose another name")
		}
	}
	for n, set := range c.KPISets {
		if slices.Contains(c.KPISets[:n], set) {
			p.Add(fmt.Sprintf("kpi_sets[%d]", n), "the set "+safetext.Quote(set, 80)+" is given twice", "remove one of them")
		}
	}
	if info, err := os.Stat(c.State.Path); c.State.DSN.Empty() && err == nil && !info.IsDir() {
		p.Add("state.path", safetext.Quote(c.State.Path, 200)+" is not a directory",
			"write the path of a directory; it is created if it does not exist")
	}
	for n, r := range c.Reports {
		key := fmt.Sprintf("reports[%d]", n)
		if _, given := p.at[key+".lookback"]; given && r.Months != 0 {
			p.Add(key+".lookback", fmt.Sprintf("has no effect beside lookback_months: %d", r.Months), "remove it, or set lookback_months: 0")
		}
	}
}

// mistakenURLs reports URLs of an API or a page instead of the server's, and URLs with parts that must not be copied into messages.
func (c *Config) mistakenURLs(p *Problems) {
	check := func(key, raw string, wrong func(u *url.URL) (text, remedy string)) {
		u, err := url.Parse(raw)
		if raw == "" || err != nil {
			return // reported elsewhere
		}
		if u.Fragment != "" {
			p.Add(key, "has a fragment, like the address of a page", "remove the # and what follows it")
			return
		}
		if text, remedy := wrong(u); text != "" {
			p.Add(key, text, remedy)
		}
	}
	ending := func(path *regexp.Regexp) func(u *url.URL) (string, string) {
		return func(u *url.URL) (string, string) {
			if at := path.FindString(u.Path); at != "" {
				return "ends in " + safetext.Quote(at, 60), "write the server's own address, without it"
			}
			return "", ""
		}
	}
	check("prometheus.url", c.Prometheus.URL, ending(prometheusPath))
	for n, a := range c.Alertmanagers {
		key := fmt.Sprintf("alertmanagers[%d]", n)
		check(key+".url", a.URL, ending(alertmanagerPath))
		for m, one := range a.URLs {
			sub := fmt.Sprintf("%s.urls[%d]", key, m)
			check(sub, one, ending(alertmanagerPath))
			if one == a.URL || slices.Contains(a.URLs[:m], one) {
				p.Add(sub, "is given twice", "remove one of them")
			}
		}
	}
	check("external_url", c.ExternalURL, func(u *url.URL) (string, string) {
		switch {
		case u.User != nil:
			return "has a user, which everyone in the chat would see", "remove it"
		case u.RawQuery != "" || u.ForceQuery:
			return "has a query, to which no path can be appended", "remove the ? and what follows it"
		}
		return "", ""
	})
	for n, r := range c.Receivers {
		if r.Telegram != nil {
			check(fmt.Sprintf("receivers[%d].telegram.api_url", n), r.Telegram.APIURL, func(u *url.URL) (string, string) {
				if botPath.MatchString(u.Path) {
					return "holds a token", "write the address of the Bot API server only, such as https://api.telegram.org"
				}
				return "", ""
			})
		}
	}
}

// mistakenSecrets reports secrets that contain a variable instead of a value, and those that cannot be sent in an HTTP header.
func (c *Config) mistakenSecrets(p *Problems) {
	check := func(key string, value secret.Text, file string, header bool) {
		if file != "" {
			key += "_file"
		}
		text := value.Reveal()
		switch {
		case p.from[key] == "" && unexpanded.MatchString(text):
			p.Add(key, "contains a variable, which is not expanded", "write the value to a file and set "+
				strings.TrimSuffix(key[strings.LastIndex(key, ".")+1:], "_file")+"_file to its path, or set an environment variable")
		case header && strings.ContainsFunc(text, unicode.IsControl):
			p.Add(key, "has a line break or another control character", "write it on one line")
		}
	}
	check("state.dsn", c.State.DSN, c.State.DSNFile, false)
	check("web.bearer_token", c.Web.BearerToken, c.Web.BearerTokenFile, true)
	check("web.password", c.Web.Password, c.Web.PasswordFile, true)
	check("webhook.bearer_token", c.Webhook.BearerToken, c.Webhook.BearerTokenFile, true)
	check("webhook.password", c.Webhook.Password, c.Webhook.PasswordFile, true)
	for n, s := range c.Sources {
		if s.Kind == kpi.KindPostgres {
			check(fmt.Sprintf("sources[%d].dsn", n), s.DSN, s.DSNFile, false)
		} else {
			check(fmt.Sprintf("sources[%d].url", n), s.URL, s.URLFile, false)
		}
	}
	for n, a := range c.Alertmanagers {
		check(fmt.Sprintf("alertmanagers[%d].bearer_token", n), a.BearerToken, a.BearerTokenFile, true)
	}
}

// overlap tells whether two addresses to listen on need the same port of the same interface.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && portA != "0" && (everywhere(hostA, hostB) || everywhere(hostB, hostA))
}

// everywhere tells whether host stands for all addresses of the family of other; "" and "::" stand for those of both families.
func everywhere(host, other string) bool {
	if host == "" || host == "::" {
		return true
	}
	ip, err := netip.ParseAddr(other)
	return host == "0.0.0.0" && (other == "" || (err == nil && ip.Is4()))
}

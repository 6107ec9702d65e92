package app

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/auth"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

const (
	// pagesArea is the area of the pages for auth.Logins.
	pagesArea = "pages"
	// generatedUser is the user of the generated credentials.
	generatedUser = "admin"
)

// access decides by origin, host name and credentials which requests are served. A reload replaces these settings.
type access struct {
	log       *slog.Logger
	webConfig string
	logins    *auth.Logins
	origins   *auth.Origins
	pages     atomic.Pointer[auth.Guard]
	webhook   atomic.Pointer[webhook.Config]
	generated auth.Guard      // for actions on pages, where no credentials are configured
	loopback  map[string]bool // addresses of loopback listeners; complete before the first request
}

func newAccess(c *config.Config, log *slog.Logger, reg prometheus.Registerer, now func() time.Time) *access {
	a := &access{
		log: log, webConfig: c.Web.ConfigFile, loopback: map[string]bool{},
		logins:    auth.NewLogins(log, reg, now, pagesArea, webhook.LoginArea),
		origins:   auth.NewOrigins(site(c), log, reg),
		generated: auth.Guard{Username: generatedUser, Password: secret.New(rand.Text())},
	}
	a.set(c)
	return a
}

// set makes requests follow c from now on.
func (a *access) set(c *config.Config) {
	a.pages.Store(pagesGuard(c))
	hook := webhookConfig(c, a.logins)
	a.webhook.Store(&hook)
	a.origins.SetSite(site(c))
}

func site(c *config.Config) auth.Site {
	machine, err := os.Hostname()
	if err != nil {
		machine = "" // without it, requests by this name are refused
	}
	return auth.Site{ExternalURL: c.ExternalURL, Machine: machine, AllowedHosts: c.Web.AllowedHosts}
}

// announce logs the generated credentials if none are configured. They are valid until the process ends.
func (a *access) announce() {
	if a.pages.Load().Open() && !hasUsers(a.webConfig) {
		a.log.Warn("no credentials are configured: actions on the pages need these, which are new at each start; "+
			"set web.username and web.password_file", "username", generatedUser, "password", a.generated.Password.Reveal())
	}
}

// addListener tells whether a listener is on the loopback, and notes it.
func (a *access) addListener(l net.Listener) (loopback bool) {
	addr, ok := l.Addr().(*net.TCPAddr)
	if loopback = ok && addr.IP.IsLoopback(); loopback {
		a.loopback[addr.String()] = true
	}
	return loopback
}

// byWebConfig tells whether web.config_file has authenticated the request, by a user or a client certificate.
func (a *access) byWebConfig(r *http.Request) bool {
	return hasUsers(a.webConfig) || (r.TLS != nil && len(r.TLS.VerifiedChains) > 0)
}

// protected tells whether a request that the pages serve is authenticated.
func (a *access) protected(r *http.Request) bool { return !a.pages.Load().Open() || a.byWebConfig(r) }

// exposed tells whether a request came through a loopback listener and needs no credentials: then only the loopback protects
// what it asks for.
func (a *access) exposed(guard *auth.Guard, r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && a.loopback[addr.String()] && guard.Open() && !a.byWebConfig(r)
}

// public wraps what needs no credentials.
func (a *access) public(h http.Handler) http.Handler {
	return a.origins.OwnHost(func(r *http.Request) bool { return a.exposed(&auth.Guard{}, r) }, h)
}

// forPages serves only requests with the credentials of the pages.
func (a *access) forPages(h http.Handler) http.Handler {
	return a.origins.OwnHost(func(r *http.Request) bool { return a.exposed(a.pages.Load(), r) },
		a.logins.Require(pagesArea, func() auth.Guard { return *a.pages.Load() }, h))
}

// forWebhook wraps the webhook, which checks credentials itself.
func (a *access) forWebhook(h http.Handler) http.Handler {
	return a.origins.OwnHost(func(r *http.Request) bool {
		c := a.webhook.Load()
		guard := c.Guard
		if own := c.Clusters[r.PathValue("cluster")]; !own.Open() {
			guard = own
		}
		return a.exposed(&guard, r)
	}, h)
}

// forActions serves only authenticated requests. If the pages are open to everyone, that needs the generated credentials.
// It is wrapped by forPages.
func (a *access) forActions(h http.Handler) http.Handler {
	authenticated := a.logins.Require(pagesArea, func() auth.Guard { return a.generated }, h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.protected(r) {
			h.ServeHTTP(w, r)
			return
		}
		authenticated.ServeHTTP(w, r)
	})
}

// hasUsers tells whether exporter-toolkit's file has users. Like the toolkit it reads the file at each request, so that a
// change of the users takes effect at once.
func hasUsers(file string) bool {
	if file == "" {
		return false
	}
	var c struct {
		Users map[string]string `yaml:"basic_auth_users"`
	}
	b, err := os.ReadFile(file)
	return err == nil && yaml.Unmarshal(b, &c) == nil && len(c.Users) > 0
}

// prepare has nothing to build; the commit sets the configuration.
func (a *access) prepare(c *config.Config) (change, error) {
	ch := unchanged()
	ch.commit = func() { a.set(c) }
	return ch, nil
}

// run does nothing: access works when requests come in.
func (a *access) run(context.Context) error { return nil }

func (a *access) close() {}

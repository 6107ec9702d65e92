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
	// pagesArea is the pages' among those of auth.Logins.
	pagesArea = "pages"
	// generatedUser is who may act on pages where no credentials are configured.
	generatedUser = "admin"
)

// access decides which requests are served: by origin, host name and credentials. A reload replaces what it goes by.
type access struct {
	log       *slog.Logger
	webConfig string
	logins    *auth.Logins
	origins   *auth.Origins
	pages     atomic.Pointer[auth.Guard]
	webhook   atomic.Pointer[auth.Guard]
	generated auth.Guard
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

// set takes another configuration.
func (a *access) set(c *config.Config) {
	a.pages.Store(pagesGuard(c))
	hook := webhookConfig(c, a.logins)
	a.webhook.Store(&hook.Guard)
	a.origins.SetSite(site(c))
}

func site(c *config.Config) auth.Site {
	machine, err := os.Hostname()
	if err != nil {
		machine = "" // it is then reached by other names only
	}
	return auth.Site{ExternalURL: c.ExternalURL, Machine: machine, AllowedHosts: c.Web.AllowedHosts}
}

// announce shows the generated credentials where there are no configured ones. They hold until the process ends.
func (a *access) announce() {
	if a.pages.Load().Open() && !hasUsers(a.webConfig) {
		a.log.Warn("no credentials are configured, actions on the pages take these until the next start; "+
			"set web.username and web.password_file for fixed ones", "username", generatedUser, "password", a.generated.Password.Reveal())
	}
}

// listens notes a listener.
func (a *access) listens(l net.Listener) {
	if addr, ok := l.Addr().(*net.TCPAddr); ok && addr.IP.IsLoopback() {
		a.loopback[addr.String()] = true
	}
}

// byWebConfig says whether web.config_file made the request show whose it is, by a user or a client certificate.
func (a *access) byWebConfig(r *http.Request) bool {
	return hasUsers(a.webConfig) || (r.TLS != nil && len(r.TLS.VerifiedChains) > 0)
}

// protected says whether a request for a page that is served had to be authenticated.
func (a *access) protected(r *http.Request) bool { return !a.pages.Load().Open() || a.byWebConfig(r) }

// exposed says whether a request came by a loopback listener and nothing but its being local protects what it asks for.
func (a *access) exposed(guard *auth.Guard, r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && a.loopback[addr.String()] && guard.Open() && !a.byWebConfig(r)
}

// public serves what needs no credentials.
func (a *access) public(h http.Handler) http.Handler {
	return a.origins.OwnHost(func(r *http.Request) bool { return a.exposed(&auth.Guard{}, r) }, h)
}

// forPages serves requests with the credentials of the pages.
func (a *access) forPages(h http.Handler) http.Handler {
	return a.origins.OwnHost(func(r *http.Request) bool { return a.exposed(a.pages.Load(), r) },
		a.logins.Require(pagesArea, func() auth.Guard { return *a.pages.Load() }, h))
}

// forWebhook serves requests to the webhook, which checks credentials itself.
func (a *access) forWebhook(h http.Handler) http.Handler {
	return a.origins.OwnHost(func(r *http.Request) bool { return a.exposed(a.webhook.Load(), r) }, h)
}

// forActions serves, among the requests that the pages serve, authenticated ones. Where the pages themselves are open, they
// need the generated credentials.
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

// hasUsers reads exporter-toolkit's file as the toolkit does, at each request: changes of the users take effect at once.
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

// prepare takes another configuration.
func (a *access) prepare(c *config.Config) (change, error) {
	ch := unchanged()
	ch.commit = func() { a.set(c) }
	return ch, nil
}

// run does nothing: access works when requests come in.
func (a *access) run(context.Context) error { return nil }

func (a *access) close() {}

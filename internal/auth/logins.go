package auth

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

const (
	// loginBurst is how many failed logins a client may make at once, and loginEvery how long it then waits for one more.
	loginBurst = 10
	loginEvery = 5 * time.Second
	// loginClients is how many clients with failed logins each of the two generations remembers. After the burst has
	// refilled, a forgotten client is the same as a remembered one.
	loginClients = 4096
)

// Verdict is what became of a login.
type Verdict int

// The verdicts. A throttled login was not compared with the credentials.
const (
	Admitted Verdict = iota
	Unauthorized
	Throttled
)

// Logins checks credentials, and logs, counts and slows down those that fail. Each client has its own budget of failures, so
// that one cannot keep others out; no request waits, and memory is bounded. A nil Logins only compares.
type Logins struct {
	log    *slog.Logger
	now    func() time.Time
	failed *prometheus.CounterVec

	mu       sync.Mutex
	recent   map[client]*budget
	previous map[client]*budget
}

// client is who spends a budget.
type client struct {
	area string
	from string
}

// budget is what a client has left. Its mutex is held while credentials are compared: otherwise parallel guesses would
// spend the same token.
type budget struct {
	mu   sync.Mutex
	left *rate.Limiter
}

// NewLogins makes the checks for the areas that are guarded, such as "pages".
func NewLogins(log *slog.Logger, reg prometheus.Registerer, now func() time.Time, areas ...string) *Logins {
	l := &Logins{
		log: log, now: now, recent: map[client]*budget{},
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_failed_logins_total",
			Help: "Requests with wrong credentials (result refused), and those not checked since their client had sent too many (throttled).",
		}, []string{"area", "result"}),
	}
	for _, area := range areas {
		l.failed.WithLabelValues(area, "refused")
		l.failed.WithLabelValues(area, "throttled")
	}
	reg.MustRegister(l.failed)
	return l
}

// Check compares the request's credentials with those of the guard of an area. A request without credentials is
// unauthorized, but no failed login: browsers ask without them first.
func (l *Logins) Check(area string, g Guard, r *http.Request) Verdict {
	switch {
	case g.Open():
		return Admitted
	case r.Header.Get("Authorization") == "":
		return Unauthorized
	case l == nil && g.Admits(r):
		return Admitted
	case l == nil:
		return Unauthorized
	}
	b := l.budget(client{area, clientOf(r)})
	b.mu.Lock()
	defer b.mu.Unlock()
	now := l.now()
	if b.left.TokensAt(now) < 1 {
		l.failed.WithLabelValues(area, "throttled").Inc()
		return Throttled
	}
	if g.Admits(r) {
		return Admitted
	}
	b.left.AllowN(now, 1)
	l.failed.WithLabelValues(area, "refused").Inc()
	// The name that was given is not logged: people type passwords there.
	name, _, _ := r.BasicAuth()
	l.log.Warn("login failed", "area", area, "from", clientOf(r), "path", cut(r.URL.Path),
		"known_user", name != "" && equal(name, g.Username), "throttled_now", b.left.TokensAt(now) < 1)
	return Unauthorized
}

// budget finds or makes the budget of a client. When a generation is full it becomes the previous one, whose clients are
// forgotten when the next is full.
func (l *Logins) budget(c client) *budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.recent[c]
	if b != nil {
		return b
	}
	if b = l.previous[c]; b == nil {
		b = &budget{left: rate.NewLimiter(rate.Every(loginEvery), loginBurst)}
	}
	if len(l.recent) >= loginClients {
		l.previous, l.recent = l.recent, map[client]*budget{}
	}
	l.recent[c] = b
	return b
}

// clientOf names who sent a request: its address, or for IPv6 the /64 that one subscriber has. Behind a proxy on this host
// all requests come from loopback; there the address that the proxy added last distinguishes them. It is never a credential:
// who forges it gains a budget of guesses.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "unknown"
	}
	if ip.IsLoopback() {
		forwarded := r.Header.Values("X-Forwarded-For")
		if len(forwarded) == 0 {
			return network(ip)
		}
		last := forwarded[len(forwarded)-1]
		if via, err := netip.ParseAddr(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])); err == nil {
			return "proxy for " + network(via)
		}
	}
	return network(ip)
}

func network(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return p.String()
}

// Refuse answers a request that was not admitted. busy is the status for a throttled one: 429, or 503 where the client
// retries only that, as Alertmanager does.
func (v Verdict) Refuse(w http.ResponseWriter, busy int) (code int, reason string) {
	if v == Throttled {
		w.Header().Set("Retry-After", strconv.Itoa(int(loginEvery.Seconds())))
		return busy, "too many failed logins, try again later"
	}
	Challenge(w.Header())
	return http.StatusUnauthorized, "unauthorized"
}

// Require serves only requests that the guard of the moment admits.
func (l *Logins) Require(area string, guard func() Guard, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := l.Check(area, guard(), r); v != Admitted {
			code, reason := v.Refuse(w, http.StatusTooManyRequests)
			http.Error(w, reason, code)
			return
		}
		next.ServeHTTP(w, r)
	})
}

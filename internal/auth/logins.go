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
	// loginClients is the number of clients with failed logins in each of two generations. A client that is dropped has a full
	// budget again, as it would have after loginBurst times loginEvery.
	loginClients = 4096
)

// Verdict is the result of a login.
type Verdict int

// The verdicts. A throttled login was not compared with the credentials.
const (
	Admitted Verdict = iota
	Unauthorized
	Throttled
)

// Logins checks credentials, and logs, counts and throttles those that fail. Each client has its own budget of failures, so that one
// cannot lock out others; no request waits, and memory is bounded. A nil Logins only compares.
type Logins struct {
	log    *slog.Logger
	now    func() time.Time
	failed *prometheus.CounterVec

	mu       sync.Mutex
	recent   map[client]*budget // guarded by mu
	previous map[client]*budget // guarded by mu
}

// client identifies who sends a request to an area.
type client struct {
	area string
	from string
}

// budget is the number of failures that a client has left. Its mutex is held while credentials are compared, so that parallel guesses
// cannot use the same token.
type budget struct {
	mu   sync.Mutex
	left *rate.Limiter
}

// NewLogins returns Logins for the areas that have credentials, such as "pages", and registers their metric.
func NewLogins(log *slog.Logger, reg prometheus.Registerer, now func() time.Time, areas ...string) *Logins {
	l := &Logins{
		log: log, now: now, recent: map[client]*budget{},
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_failed_logins_total",
			Help: "Requests with wrong credentials (refused), and requests not checked because their client had too many of these (throttled).",
		}, []string{"area", "result"}),
	}
	for _, area := range areas {
		l.failed.WithLabelValues(area, "refused")
		l.failed.WithLabelValues(area, "throttled")
	}
	reg.MustRegister(l.failed)
	return l
}

// Check compares the request's credentials with those of an area's guard. A request without credentials is unauthorized, but not a
// failed login: browsers first send requests without.
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
	// The username is not logged, because people type passwords there by mistake.
	name, _, _ := r.BasicAuth()
	l.log.Warn("login failed", "area", area, "from", clientOf(r), "path", cut(r.URL.Path),
		"known_user", name != "" && equal(name, g.Username), "throttled_now", b.left.TokensAt(now) < 1)
	return Unauthorized
}

// budget returns the budget of a client. When the recent generation is full it becomes the previous one, which is dropped when the
// next is full.
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

// clientOf returns the address of a request's client, for IPv6 its /64, which is what one subscriber has. Requests through a proxy on
// this host all come from the loopback: there it is the last address in X-Forwarded-For, which the proxy added. A forged one only
// gains another budget of guesses.
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

// Refuse sets the headers for a request that is not admitted, and returns the status and text of the answer. busy is the status of a
// throttled request: 429, or 503 for clients such as Alertmanager, which retry only 5xx.
func (v Verdict) Refuse(w http.ResponseWriter, busy int) (code int, reason string) {
	if v == Throttled {
		w.Header().Set("Retry-After", strconv.Itoa(int(loginEvery.Seconds())))
		return busy, "too many failed logins, try again later"
	}
	Challenge(w.Header())
	return http.StatusUnauthorized, "unauthorized"
}

// Require serves only requests that the current guard admits.
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

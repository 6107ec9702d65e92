package auth

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Site has the addresses by which clients reach the program.
type Site struct {
	ExternalURL  string   // "" if it is not known
	Machine      string   // the host's own name
	AllowedHosts []string // further names, without port
}

// Origins refuses requests that pages of other sites make a browser send: writes from another origin and, on a loopback listener
// without credentials, requests for a foreign host name. By the latter a page could read from here once its own name resolves to
// 127.0.0.1 (DNS rebinding).
type Origins struct {
	log     *slog.Logger
	site    atomic.Pointer[checkedSite]
	refused *prometheus.CounterVec
}

type checkedSite struct {
	crossOrigin *http.CrossOriginProtection
	names       map[string]bool
}

// NewOrigins returns the checks for a site, and registers their metric.
func NewOrigins(s Site, log *slog.Logger, reg prometheus.Registerer) *Origins {
	o := &Origins{log: log, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "awoooi_reporter_requests_refused_total",
		Help: "Requests refused because they came from a page of another site (cross_origin), or were for a foreign host name (host).",
	}, []string{"reason"})}
	for _, reason := range []string{"cross_origin", "host"} {
		o.refused.WithLabelValues(reason)
	}
	reg.MustRegister(o.refused)
	o.SetSite(s)
	return o
}

// SetSite replaces the addresses of the site.
func (o *Origins) SetSite(s Site) {
	c := &checkedSite{crossOrigin: http.NewCrossOriginProtection(), names: map[string]bool{"localhost": true}}
	add := func(name string) {
		if name = canonical(name); name != "" {
			c.names[name] = true
		}
	}
	add(s.Machine)
	short, _, _ := strings.Cut(s.Machine, ".")
	add(short)
	for _, name := range s.AllowedHosts {
		add(name)
	}
	if u, err := url.Parse(s.ExternalURL); err == nil && u.Host != "" {
		add(u.Hostname())
		// A proxy may send another Host header than the address that the browser shows.
		if err := c.crossOrigin.AddTrustedOrigin(originOf(u)); err != nil {
			o.log.Warn("external_url is not trusted as an origin", "err", err)
		}
	}
	o.site.Store(c)
}

// originOf returns the origin of a URL as browsers send it: in lower case, without a default port.
func originOf(u *url.URL) string {
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && (scheme != "http" || port != "80") && (scheme != "https" || port != "443") {
		host += ":" + port
	}
	return scheme + "://" + host
}

// SameOrigin refuses writes that a browser sends for a page of another origin. Wrap it around all handlers: one without it could be
// called by every page that the operator visits.
func (o *Origins) SameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := o.site.Load().crossOrigin.Check(r); err != nil {
			o.refuse(w, r, "cross_origin", http.StatusForbidden,
				"refused: the request comes from a page of another site. Behind a proxy, set external_url to the address in the browser.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// OwnHost refuses requests for foreign host names, if open tells that nothing else protects the request.
func (o *Origins) OwnHost(open func(r *http.Request) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open(r) && !o.site.Load().own(r.Host) {
			o.refuse(w, r, "host", http.StatusMisdirectedRequest,
				"refused: the Host header names another host. Add the name to web.allowed_hosts, or set external_url.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (o *Origins) refuse(w http.ResponseWriter, r *http.Request, reason string, code int, text string) {
	o.refused.WithLabelValues(reason).Inc()
	o.log.Warn("request refused", "reason", reason, "method", r.Method, "path", cut(r.URL.Path), "host", cut(r.Host),
		"origin", cut(r.Header.Get("Origin")), "from", r.RemoteAddr)
	http.Error(w, text, code)
}

// cut bounds text of a request before it is logged.
func cut(s string) string { return s[:min(len(s), 200)] }

// own tells whether a Host header has one of our names. A request without one is HTTP/1.0, which browsers do not use.
func (s *checkedSite) own(host string) bool {
	if host == "" {
		return true
	}
	host = canonical(host)
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return true
	}
	return s.names[host]
}

// canonical returns a host name or address for comparison: in lower case, without port, brackets and final dot.
func canonical(host string) string {
	host = strings.ToLower(strings.TrimSpace(host))
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return strings.TrimSuffix(host, ".")
}

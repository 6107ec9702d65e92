// Package httpclient makes the program's HTTP clients: a block http_config of Prometheus comes in, a client that sends credentials to
// the configured host only goes out.
package httpclient

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
)

// UserAgent is the User-Agent header of our requests.
const UserAgent = "awoooi-reporter"

// maxRedirects is net/http's own limit, which does not apply to a client with CheckRedirect.
const maxRedirects = 10

// New returns a client with the settings of an http_config block. name labels its connections in traces. timeout bounds a request with
// its answer; 0 means no bound.
//
// The client follows redirects within the same host, including from http to https, and refuses others with *RedirectError. Otherwise
// http_headers, which it sets on each request, and a secret in the query, which servers copy into Location, would be sent to a host
// that is not configured.
func New(cfg promconfig.HTTPClientConfig, name string, timeout time.Duration) (*http.Client, error) {
	client, err := promconfig.NewClientFromConfig(cfg, name, promconfig.WithUserAgent(UserAgent))
	if err != nil {
		return nil, err
	}
	client.Timeout = timeout
	if cfg.FollowRedirects {
		client.CheckRedirect = sameHost
	}
	return client, nil
}

// RedirectError is a redirect that was not followed.
type RedirectError struct {
	Host       string // of the Location, with its port if it has one
	Downgraded bool   // it is the same host, without encryption
}

func (e *RedirectError) Error() string {
	if e.Downgraded {
		return "redirect from https to http refused: credentials would be sent unencrypted"
	}
	return fmt.Sprintf("redirect to another host %q refused: credentials would be sent there; set the URL to the final address", e.Host)
}

func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	from, to := via[0].URL, req.URL
	switch {
	case strings.EqualFold(from.Hostname(), to.Hostname()) && from.Scheme == to.Scheme && port(from) == port(to):
		return nil
	case strings.EqualFold(from.Hostname(), to.Hostname()) && from.Scheme == "http" && to.Scheme == "https":
		return nil
	case strings.EqualFold(from.Hostname(), to.Hostname()) && from.Scheme == "https" && to.Scheme == "http":
		return &RedirectError{Host: to.Host, Downgraded: true}
	}
	return &RedirectError{Host: to.Host}
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

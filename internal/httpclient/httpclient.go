// Package httpclient makes the program's HTTP clients: Prometheus' http_config block comes in, a client that sends
// credentials to the configured host only goes out.
package httpclient

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
)

// UserAgent is what our requests call themselves.
const UserAgent = "awoooi-reporter"

// maxRedirects is net/http's own limit, which a CheckRedirect replaces.
const maxRedirects = 10

// New makes a client by the settings of an http_config block. name labels its connections in traces; a timeout of 0 means none.
//
// The client follows redirects within the same host, and from http to https there. It refuses others with
// *RedirectError: http_headers are set on each request by the client, and a secret in a query is in the Location of the
// answer, so that both would reach a host that nobody configured.
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
	Host       string // of the Location, with its port if it names one
	Downgraded bool   // the same host without encryption
}

func (e *RedirectError) Error() string {
	if e.Downgraded {
		return "redirect from https to http refused: credentials would be sent unencrypted"
	}
	return fmt.Sprintf("redirect to another host %q refused: credentials would be sent there; set the url to the final address", e.Host)
}

func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return errors.New("stopped after 10 redirects")
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

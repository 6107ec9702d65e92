package httpclient_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/awoooi/awoooi-reporter/internal/httpclient"
)

// settings returns settings with a secret header that trust the certificates of the test servers.
func settings(edit func(*promconfig.HTTPClientConfig)) promconfig.HTTPClientConfig {
	c := promconfig.DefaultHTTPClientConfig
	c.HTTPHeaders = &promconfig.Headers{Headers: map[string]promconfig.Header{"X-Scope-OrgID": {Values: []string{"tenant"}}}}
	c.TLSConfig.InsecureSkipVerify = true
	if edit != nil {
		edit(&c)
	}
	return c
}

// counting counts the requests that reach a server.
func counting(n *atomic.Int32, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		next(w, r)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	ok := func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(r.Header.Get("X-Scope-OrgID"))) }
	var elsewhere atomic.Int32
	other := httptest.NewServer(counting(&elsewhere, ok))
	defer other.Close()
	otherTLS := httptest.NewTLSServer(counting(&elsewhere, ok))
	defer otherTLS.Close()
	// byName is the URL of the same server under another name.
	byName := func(u string) string { return strings.Replace(u, "127.0.0.1", "localhost", 1) }

	for name, tc := range map[string]struct {
		tls  bool
		to   string // of the redirect; "" is a path of the same server
		code int
		want string // body, or a part of the error
		fail bool
	}{
		"the same host":                 {to: "", code: 302, want: "tenant"},
		"the same host, encrypted":      {tls: true, to: "", code: 308, want: "tenant"},
		"from http to https":            {to: otherTLS.URL, code: 301, want: "tenant"},
		"another port":                  {to: other.URL, code: 302, want: "redirect to another host", fail: true},
		"another name":                  {to: byName(other.URL), code: 307, want: "redirect to another host \"localhost:", fail: true},
		"another name, encrypted":       {to: byName(otherTLS.URL), code: 308, want: "set the URL to the final address", fail: true},
		"from https to http":            {tls: true, to: other.URL, code: 302, want: "from https to http refused", fail: true},
		"from https to another port":    {tls: true, to: otherTLS.URL, code: 302, want: "redirect to another host", fail: true},
		"a host that looks like a user": {to: "http://127.0.0.1:80@" + strings.TrimPrefix(byName(other.URL), "http://"), code: 302, want: "another host \"localhost:", fail: true},
		"without a scheme":              {to: "//" + strings.TrimPrefix(byName(other.URL), "http://"), code: 302, want: "another host", fail: true},
	} {
		before := elsewhere.Load()
		mux := http.NewServeMux()
		mux.HandleFunc("/from", func(w http.ResponseWriter, r *http.Request) {
			to := tc.to + "/to?" + r.URL.RawQuery
			w.Header().Set("Location", to)
			w.WriteHeader(tc.code)
		})
		mux.HandleFunc("/to", ok)
		srv := httptest.NewServer(mux)
		if tc.tls {
			srv.Close()
			srv = httptest.NewTLSServer(mux)
		}
		client, err := httpclient.New(settings(nil), "test", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get(srv.URL + "/from?api_key=planted")
		var refused *httpclient.RedirectError
		switch {
		case tc.fail && (!errors.As(err, &refused) || !strings.Contains(refused.Error(), tc.want)):
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		case tc.fail && elsewhere.Load() != before:
			t.Errorf("%s: the other host was asked", name)
		case tc.fail && (strings.Contains(refused.Error(), "planted") || strings.Contains(refused.Error(), "://")):
			t.Errorf("%s: the error shows the address: %v", name, refused)
		case !tc.fail && err != nil:
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			var b [16]byte
			n, _ := resp.Body.Read(b[:])
			if string(b[:n]) != tc.want {
				t.Errorf("%s: body %q, want %q", name, b[:n], tc.want)
			}
			resp.Body.Close()
		}
		srv.Close()
	}
}

func TestRedirectsWithoutEnd(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := httptest.NewServer(counting(&asked, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }))
	defer srv.Close()
	client, err := httpclient.New(settings(nil), "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(srv.URL)
	if resp != nil {
		resp.Body.Close()
	}
	if err == nil || asked.Load() != 10 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

func TestFollowRedirectsOff(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.RedirectHandler("http://localhost:1/", http.StatusFound))
	defer srv.Close()
	client, err := httpclient.New(settings(func(c *promconfig.HTTPClientConfig) { c.FollowRedirects = false }), "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(srv.URL)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	_, err := httpclient.New(settings(func(c *promconfig.HTTPClientConfig) {
		c.TLSConfig.CAFile = "/nowhere"
		c.ProxyURL = promconfig.URL{URL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}}
	}), "test", 0)
	if err == nil {
		t.Error("a CA file that does not exist was accepted")
	}
}

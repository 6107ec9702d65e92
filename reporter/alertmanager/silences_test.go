package alertmanager_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/alertmanager"
)

// members is a cluster without a network: each host answers as its name says.
type members struct{ asked []string }

func (c *members) RoundTrip(req *http.Request) (*http.Response, error) {
	c.asked = append(c.asked, req.URL.Hostname())
	status, body := http.StatusOK, `{"id":"s1","status":{"state":"active"},"endsAt":"2030-01-01T00:00:00Z","comment":"[mark]"}`
	switch {
	case req.URL.Hostname() == "hangs":
		<-req.Context().Done()
		return nil, req.Context().Err()
	case req.URL.Hostname() == "unreachable":
		if deadline, ok := req.Context().Deadline(); !ok || time.Until(deadline) > 5*time.Second {
			return nil, errors.New("no deadline")
		}
		<-req.Context().Done()
		return nil, &net.OpError{Op: "dial", Err: req.Context().Err()}
	case req.Method == http.MethodPost:
		body = `{"silenceID":"s1"}`
	case strings.HasSuffix(req.URL.Path, "/silences") && req.URL.Hostname() == "lacks":
		body = `[]`
	case strings.HasSuffix(req.URL.Path, "/silences"):
		body = "[" + body + "]"
	case req.URL.Hostname() == "lacks":
		status, body = http.StatusNotFound, ""
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: req,
	}, nil
}

// Of the members of a cluster, one that lacks a silence or hangs does not decide: those after it are asked, within the time of one request
// of the reporter.
func TestSilencesOfMembers(t *testing.T) {
	t.Parallel()
	type ask func(ctx context.Context, s *alertmanager.Silencer) error
	get := func(ctx context.Context, s *alertmanager.Silencer) error {
		_, err := s.Get(ctx, "s1")
		return err
	}
	find := func(ctx context.Context, s *alertmanager.Silencer) error {
		_, found, err := s.Find(ctx, "[mark]")
		if err == nil && !found {
			return reporter.ErrNotFound
		}
		return err
	}
	end := func(ctx context.Context, s *alertmanager.Silencer) error { return s.End(ctx, "s1") }
	create := func(ctx context.Context, s *alertmanager.Silencer) error {
		_, err := s.Create(ctx, reporter.Silence{}, "Ann", "")
		return err
	}
	failed := errors.New("any error but reporter.ErrNotFound")
	for name, tc := range map[string]struct {
		ask     ask
		members string
		asked   string
		err     error
	}{
		"get, the first lacks it":             {get, "lacks has", "lacks has", nil},
		"get, the first hangs":                {get, "hangs has", "hangs has", nil},
		"get, all lack it":                    {get, "lacks lacks", "lacks lacks", reporter.ErrNotFound},
		"get, all that answer lack it":        {get, "hangs lacks", "hangs lacks", reporter.ErrNotFound},
		"get, none answers":                   {get, "hangs hangs", "hangs hangs", failed},
		"find, the first lacks it":            {find, "lacks has", "lacks has", nil},
		"find, the first hangs":               {find, "hangs has", "hangs has", nil},
		"find, one may have it":               {find, "hangs lacks", "hangs lacks", failed},
		"end, the first lacks it":             {end, "lacks has", "lacks has", nil},
		"end, the first hangs":                {end, "hangs has", "hangs has", nil},
		"end, all lack it":                    {end, "lacks lacks", "lacks lacks", nil},
		"end, one may have it":                {end, "lacks hangs", "lacks hangs", failed},
		"create, the first cannot be reached": {create, "unreachable has", "unreachable has", nil},
		"create, the first may have it":       {create, "hangs has", "hangs", failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cluster := &members{}
				var configs []alertmanager.Config
				for _, host := range strings.Fields(tc.members) {
					configs = append(configs, alertmanager.Config{URL: "http://" + host, Client: &http.Client{Transport: cluster}})
				}
				api, err := alertmanager.New(configs...)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				err = tc.ask(ctx, alertmanager.NewSilencer(api))
				absent := errors.Is(err, reporter.ErrNotFound)
				if (err == nil) != (tc.err == nil) || absent != errors.Is(tc.err, reporter.ErrNotFound) {
					t.Errorf("error %v, want %v", err, tc.err)
				}
				if !slices.Equal(cluster.asked, strings.Fields(tc.asked)) {
					t.Errorf("asked %q, want %q", cluster.asked, tc.asked)
				}
			})
		})
	}
}

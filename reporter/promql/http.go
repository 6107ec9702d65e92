package promql

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/awoooi/awoooi-reporter/internal/httpclient"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// DefaultTimeout is the default timeout of one query.
const DefaultTimeout = 30 * time.Second

// maxAnswer is the most bytes of an answer. It is far more than any figure needs, and protects the memory from a wrong address.
const maxAnswer = 16 << 20

// HTTP is a client of a server with Prometheus's HTTP API (Prometheus, Thanos, Mimir, VictoriaMetrics).
type HTTP struct {
	http    *http.Client
	client  api.Client
	api     v1.API
	timeout time.Duration
}

// NewHTTP makes a client of the server at rawURL, which may have a path, a query that is sent with each request (such as dedup=true
// for Thanos), and user:password. hc must be based on promconfig.DefaultHTTPClientConfig. A timeout of 0 means DefaultTimeout. No
// error of the client contains a credential.
func NewHTTP(rawURL string, hc promconfig.HTTPClientConfig, timeout time.Duration) (*HTTP, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The error of url.Parse contains the address, and so the password.
		return nil, errors.New("prometheus url: not a valid URL, want http://HOST or https://HOST")
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("prometheus url: want http://HOST or https://HOST")
	}
	if u.User != nil {
		if hc.BasicAuth != nil || hc.Authorization != nil || hc.OAuth2 != nil {
			return nil, errors.New("prometheus url: has a user, and the client has its own authentication: remove one of them")
		}
		password, _ := u.User.Password()
		hc.BasicAuth = &promconfig.BasicAuth{Username: u.User.Username(), Password: promconfig.Secret(password)}
		u.User = nil
	}
	if err := hc.Validate(); err != nil {
		return nil, fmt.Errorf("prometheus http client: %w", err)
	}
	client, err := httpclient.New(hc, "prometheus", 0)
	if err != nil {
		return nil, fmt.Errorf("prometheus http client: %w", err)
	}
	client.Transport = limitedTransport{client.Transport}
	client.CheckRedirect = keepsQuery(client.CheckRedirect)
	c, err := api.NewClient(api.Config{Address: u.String(), Client: client})
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", withoutURL(err))
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &HTTP{http: client, client: c, api: v1.NewAPI(c), timeout: timeout}, nil
}

// Close closes idle connections, which otherwise count against the server's limit for minutes.
func (h *HTTP) Close() { h.http.CloseIdleConnections() }

// Query evaluates expr at one time. An empty vector is no samples and no error. NaN is a sample. Ranges, strings and native histograms
// are errors, because they are not figures. An answer with warnings (for example about a store of Thanos that did not answer) is an
// error too, because a sum over a part of the series is a wrong number. Errors that may pass are a *reporter.UnansweredError.
func (h *HTTP) Query(ctx context.Context, expr string, at time.Time) ([]reporter.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	value, warnings, _, err := h.api.Query(ctx, expr, at, v1.WithTimeout(h.timeout))
	if err != nil {
		return nil, queryFault(err)
	}
	if err := partial(warnings); err != nil {
		return nil, err
	}
	switch v := value.(type) {
	case *model.Scalar:
		return []reporter.Sample{{Labels: map[string]string{}, Value: float64(v.Value)}}, nil
	case model.Vector:
		samples := make([]reporter.Sample, 0, len(v))
		seen := make(map[model.Fingerprint]bool, len(v))
		for _, s := range v {
			of := s.Metric.Fingerprint()
			switch {
			case s.Histogram != nil:
				return nil, errHistogram
			case s.Timestamp == 0 && s.Value == 0: // the client's zero value for a sample without a value
				return nil, errNoValue
			case seen[of]:
				return nil, errTwice
			}
			seen[of] = true
			labels := make(map[string]string, len(s.Metric))
			for name, value := range s.Metric {
				labels[string(name)] = string(value)
			}
			samples = append(samples, reporter.Sample{Labels: labels, Value: float64(s.Value)})
		}
		return samples, nil
	case nil:
		return nil, errors.New("prometheus query: the answer has no result")
	default:
		return nil, notAFigure(v.Type().String())
	}
}

// QueryRange evaluates expr at each step from start to end (inclusive), by the same rules as Query. NaN is not a point.
func (h *HTTP) QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration) ([]reporter.Series, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	value, warnings, _, err := h.api.QueryRange(ctx, expr, v1.Range{Start: start, End: end, Step: step}, v1.WithTimeout(h.timeout))
	if err != nil {
		return nil, queryFault(err)
	}
	if err := partial(warnings); err != nil {
		return nil, err
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, errNoMatrix
	}
	out := make([]reporter.Series, 0, len(matrix))
	for _, s := range matrix {
		if len(s.Histograms) > 0 {
			return nil, errHistogram
		}
		series := reporter.Series{Labels: make(map[string]string, len(s.Metric))}
		for name, value := range s.Metric {
			series.Labels[string(name)] = string(value)
		}
		for _, p := range s.Values {
			if !math.IsNaN(float64(p.Value)) {
				series.Points = append(series.Points, reporter.Point{At: p.Timestamp.Time().UTC(), Value: float64(p.Value)})
			}
		}
		out = append(out, series)
	}
	return out, nil
}

// queryFault returns the error of a failed query. A network error, 429 and 5xx are an UnansweredError; a server's error about the query
// itself is not.
func queryFault(err error) error {
	out := fmt.Errorf("prometheus query: %w", withoutURL(err))
	var (
		said *v1.Error
		long *http.MaxBytesError
		away *httpclient.RedirectError
	)
	switch {
	case errors.As(err, &said):
		// The client distinguishes 429 only by its message.
		if said.Type != v1.ErrServer && said.Msg != fmt.Sprintf("client error: %d", http.StatusTooManyRequests) {
			return out
		}
	case errors.As(err, &long), errors.As(err, &away), errors.Is(err, errQueryLost), errors.Is(err, context.Canceled):
		return out
	}
	return &reporter.UnansweredError{Err: out}
}

var errQueryLost = errors.New("the server redirects to an address to which the query would not be sent: set the url to that address")

// keepsQuery refuses redirects that turn a POST into a GET without a body. The body holds the query, so the server would answer that
// it is missing.
func keepsQuery(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		if via[0].Method == http.MethodPost && r.Method != http.MethodPost {
			return errQueryLost
		}
		if next == nil {
			return nil
		}
		return next(r, via)
	}
}

var errNoMatrix = errors.New("prometheus query: the answer to a range query is not a range")

var (
	errNoValue = errors.New("prometheus query: the answer has a series without a value")
	errTwice   = errors.New("prometheus query: the answer has the same series twice")
)

var errHistogram = errors.New("the result is a native histogram, want numbers: use histogram_quantile or the like")

func notAFigure(kind string) error {
	return fmt.Errorf("the result is a %s, want an instant vector or a scalar", kind)
}

// partial returns an error if there are warnings. Older servers send infos as warnings with a prefix.
func partial(warnings []string) error {
	warnings = slices.DeleteFunc(slices.Clone(warnings), func(w string) bool { return strings.HasPrefix(w, "PromQL info:") })
	if len(warnings) == 0 {
		return nil
	}
	return safetext.Error(fmt.Errorf("partial answer: %s", strings.Join(warnings, "; ")))
}

// withoutURL removes the address, which may have a token in its query, from an error of net/http, and limits the length of the
// server's text.
func withoutURL(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return fmt.Errorf("request: %w", withoutURL(u.Err))
	}
	return safetext.Error(err)
}

// limitedTransport limits answers to maxAnswer, and refuses partial ones.
type limitedTransport struct{ next http.RoundTripper }

// CloseIdleConnections is called by http.Client.
func (t limitedTransport) CloseIdleConnections() {
	(&http.Client{Transport: t.next}).CloseIdleConnections()
}

var errPartial = errors.New("partial answer: a part of the server's storage did not answer (isPartial)")

func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body := http.MaxBytesReader(nil, resp.Body, maxAnswer)
	text, err := io.ReadAll(body) // as the client does
	if isPartial(text) {
		body.Close()
		return nil, errPartial
	}
	var rest io.Reader = body
	if err != nil {
		rest = failed{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), rest), body}
	return resp, nil
}

type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// isPartial reports whether an answer of a VictoriaMetrics cluster is from a part of its storage nodes. There is no warning for that:
// https://docs.victoriametrics.com/victoriametrics/cluster-victoriametrics/#cluster-availability
func isPartial(answer []byte) bool {
	if !bytes.Contains(answer, []byte(`"isPartial"`)) {
		return false
	}
	var said struct {
		IsPartial bool `json:"isPartial"`
	}
	return json.Unmarshal(answer, &said) == nil && said.IsPartial
}

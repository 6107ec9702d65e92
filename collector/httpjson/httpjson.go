// Package httpjson is the source of KPIs out of JSON over HTTP: a path and a jq expression come in, rows go out.
package httpjson

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

const (
	maxBody = 10 << 20
	maxRows = 10_000
)

// Config is which API, and how to speak to it.
type Config struct {
	Name   string
	URL    secret.Text // its userinfo becomes basic auth
	Client *http.Client
}

// Source asks one API.
type Source struct {
	base   *url.URL
	client *http.Client
}

// Open prepares the source. The error is a URL that cannot be used, and shows nothing of it.
func Open(c Config) (*Source, error) {
	u, err := url.Parse(c.URL.Reveal())
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("http: want an http or https URL")
	}
	return &Source{base: u, client: c.Client}, nil
}

// Check refuses a path or an expression that cannot be parsed.
func Check(q kpi.Query) error {
	if _, err := compile(q); err != nil {
		return fmt.Errorf("query %q: %w", q.Name, err)
	}
	if _, err := parsePath(q.HTTP.Path); err != nil {
		return fmt.Errorf("query %q: %w", q.Name, err)
	}
	return nil
}

// parsePath reads a path that may hold a query string. Its errors quote nothing of it.
func parsePath(path string) (*url.URL, error) {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" {
		return nil, errors.New("http.path cannot be used, want a path below the source's URL")
	}
	return u, nil
}

func compile(q kpi.Query) (*gojq.Code, error) {
	text := q.HTTP.JQ
	if text == "" {
		text = "."
	}
	parsed, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("http.jq: %w", err)
	}
	code, err := gojq.Compile(parsed, gojq.WithVariables([]string{"$since", "$until"}))
	if err != nil {
		return nil, fmt.Errorf("http.jq: %w", err)
	}
	return code, nil
}

// Close ends idle connections.
func (s *Source) Close() { s.client.CloseIdleConnections() }

// Read answers the queries, each with a request of its own.
func (s *Source) Read(ctx context.Context, until time.Time, queries []kpi.Query, give collector.Give) {
	collector.Each(ctx, queries, give, func(ctx context.Context, q kpi.Query) (collector.Rows, error) {
		rows, err := s.ask(ctx, until, q)
		if err != nil {
			return collector.Rows{}, fmt.Errorf("http: %w", err)
		}
		return rows, nil
	})
}

func (s *Source) ask(ctx context.Context, until time.Time, q kpi.Query) (collector.Rows, error) {
	code, err := compile(q)
	if err != nil {
		return collector.Rows{}, err
	}
	doc, err := s.get(ctx, q.HTTP.Path)
	if err != nil {
		return collector.Rows{}, err
	}
	since := until.Add(-q.Window())
	results := code.RunWithContext(ctx, doc, since.UTC().Format(time.RFC3339Nano), until.UTC().Format(time.RFC3339Nano))
	var all []any
	for {
		v, more := results.Next()
		if !more {
			return table(all)
		}
		if err, failed := v.(error); failed {
			return collector.Rows{}, fmt.Errorf("http.jq: %w", safetext.Error(err))
		}
		if all = append(all, v); len(all) > maxRows {
			return collector.Rows{}, fmt.Errorf("more than %d rows", maxRows)
		}
	}
}

func (s *Source) get(ctx context.Context, path string) (any, error) {
	rel, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	u := s.base.JoinPath(rel.EscapedPath())
	// The base may have a query of its own, such as an API key.
	u.RawQuery = strings.Trim(s.base.RawQuery+"&"+rel.RawQuery, "&")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "awoooi-reporter")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, safe(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, fmt.Errorf("%s answered %d %s", rel.Path, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, safe(err)
	}
	if len(b) > maxBody {
		return nil, fmt.Errorf("%s answered more than %d bytes", rel.Path, maxBody)
	}
	var doc any
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("%s did not answer JSON", rel.Path)
	}
	return doc, nil
}

// safe drops the URL, which may hold a password or a token, and any other address that the client quotes, such as the
// one that it was redirected to.
func safe(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() && !errors.Is(err, context.DeadlineExceeded) {
			return context.DeadlineExceeded
		}
		err = u.Err
	}
	if strings.ContainsAny(err.Error(), "?@") || strings.Contains(err.Error(), "://") {
		return errors.New("the request failed; its error is not shown, as it quotes an address")
	}
	return err
}

// table makes rows of jq's results: an object's keys are columns, anything else is the column "value".
func table(results []any) (collector.Rows, error) {
	names := map[string]bool{}
	for _, r := range results {
		if o, ok := r.(map[string]any); ok {
			for k := range o {
				names[k] = true
			}
		} else {
			names["value"] = true
		}
	}
	rows := collector.Rows{Columns: slices.Sorted(maps.Keys(names))}
	for _, r := range results {
		o, ok := r.(map[string]any)
		if !ok {
			o = map[string]any{"value": r}
		}
		row := make([]any, len(rows.Columns))
		for n, c := range rows.Columns {
			switch v := o[c].(type) {
			case map[string]any, []any:
				return rows, fmt.Errorf("column %s is not a plain value", safetext.Quote(c, 100))
			case *big.Int:
				row[n] = v.String()
			default:
				row[n] = v
			}
		}
		rows.Values = append(rows.Values, row)
	}
	return rows, nil
}

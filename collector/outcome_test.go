package collector_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// The outcome of a query that was answered from the cache has the end of the cached window.
func TestOutcomesOfCachedResults(t *testing.T) {
	t.Parallel()
	src := &fixed{rows: map[string]collector.Rows{"good": table("c n", []any{"a", 1})}}
	now := fixedNow
	cfg := collector.Config{Sources: named(src), Queries: []kpi.Query{query("good")}, TTL: time.Minute}
	c := newCollector(t, cfg, io.Discard, func() time.Time { return now })
	scrape(t, c)
	first := now.Truncate(time.Microsecond)
	now = now.Add(30 * time.Second)
	scrape(t, c)
	if o := c.Outcomes()[0]; src.reads.Load() != 1 || !o.At.Equal(first) || !o.LastSuccess.Equal(first) {
		t.Errorf("after %d reads: %+v, want the time %v", src.reads.Load(), o, first)
	}
}

func TestOutcomesAreThoseOfTheLastWholeRun(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	src := &fixed{rows: map[string]collector.Rows{"good": table("c n", []any{"a", 1}), "bad": table("c n")}, errs: map[string]error{}}
	cfg := collector.Config{Sources: named(src), Queries: []kpi.Query{query("good"), query("bad")}}
	now := fixedNow
	c := newCollector(t, cfg, io.Discard, func() time.Time { return now })
	is := func(what string, want ...collector.Outcome) {
		t.Helper()
		if diff := cmp.Diff(want, c.Outcomes(), cmpopts.EquateErrors()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	outcome := func(name string, at, success time.Time, err error) collector.Outcome {
		o := collector.Outcome{Source: "db", Kind: kpi.KindPostgres, Query: name, At: at.Truncate(time.Microsecond), LastSuccess: success.Truncate(time.Microsecond), Err: err}
		if !at.IsZero() {
			o.Duration, o.Up = 25*time.Millisecond, true
		}
		return o
	}
	never := time.Time{}
	is("before the first scrape", outcome("good", never, never, nil), outcome("bad", never, never, nil))
	scrape(t, c)
	first := now
	is("after a good one", outcome("good", first, first, nil), outcome("bad", first, first, nil))
	src.errs["bad"] = down
	now = now.Add(time.Minute)
	scrape(t, c)
	is("after a fault", outcome("good", now, now, nil), outcome("bad", now, first, down))

	// A run that was cancelled because its scraper disconnected does not count.
	hungUp, hangUp := context.WithCancel(t.Context())
	src.block = func(context.Context) { hangUp() }
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil).WithContext(hungUp)
	c.Handler(prometheus.NewRegistry()).ServeHTTP(httptest.NewRecorder(), r)
	is("after a scraper that disconnected", outcome("good", now, now, nil), outcome("bad", now, first, down))

	src.block = nil
	cfg.Queries = []kpi.Query{query("good"), query("new")}
	c.Reload(cfg)
	is("after a reload", outcome("good", never, now, nil), outcome("new", never, never, nil))
}

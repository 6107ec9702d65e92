package promql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/awoooi/awoooi-reporter/internal/promexpr"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// lookback is Prometheus's default: the age up to which a sample is found, unless its series is stale.
	lookback = 5 * time.Minute
	// maxSamples limits the memory of one query to some tens of megabytes.
	maxSamples = 1_000_000
	// defaultRetention is enough for the monthly report.
	defaultRetention = 30 * 24 * time.Hour
	// headRange is the time span of the newest data, which is kept in memory, and of the smallest block on disk.
	headRange = 2 * time.Hour
)

// EmbeddedConfig holds the settings of the embedded database.
type EmbeddedConfig struct {
	Dir       string        // used by one process at a time; created if it does not exist
	Retention time.Duration // default 30 days; older blocks are deleted
	Timeout   time.Duration // of one query; default DefaultTimeout
	Job       string        // label "job" of every series; default "awoooi-reporter"
	Instance  string        // label "instance" of every series; default "embedded"
	Reload    time.Duration // interval of the search for old blocks; default 1 min, at least 1 s
	Log       *slog.Logger  // default: discard
}

// Embedded is a time-series database with PromQL in this process, built from Prometheus's packages. It stores gathered metrics, and
// answers like a Prometheus that has scraped them.
type Embedded struct {
	db      *tsdb.DB
	engine  *promql.Engine
	cfg     EmbeddedConfig
	running chan struct{} // limits queries to maxAtOnce

	mu   sync.Mutex               // held by Append and Close
	last map[string]labels.Labels // series of the last Append; nil before the first
}

// OpenEmbedded opens the database, or creates it. It is an error if another process uses the directory.
func OpenEmbedded(cfg EmbeddedConfig) (*Embedded, error) {
	if cfg.Retention <= 0 {
		cfg.Retention = defaultRetention
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Job == "" {
		cfg.Job = "awoooi-reporter"
	}
	if cfg.Instance == "" {
		cfg.Instance = "embedded"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = cfg.Retention.Milliseconds()
	opts.MinBlockDuration = headRange.Milliseconds()
	// Blocks grow to a tenth of the retention, as in Prometheus: fewer files, while old data is still deleted in small steps.
	opts.MaxBlockDuration = max(headRange, cfg.Retention/10).Milliseconds()
	opts.BlockReloadInterval = cfg.Reload
	opts.StripeSize = 1 << 10 // hundreds of series, not millions
	db, err := tsdb.Open(cfg.Dir, cfg.Log, nil, opts, nil)
	if err != nil {
		return nil, fmt.Errorf("embedded database %s: %w", cfg.Dir, err)
	}
	return &Embedded{
		db: db, cfg: cfg, running: make(chan struct{}, maxAtOnce),
		engine: promql.NewEngine(promql.EngineOpts{
			Logger: cfg.Log, MaxSamples: maxSamples, Timeout: cfg.Timeout, LookbackDelta: lookback,
			EnableAtModifier: true, EnableNegativeOffset: true,
			NoStepSubqueryIntervalFn: func(int64) int64 { return subqueryStep.Milliseconds() },
			Parser:                   parser.NewParser(parser.Options{}),
		}),
	}, nil
}

// Close writes what is in memory and releases the directory.
func (e *Embedded) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := errors.Join(e.engine.Close(), e.db.Close()); err != nil {
		return fmt.Errorf("embedded database: %w", err)
	}
	return nil
}

// Append stores the metrics of one gathering as of at, in one transaction. Summaries and classic histograms are stored as the series
// of a scrape; native histograms are left out. A series of the last Append that is missing now is marked stale: queries from at on
// no longer find it. A time that is not after that of the last Append is an error.
func (e *Embedded) Append(ctx context.Context, at time.Time, families []*dto.MetricFamily) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last == nil {
		last, err := e.recent(ctx, at)
		if err != nil {
			return fmt.Errorf("embedded database: recent series: %w", err)
		}
		e.last = last
	}
	now := map[string]labels.Labels{}
	app := e.db.AppenderV2(ctx)
	ms := at.UnixMilli()
	put := func(ls labels.Labels, v float64) error {
		_, err := app.Append(0, ls, 0, ms, v, nil, nil, storage.AppendV2Options{RejectOutOfOrder: true})
		return err
	}
	fail := func(ls labels.Labels, err error) error {
		return errors.Join(fmt.Errorf("embedded database: append %s: %w", ls, err), app.Rollback())
	}
	for _, s := range e.series(families) {
		now[string(s.labels.Bytes(nil))] = s.labels
		if err := put(s.labels, s.value); err != nil {
			return fail(s.labels, err)
		}
	}
	for key, ls := range e.last {
		if _, ok := now[key]; ok {
			continue
		}
		if err := put(ls, math.Float64frombits(value.StaleNaN)); err != nil {
			return fail(ls, err)
		}
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("embedded database: commit: %w", err)
	}
	e.last = now
	return nil
}

// recent returns the series that a query just before at finds. After a restart these are from the last Append of the earlier process,
// and have to be marked stale if they are not appended again.
func (e *Embedded) recent(ctx context.Context, at time.Time) (map[string]labels.Labels, error) {
	q, err := e.db.Querier(at.Add(-lookback).UnixMilli(), at.UnixMilli())
	if err != nil {
		return nil, err
	}
	found := map[string]labels.Labels{}
	set := q.Select(ctx, false, nil,
		labels.MustNewMatcher(labels.MatchEqual, model.JobLabel, e.cfg.Job),
		labels.MustNewMatcher(labels.MatchEqual, model.InstanceLabel, e.cfg.Instance))
	for set.Next() {
		ls := set.At().Labels()
		found[string(ls.Bytes(nil))] = ls
	}
	return found, errors.Join(set.Err(), q.Close())
}

type series struct {
	labels labels.Labels
	value  float64
}

// series returns the series of a scrape of the families, with the labels of the target.
func (e *Embedded) series(families []*dto.MetricFamily) []series {
	var out []series
	for _, f := range families {
		for _, m := range f.GetMetric() {
			add := func(suffix string, v float64, extra ...string) {
				out = append(out, series{e.labels(f.GetName()+suffix, m.GetLabel(), extra...), v})
			}
			switch {
			case m.Gauge != nil:
				add("", m.GetGauge().GetValue())
			case m.Counter != nil:
				add("", m.GetCounter().GetValue())
			case m.Untyped != nil:
				add("", m.GetUntyped().GetValue())
			case m.Summary != nil:
				add("_sum", m.GetSummary().GetSampleSum())
				add("_count", float64(m.GetSummary().GetSampleCount()))
				for _, q := range m.GetSummary().GetQuantile() {
					add("", q.GetValue(), model.QuantileLabel, formatBound(q.GetQuantile()))
				}
			case len(m.GetHistogram().GetBucket()) > 0:
				h := m.GetHistogram()
				add("_sum", h.GetSampleSum())
				add("_count", float64(h.GetSampleCount()))
				for _, b := range h.GetBucket() {
					if !math.IsInf(b.GetUpperBound(), 1) {
						add("_bucket", float64(b.GetCumulativeCount()), model.BucketLabel, formatBound(b.GetUpperBound()))
					}
				}
				add("_bucket", float64(h.GetSampleCount()), model.BucketLabel, "+Inf")
			}
		}
	}
	return out
}

// labels adds the target's labels. A metric's label of the same name is renamed to exported_NAME, as by a scrape.
func (e *Embedded) labels(name string, pairs []*dto.LabelPair, extra ...string) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, p := range pairs {
		key := p.GetName()
		if key == model.JobLabel || key == model.InstanceLabel {
			key = model.ExportedLabelPrefix + key
		}
		b.Set(key, p.GetValue())
	}
	for n := 0; n+1 < len(extra); n += 2 {
		b.Set(extra[n], extra[n+1])
	}
	b.Set(model.MetricNameLabel, name)
	return b.Set(model.JobLabel, e.cfg.Job).Set(model.InstanceLabel, e.cfg.Instance).Labels()
}

func formatBound(v float64) string {
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// Query evaluates expr at one time, by the same rules as HTTP.Query. The expression is checked for length and depth before it is
// parsed, and its evaluation is limited in samples, labels and time.
func (e *Embedded) Query(ctx context.Context, expr string, at time.Time) ([]reporter.Sample, error) {
	res, done, err := e.run(ctx, expr, moments{}, func(ctx context.Context, q storage.Queryable) (promql.Query, error) {
		return e.engine.NewInstantQuery(ctx, q, nil, expr, at)
	})
	if err != nil {
		return nil, err
	}
	defer done()
	switch v := res.Value.(type) {
	case promql.Scalar:
		return []reporter.Sample{{Labels: map[string]string{}, Value: v.V}}, nil
	case promql.Vector:
		samples := make([]reporter.Sample, 0, len(v))
		for _, s := range v {
			if s.H != nil {
				return nil, errHistogram
			}
			samples = append(samples, reporter.Sample{Labels: s.Metric.Map(), Value: s.F})
		}
		return samples, nil
	default:
		return nil, notAFigure(string(res.Value.Type()))
	}
}

// run evaluates a query within its limits. The result is valid until done is called. An answer from a part of the series is an error.
func (e *Embedded) run(
	ctx context.Context, expr string, at moments, newQuery func(context.Context, storage.Queryable) (promql.Query, error),
) (_ *promql.Result, done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	undo := []func(){cancel}
	release := func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}
	defer func() {
		if err != nil {
			release()
			err = fmt.Errorf("embedded query: %w", err)
		}
	}()
	if err := promexpr.Check(expr); err != nil {
		return nil, nil, err
	}
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, nil, err
	}
	budget, err := newLabelBudget(parsed, at)
	if err != nil {
		return nil, nil, err
	}
	select {
	case e.running <- struct{}{}:
		undo = append(undo, func() { <-e.running })
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("waiting for %d other queries: %w", maxAtOnce, ctx.Err())
	}
	q, err := newQuery(ctx, queryable{e.db, budget})
	if err != nil {
		return nil, nil, err
	}
	undo = append(undo, q.Close)
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, nil, res.Err
	}
	warnings, _ := res.Warnings.AsStrings(expr, 0, 0)
	return res, release, partial(warnings)
}

// QueryRange evaluates expr at each step from start to end, by the same rules as HTTP.QueryRange.
func (e *Embedded) QueryRange(
	ctx context.Context, expr string, start, end time.Time, step time.Duration,
) ([]reporter.Series, error) {
	at := moments{span: end.Sub(start), step: step}
	res, done, err := e.run(ctx, expr, at, func(ctx context.Context, q storage.Queryable) (promql.Query, error) {
		return e.engine.NewRangeQuery(ctx, q, nil, expr, start, end, step)
	})
	if err != nil {
		return nil, err
	}
	defer done()
	matrix, err := res.Matrix()
	if err != nil {
		return nil, fmt.Errorf("embedded query: %w", err)
	}
	out := make([]reporter.Series, 0, len(matrix))
	for _, s := range matrix {
		if len(s.Histograms) > 0 {
			return nil, errHistogram
		}
		series := reporter.Series{Labels: s.Metric.Map()}
		for _, p := range s.Floats {
			if !math.IsNaN(p.F) {
				series.Points = append(series.Points, reporter.Point{At: time.UnixMilli(p.T).UTC(), Value: p.F})
			}
		}
		out = append(out, series)
	}
	return out, nil
}

// RunScrapes gathers at once and then every interval, until ctx ends. A gathering may take one interval. The metrics of a failed
// gathering are stored, and series that it lacks go stale.
func (e *Embedded) RunScrapes(
	ctx context.Context, interval time.Duration, gather func(context.Context) ([]*dto.MetricFamily, error),
) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		at := time.Now()
		families, err := gatherWithin(ctx, interval, gather)
		if ctx.Err() != nil {
			return // The gathering was interrupted. Series that it lacks must not go stale.
		}
		if err != nil {
			e.cfg.Log.Warn("embedded scrape: gathering failed", "err", err)
		}
		if err := e.Append(ctx, at, families); err != nil && ctx.Err() == nil {
			e.cfg.Log.Error("embedded scrape: samples were not stored", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func gatherWithin(
	ctx context.Context, d time.Duration, gather func(context.Context) ([]*dto.MetricFamily, error),
) ([]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return gather(ctx)
}

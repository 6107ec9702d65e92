package report

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Querier evaluates one PromQL expression at one moment. No samples and no error is an empty result; an error is an
// answer that could not be had, and holds no secret, because people read it.
type Querier interface {
	Query(ctx context.Context, expr string, at time.Time) ([]reporter.Sample, error)
}

// UnreachableError means that not one query of a report was answered, so that asking again later may well help. The
// report that comes with it is whole, all of it without data.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return fmt.Sprintf("no query was answered: %v", e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }

const (
	defaultQueryTimeout = 30 * time.Second
	queriesAtOnce       = 4
)

// BuilderConfig says whom the builder asks.
type BuilderConfig struct {
	Querier Querier
	Timeout time.Duration // of each query; default 30 s
	Now     func() time.Time
}

// Builder turns a due time into a report.
type Builder struct{ cfg BuilderConfig }

// NewBuilder makes a builder.
func NewBuilder(cfg BuilderConfig) *Builder {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultQueryTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Builder{cfg: cfg}
}

// Build asks for every figure of the definition as of due. A figure that could not be had is one without data, whatever
// the reason; the error is ctx's, or an *UnreachableError beside a report that may be sent nevertheless.
func (b *Builder) Build(ctx context.Context, d Definition, due time.Time) (reporter.Report, error) {
	due = due.UTC()
	var wanted []reporter.Figure
	for _, f := range d.Figures {
		wanted = append(wanted, reporter.Figure{Name: f.Name, Expr: f.Expr, At: due})
		if f.Compare != 0 {
			wanted = append(wanted, reporter.Figure{Name: f.Name + BeforeSuffix, Expr: f.Expr, At: due.Add(-f.Compare)})
		}
	}
	figures, faults := make([]reporter.Figure, len(wanted)), make([]error, len(wanted))
	var group errgroup.Group
	group.SetLimit(queriesAtOnce)
	for n, f := range wanted {
		group.Go(func() error {
			figures[n], faults[n] = b.ask(ctx, f)
			return nil
		})
	}
	_ = group.Wait() // no function of the group returns an error
	if err := ctx.Err(); err != nil {
		return reporter.Report{}, fmt.Errorf("report %s: %w", d.Name, err)
	}
	r := reporter.Report{
		Name: d.Name, Title: d.Title, Locale: d.Locale, Due: due, Since: due.Add(-d.Lookback), Built: b.cfg.Now().UTC(),
		Zone: d.Zone, Figures: make(map[string]reporter.Figure, len(figures)), Health: d.Health, Template: d.Template,
	}
	for _, f := range figures {
		r.Figures[f.Name] = f
	}
	for _, fault := range faults {
		if fault == nil {
			return r, nil
		}
	}
	if len(faults) == 0 {
		return r, nil
	}
	return r, &UnreachableError{Err: faults[0]}
}

// ask returns the figure, and why it could not be asked for.
func (b *Builder) ask(ctx context.Context, f reporter.Figure) (reporter.Figure, error) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	samples, err := b.cfg.Querier.Query(ctx, f.Expr, f.At)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", b.cfg.Timeout)
	}
	if err != nil {
		return reporter.NoData(f.Name, f.Expr, f.At, err.Error()), err
	}
	if len(samples) == 0 {
		return reporter.NoData(f.Name, f.Expr, f.At, "the query has an empty result"), nil
	}
	f.Samples = samples
	if _, ok := f.Value(); !ok {
		f.Reason = "the result is not a finite number"
	}
	return f, nil
}

package report

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Querier evaluates one PromQL expression at one time. An empty result is no samples and no error. Errors are shown to people and
// never hold a secret; those that may pass are a *reporter.UnansweredError.
type Querier interface {
	Query(ctx context.Context, expr string, at time.Time) ([]reporter.Sample, error)
}

const (
	defaultQueryTimeout = 30 * time.Second
	queriesAtOnce       = 4
)

// BuilderConfig holds the settings of a Builder.
type BuilderConfig struct {
	Querier Querier
	Timeout time.Duration    // of each query; default 30 s
	Now     func() time.Time // default time.Now
	Own     []string         // metrics of the reporter itself, which count as configured
}

// Builder builds reports as of their due times.
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

// Build evaluates every figure of the definition as of due. A figure whose query fails has no data. The error is ctx's, or a
// *reporter.UnreachableError together with a report that can be sent.
func (b *Builder) Build(ctx context.Context, d Definition, due time.Time) (reporter.Report, error) {
	return b.build(ctx, d, due, newPlan())
}

// build is Build with a plan that may have answers of earlier attempts, and that keeps the new ones.
func (b *Builder) build(ctx context.Context, d Definition, due time.Time, plan *plan) (reporter.Report, error) {
	due = due.UTC()
	wanted, trendDays, asked := d.wanted(due), d.trendDays(due), d.Asked()
	for _, w := range wanted {
		for _, at := range w.times() {
			plan.add(w.name, w.expr, at)
		}
	}
	exprs := map[string]string{}
	for _, f := range asked {
		exprs[f.Name] = f.Expr
	}
	for _, name := range d.trend().Figures {
		for _, at := range trendDays {
			plan.add(name, exprs[name], at)
		}
	}
	if slices.ContainsFunc(asked, func(f FigureDefinition) bool { return f.Builtin }) {
		plan.add(configuredName, ConfiguredExpr, due)
	}
	b.answer(ctx, plan)
	if err := ctx.Err(); err != nil {
		return reporter.Report{}, fmt.Errorf("report %s: %w", d.Name, err)
	}
	r := reporter.Report{
		Name: d.Name, Title: d.Title, Locale: d.Locale, Due: due, Since: d.Since(due), Built: b.cfg.Now().UTC(),
		Zone: d.Zone, Figures: make(map[string]reporter.Figure, len(wanted)), Health: d.Health, Template: d.Template,
	}
	for _, w := range wanted {
		if w.days == nil {
			r.Figures[w.name] = plan.figure(w.name, w.expr, w.at)
		} else {
			r.Figures[w.name] = plan.sum(w.name, w.expr, w.at, w.days)
		}
	}
	without := plan.notConfigured(asked, r.Figures, due, b.cfg.Own)
	r.Sections = shown(d.Sections, without, r.Figures)
	if len(trendDays) > 0 {
		r.Trend = &reporter.Trend{Days: trendDays}
		for _, name := range d.trend().Figures {
			if !without[name] {
				r.Trend.Figures = append(r.Trend.Figures, plan.trendFigure(name, exprs[name], trendDays))
			}
		}
	}
	r.Unanswered = plan.later()
	if fault := plan.unanswered(); fault != nil {
		return r, &reporter.UnreachableError{Err: fault}
	}
	return r, nil
}

// wantedFigure is a figure, or an earlier value of it, as of one time.
type wantedFigure struct {
	name, expr string
	at         time.Time
	days       []time.Time // the times whose values are summed; nil if the figure is evaluated at at only
}

// times returns the times at which the expression is evaluated.
func (w wantedFigure) times() []time.Time {
	if w.days == nil {
		return []time.Time{w.at}
	}
	return w.days
}

// wanted returns the figures of a report, each followed by its earlier values.
func (d Definition) wanted(due time.Time) []wantedFigure {
	lookback := due.Sub(d.Since(due))
	var out []wantedFigure
	add := func(name string, f FigureDefinition, at time.Time) {
		w := wantedFigure{name: name, expr: f.Expr, at: at}
		if f.EachDay {
			w.days = days(at, at.Add(-lookback), d.zone())
		}
		out = append(out, w)
	}
	for _, f := range d.Asked() {
		add(f.Name, f, due)
		for n, back := range f.Compare {
			add(beforeName(f.Name, n), f, due.Add(-back))
		}
	}
	return out
}

// trendDays returns the times of the trend's values, the oldest first; nil if the report has no trend.
func (d Definition) trendDays(due time.Time) []time.Time {
	trend := d.trend()
	if len(trend.Figures) == 0 {
		return nil
	}
	out := days(due, due.In(d.zone()).AddDate(0, 0, -trend.Days), d.zone())
	slices.Reverse(out)
	return out
}

func (d Definition) zone() *time.Location {
	if d.Zone == nil {
		return time.UTC
	}
	return d.Zone
}

// question is one expression at one time. Figures with the same question share its answer.
type question struct {
	expr string
	at   time.Time
}

// plan holds the questions of a report in order, and their answers.
type plan struct {
	order   []question
	figures map[question][]string // names of the figures with this question
	answers map[question]answer
	late    map[question]bool // timed out in an earlier attempt
}

type answer struct {
	samples []reporter.Sample
	err     error
	asked   bool
}

func newPlan() *plan {
	return &plan{figures: map[question][]string{}, answers: map[question]answer{}, late: map[question]bool{}}
}

func (p *plan) add(figure, expr string, at time.Time) {
	q := question{expr, at.UTC()}
	if _, ok := p.figures[q]; !ok {
		p.order = append(p.order, q)
	}
	p.figures[q] = append(p.figures[q], figure)
}

// rest returns the plan of the next attempt: the final answers so far, and no questions yet.
func (p *plan) rest() *plan {
	out := newPlan()
	for q, a := range p.answers {
		var later *reporter.UnansweredError
		if !errors.As(a.err, &later) {
			out.answers[q] = a
		} else if errors.Is(a.err, context.DeadlineExceeded) {
			out.late[q] = true
		}
	}
	return out
}

// later returns the names of the figures with a question that may be answered later, each once, in order.
func (p *plan) later() []string {
	var out []string
	for _, q := range p.order {
		var later *reporter.UnansweredError
		if !errors.As(p.answers[q].err, &later) {
			continue
		}
		for _, f := range p.figures[q] {
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	return out
}

// figure returns the answer to a question as a figure.
func (p *plan) figure(name, expr string, at time.Time) reporter.Figure {
	a := p.answers[question{expr, at.UTC()}]
	switch {
	case a.err != nil:
		return reporter.NoData(name, expr, at, a.err.Error())
	case len(a.samples) == 0:
		return reporter.NoData(name, expr, at, reporter.EmptyResult)
	}
	f := reporter.Figure{Name: name, Expr: expr, At: at, Samples: a.samples}
	if _, ok := f.Value(); !ok {
		f.Reason = "the result is not a finite number"
	}
	return f
}

// sum returns a figure with the samples of all days, added up by their labels. It counts the days with data.
func (p *plan) sum(name, expr string, at time.Time, days []time.Time) reporter.Figure {
	out := reporter.Figure{Name: name, Expr: expr, At: at, Days: len(days)}
	places := map[string]int{}
	for _, day := range days {
		f := p.figure(name, expr, day)
		if _, ok := f.Value(); !ok {
			if out.Reason == "" || out.Reason == reporter.EmptyResult { // another reason says more
				out.Reason = f.Reason
			}
			continue
		}
		out.DaysKnown++
		for _, s := range f.Samples {
			key := fmt.Sprint(s.Labels) // fmt prints maps in the order of their keys
			n, ok := places[key]
			if !ok {
				n = len(out.Samples)
				places[key] = n
				out.Samples = append(out.Samples, reporter.Sample{Labels: s.Labels})
			}
			out.Samples[n].Value += s.Value
		}
	}
	return out
}

func (p *plan) trendFigure(name, expr string, days []time.Time) reporter.TrendFigure {
	out := reporter.TrendFigure{Name: name}
	for _, at := range days {
		value, ok := p.figure(name, expr, at).Value()
		if !ok {
			value = math.NaN()
		}
		out.Values = append(out.Values, value)
	}
	return out
}

// unanswered returns the error of the first question if none was answered; nil if one was, or if there are no questions.
func (p *plan) unanswered() error {
	for _, q := range p.order {
		if p.answers[q].err == nil {
			return nil
		}
	}
	if len(p.order) == 0 {
		return nil
	}
	return p.answers[p.order[0]].err
}

// answer evaluates the questions of the plan that have no answer yet. Those that timed out in an earlier attempt come last. Once a
// query has timed out and none was answered, the remaining ones are skipped, because each would cost another timeout.
func (b *Builder) answer(ctx context.Context, p *plan) {
	open := slices.DeleteFunc(slices.Clone(p.order), func(q question) bool { return p.answers[q].asked })
	slices.SortStableFunc(open, func(a, b question) int {
		switch {
		case p.late[a] == p.late[b]:
			return 0
		case p.late[b]:
			return -1
		}
		return 1
	})
	answers := make([]answer, len(open))
	var group errgroup.Group
	group.SetLimit(queriesAtOnce)
	var answered, late atomic.Bool
	for n, q := range open {
		group.Go(func() error {
			a := answer{asked: true}
			if late.Load() && !answered.Load() {
				a.err = &reporter.UnansweredError{Err: errNotAsked}
			} else if a.samples, a.err = b.ask(ctx, q); errors.Is(a.err, context.DeadlineExceeded) {
				late.Store(true)
			} else {
				answered.Store(true)
			}
			answers[n] = a
			return nil
		})
	}
	_ = group.Wait() // the functions return no errors
	for n, q := range open {
		p.answers[q] = answers[n]
	}
}

var errNotAsked = errors.New("not queried, because earlier queries timed out")

func (b *Builder) ask(ctx context.Context, q question) ([]reporter.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	samples, err := b.cfg.Querier.Query(ctx, q.expr, q.at)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &reporter.UnansweredError{Err: timeoutError{b.cfg.Timeout}}
	}
	return samples, err
}

// timeoutError is context.DeadlineExceeded with a text for people.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string { return fmt.Sprintf("no answer within %v", e.after) }
func (timeoutError) Unwrap() error   { return context.DeadlineExceeded }

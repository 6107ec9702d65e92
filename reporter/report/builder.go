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

// Querier evaluates one PromQL expression at one moment. No samples and no error is an empty result; an error is an
// answer that could not be had, and holds no secret, because people read it.
type Querier interface {
	Query(ctx context.Context, expr string, at time.Time) ([]reporter.Sample, error)
}

const (
	defaultQueryTimeout = 30 * time.Second
	queriesAtOnce       = 4
)

// reasonEmpty is why a figure has no data whose query was answered with nothing.
const reasonEmpty = reporter.EmptyResult

// BuilderConfig says whom the builder asks.
type BuilderConfig struct {
	Querier Querier
	Timeout time.Duration // of each query; default 30 s
	Now     func() time.Time
	Own     []string // metrics that the reporter gives itself, and that are configured wherever it runs
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
// the reason; the error is ctx's, or a *reporter.UnreachableError beside a report that may be sent nevertheless.
func (b *Builder) Build(ctx context.Context, d Definition, due time.Time) (reporter.Report, error) {
	return b.build(ctx, d, due, newPlan())
}

// build is Build with a plan that may have answers already, and keeps those that come.
func (b *Builder) build(ctx context.Context, d Definition, due time.Time, plan *plan) (reporter.Report, error) {
	due = due.UTC()
	since := d.Since(due)
	type wanted struct {
		name, expr string
		at         time.Time
		days       []time.Time // nil where one moment is asked
	}
	var all []wanted
	want := func(name string, f FigureDefinition, at time.Time) {
		w := wanted{name: name, expr: f.Expr, at: at}
		if f.EachDay {
			w.days = days(at, at.Add(since.Sub(due)), d.zone())
		}
		for _, at := range append(w.days, at) {
			plan.add(name, f.Expr, at)
		}
		all = append(all, w)
	}
	exprs := map[string]string{}
	asked := d.Asked()
	for _, f := range asked {
		exprs[f.Name] = f.Expr
		want(f.Name, f, due)
		for n, back := range f.Compare {
			want(beforeName(f.Name, n), f, due.Add(-back))
		}
	}
	var trendDays []time.Time
	trend := d.trend()
	if len(trend.Figures) > 0 {
		trendDays = days(due, due.In(d.zone()).AddDate(0, 0, -trend.Days), d.zone())
		slices.Reverse(trendDays)
		for _, name := range trend.Figures {
			for _, at := range trendDays {
				plan.add(name, exprs[name], at)
			}
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
		Name: d.Name, Title: d.Title, Locale: d.Locale, Due: due, Since: since, Built: b.cfg.Now().UTC(),
		Zone: d.Zone, Figures: make(map[string]reporter.Figure, len(all)), Health: d.Health, Template: d.Template,
	}
	for _, w := range all {
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
		for _, name := range trend.Figures {
			if without[name] {
				continue
			}
			line := reporter.TrendFigure{Name: name}
			for _, at := range trendDays {
				value, ok := plan.figure(name, exprs[name], at).Value()
				if !ok {
					value = math.NaN()
				}
				line.Values = append(line.Values, value)
			}
			r.Trend.Figures = append(r.Trend.Figures, line)
		}
	}
	r.Unanswered = plan.later()
	if fault := plan.unanswered(); fault != nil {
		return r, &reporter.UnreachableError{Err: fault}
	}
	return r, nil
}

func (d Definition) zone() *time.Location {
	if d.Zone == nil {
		return time.UTC
	}
	return d.Zone
}

// question is one expression at one moment. Figures that ask the same share its answer.
type question struct {
	expr string
	at   time.Time
}

// plan is all that a report asks, in order, and the answers.
type plan struct {
	order   []question
	figures map[question][]string // whose question it is
	answers map[question]answer
	late    map[question]bool // had no answer in time, in an attempt before
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

// rest is the plan of the next attempt: the answers that came, and nothing asked yet.
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

// later names the figures that have a question which may be answered later, each once, in order.
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

// figure is the answer as a figure, without data where there is none.
func (p *plan) figure(name, expr string, at time.Time) reporter.Figure {
	a := p.answers[question{expr, at.UTC()}]
	switch {
	case a.err != nil:
		return reporter.NoData(name, expr, at, a.err.Error())
	case len(a.samples) == 0:
		return reporter.NoData(name, expr, at, reasonEmpty)
	}
	f := reporter.Figure{Name: name, Expr: expr, At: at, Samples: a.samples}
	if _, ok := f.Value(); !ok {
		f.Reason = "the result is not a finite number"
	}
	return f
}

// sum adds up the days' samples by their labels. Days without data are counted, so that the sum says that they are
// missing.
func (p *plan) sum(name, expr string, at time.Time, days []time.Time) reporter.Figure {
	out := reporter.Figure{Name: name, Expr: expr, At: at, Days: len(days)}
	places := map[string]int{}
	for _, day := range days {
		f := p.figure(name, expr, day)
		if _, ok := f.Value(); !ok {
			if out.Reason == "" || out.Reason == reasonEmpty { // a fault says more
				out.Reason = f.Reason
			}
			continue
		}
		out.DaysKnown++
		for _, s := range f.Samples {
			key := fmt.Sprint(s.Labels) // fmt prints maps in order of their keys
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

// unanswered returns an error where not one question was answered; nil where nothing was asked.
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

// answer asks the questions of the plan that have no answer, those last that had none in time before. While a server lets
// every query run into its timeout, the rest is not asked: each would cost a timeout too.
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
	_ = group.Wait() // no function of the group returns an error
	for n, q := range open {
		p.answers[q] = answers[n]
	}
}

var errNotAsked = errors.New("not asked, because the queries before had no answer in time")

func (b *Builder) ask(ctx context.Context, q question) ([]reporter.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	samples, err := b.cfg.Querier.Query(ctx, q.expr, q.at)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &reporter.UnansweredError{Err: timeoutError{b.cfg.Timeout}}
	}
	return samples, err
}

// timeoutError is context.DeadlineExceeded in words for people.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string { return fmt.Sprintf("no answer within %v", e.after) }
func (timeoutError) Unwrap() error   { return context.DeadlineExceeded }

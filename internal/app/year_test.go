package app

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

const (
	yearStep = 5 * time.Minute // between samples
	yearDays = 365
	// yearBlock is the span of a block: what the database's own compaction makes of a retention of 400 days, which is the
	// largest of 2 h, 6 h, 18 h … that is no more than a tenth of it.
	yearBlock = 486 * time.Hour
)

// Each operation is a report built over a year's series of the builtin KPIs in the embedded database, due on another day
// each time; the daily one asks for 7 days of trend, the monthly one for each day of its month.
func BenchmarkReportOverAYear(b *testing.B) {
	dir, end := b.TempDir(), time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	writeYear(b, dir, end)
	e, err := promql.OpenEmbedded(promql.EmbeddedConfig{Dir: dir, Retention: 400 * 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	builder := report.NewBuilder(report.BuilderConfig{Querier: e})
	for _, name := range report.Builtins {
		b.Run(name, func(b *testing.B) {
			d, err := report.Builtin(name)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				due := end.AddDate(0, 0, -n%(yearDays-70)) // weeks are compared, and months are of 31 days
				r, err := builder.Build(b.Context(), d, due)
				if err != nil {
					b.Fatal(err)
				}
				for figure, f := range r.Figures {
					if _, ok := f.Value(); !ok || f.Days != f.DaysKnown {
						b.Fatalf("%s due %v: figure %s of %d of %d days: %s", name, due, figure, f.DaysKnown, f.Days, f.Reason)
					}
				}
				for _, f := range r.Trend.Figures {
					for _, v := range f.Values {
						if math.IsNaN(v) {
							b.Fatalf("%s due %v: the trend of %s lacks a day", name, due, f.Name)
						}
					}
				}
			}
		})
	}
}

// writeYear fills a database with a year of the builtin set's series, in blocks as they are after compaction.
func writeYear(b *testing.B, dir string, end time.Time) {
	b.Helper()
	var series []labels.Labels
	set, err := collector.Builtin("awoooi")
	if err != nil {
		b.Fatal(err)
	}
	values := map[string][]string{
		"category": {"application", "database", "infrastructure", "network", "other", "security", "storage", "uncategorized"},
		"name":     {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "other"},
		"stat":     {"avg", "p50", "p95"},
	}
	for _, q := range set.Queries {
		for _, m := range q.Metrics {
			one := labels.FromStrings("__name__", m.Name, "job", "awoooi-reporter", "instance", "embedded")
			if len(m.Labels) == 0 {
				series = append(series, one)
				continue
			}
			for _, v := range values[m.Labels[0]] {
				series = append(series, labels.NewBuilder(one).Set(m.Labels[0], v).Labels())
			}
		}
	}
	var block *tsdb.BlockWriter
	flush := func() {
		if block == nil {
			return
		}
		if _, err := block.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := block.Close(); err != nil {
			b.Fatal(err)
		}
	}
	refs, until := make([]storage.SeriesRef, len(series)), time.Time{}
	for n, at := 0, end.AddDate(0, 0, -yearDays); !at.After(end); n, at = n+1, at.Add(yearStep) {
		if !at.Before(until) {
			flush()
			clear(refs)
			// Blocks begin at multiples of their span since 1970.
			until = time.UnixMilli((at.UnixMilli()/yearBlock.Milliseconds() + 1) * yearBlock.Milliseconds())
			if block, err = tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, yearBlock.Milliseconds()); err != nil {
				b.Fatal(err)
			}
		}
		app := block.Appender(b.Context())
		for k, ls := range series {
			// A figure that rises and falls over the day, each series on its own level.
			v := math.Round(float64(10+k) * (1 + math.Sin(2*math.Pi*float64(n)*yearStep.Hours()/24)/2))
			if refs[k], err = app.Append(refs[k], ls, at.UnixMilli(), v); err != nil {
				b.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	flush()
}

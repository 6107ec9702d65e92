package render_test

import (
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/render"
)

// Each operation renders the daily report with every figure and its changes, and its summary.
func BenchmarkReport(b *testing.B) {
	values := with(seed(), map[string]float64{
		"alerts_before2": 131, "repairs_succeeded_before": 41, "repairs_failed_before": 4, "incidents_open": 3, "incidents_open_before": 2,
		"resolved_incidents": 17, "resolution_median": 1394.5,
	})
	benchmark(b, func(r *render.Renderer, locale string) (reporter.Message, error) {
		due := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
		return r.Report(reporter.Report{
			Name: "daily", Title: "AWOOOI", Locale: locale, Due: due, Since: due.Add(-24 * time.Hour), Built: due.Add(3 * time.Second),
			Zone: time.UTC, Health: reporter.HealthThresholds{Excellent: 0.8, Good: 0.5}, Figures: figures(values),
		})
	})
}

// Each operation renders a postmortem with every optional part.
func BenchmarkPostmortem(b *testing.B) {
	p := fullPostmortem(b)
	benchmark(b, func(r *render.Renderer, locale string) (reporter.Message, error) {
		p.Locale = locale
		return r.Postmortem(p)
	})
}

func benchmark(b *testing.B, text func(r *render.Renderer, locale string) (reporter.Message, error)) {
	b.Helper()
	r, err := render.New(render.Options{ExternalURL: "https://reporter.example.org/"})
	if err != nil {
		b.Fatal(err)
	}
	for _, locale := range []string{"zh-TW", "en"} {
		b.Run(locale, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, err := text(r, locale)
				if err != nil || m.HTML == "" || m.Summary == "" {
					b.Fatalf("%d bytes, %v", len(m.HTML), err)
				}
			}
		})
	}
}

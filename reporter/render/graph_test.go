package render

import (
	"math"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestGraphTextHasTheValues(t *testing.T) {
	t.Parallel()
	r, err := New(Options{Locale: "en", Zone: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 4, 22, 10, 0, 0, 0, time.UTC)
	of := func(values ...float64) (s reporter.Series) {
		for n, v := range values {
			s.Points = append(s.Points, reporter.Point{At: start.Add(time.Duration(n) * time.Minute), Value: v})
		}
		return s
	}
	threshold := 0.9
	for name, tc := range map[string]struct {
		locale string
		g      reporter.Graph
		names  []string
		want   string
	}{
		"series and a threshold": {
			"en", reporter.Graph{Title: "Disk", Series: []reporter.Series{of(0.5, 0.25, 0.95, 0.75), of(1, 1)}, Threshold: &threshold},
			[]string{"api-1", "<b>\nx"},
			"Disk: api-1 lowest 0.25 (10:01), highest 0.95 (10:02), last 0.75; <b> x lowest 1 (10:00), highest 1 (10:00), last 1; threshold 0.9",
		},
		"gaps": {
			"zh-TW", reporter.Graph{Title: "負載", Series: []reporter.Series{of(math.NaN(), 2, math.Inf(1), 3, math.NaN())}}, []string{""},
			"負載: 最低 2 (18:01), 最高 3 (18:03), 最後 3",
		},
		"small values": {
			"en", reporter.Graph{Title: "Errors", Series: []reporter.Series{of(0.0012, 0.0251)}, Threshold: new(0.005)}, []string{""},
			"Errors: lowest 0.0012 (10:00), highest 0.03 (10:01), last 0.03; threshold 0.005",
		},
		"a series without a value": {
			"en", reporter.Graph{Title: "Load", Series: []reporter.Series{of(math.NaN()), of(4)}}, []string{"a", "b"},
			"Load: b lowest 4 (10:00), highest 4 (10:00), last 4",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := time.UTC
			if tc.locale == "zh-TW" {
				zone = time.FixedZone("Asia/Taipei", 8*3600)
			}
			if got, err := r.GraphText(tc.locale, zone, tc.g, tc.names); err != nil || got != tc.want {
				t.Errorf("got  %s\nwant %s\n%v", got, tc.want, err)
			}
		})
	}
}

package dashboards

import (
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// noisePrefix begins the names of the metrics of the review of alert noise.
const noisePrefix = "awoooi_alert_noise_"

// Noise makes the dashboard of the review of alert noise from the gauges of the set reporter.
func Noise(o Options) ([]byte, error) {
	o = o.withDefaults()
	k := newKPIs(o.Queries)
	var now, names, over []panel
	add := func(to *[]panel, name string, p panel) {
		if !k.has(name) {
			return
		}
		p.help, p.targets = k.metrics[name].Help, []target{{k.by(name, ""), legendOf(k.metrics[name])}}
		if p.kind == bars {
			p.targets[0].expr = "sort_desc(" + p.targets[0].expr + ")"
		}
		*to = append(*to, p)
	}
	add(&now, noisePrefix+"names", panel{kind: figures, title: "Alert names", unit: units.NoUnit, width: 6})
	add(&now, noisePrefix+"candidates", panel{
		kind: figures, title: "Reasons to fix one", unit: units.NoUnit, width: 6, thresholds: from("green", 1.0, "yellow"),
	})
	add(&now, chronic, panel{
		kind: figures, title: "Chronic alerts", unit: units.NoUnit, width: 6, thresholds: from("green", 1.0, "red"),
	})
	add(&names, noisePrefix+"candidate_ratio", panel{kind: bars, title: "To fix, and why", unit: units.PercentUnit, width: 24})
	for _, b := range []struct{ name, title, unit string }{
		{"episodes", "Episodes", units.NoUnit},
		{"flaps", "Flaps", units.NoUnit},
		{"short_ratio", "Shorter than 5 minutes", units.PercentUnit},
		{"off_hours", "Outside working hours", units.NoUnit},
		{"firing_seconds", "Time firing", units.Seconds},
		{"resolution_seconds", "Time to resolve", units.Seconds},
		{"resolved", "Episodes that ended", units.NoUnit},
		{"acknowledged_ratio", "Episodes of acknowledged incidents", units.PercentUnit},
		{"acknowledgement_seconds", "Time to acknowledge", units.Seconds},
		{"acknowledged", "Acknowledged incidents", units.NoUnit},
	} {
		add(&names, noisePrefix+b.name, panel{kind: bars, title: b.title, unit: b.unit, width: 12})
	}
	add(&over, noisePrefix+"episodes", panel{kind: lines, title: "Episodes", unit: units.NoUnit, width: 24})
	add(&over, chronic, panel{kind: lines, title: "Chronic alerts", unit: units.NoUnit, width: 24})
	return board{
		uid: NoiseUID, title: "AWOOOI alert noise", from: "now-30d", options: o,
		help: "Which alerts fire too often, too briefly or all the time, in the trailing 7 days: the review of the weekly report.",
		sections: slices.DeleteFunc([]section{
			{"The last 7 days", now}, {"By alert name", names}, {"Over time", over},
		}, func(s section) bool { return len(s.panels) == 0 }),
	}.json()
}

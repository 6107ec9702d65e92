package app

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

var updateSLO = flag.Bool("update-slo", false, "write the golden texts of the examples of service level objectives again")

// The rules that Sloth and Pyrra generate for an objective of 99.9 % record these series; the values are those of a bad day.
var recorded = map[string][]string{
	"sloth": {
		`slo:objective:ratio{%s} 0.999`, `slo:error_budget:ratio{%s} 0.001`, `slo:time_period:days{%s} 30`,
		`slo:current_burn_rate:ratio{%s} 2.5`, `slo:period_burn_rate:ratio{%s} 0.286`, `slo:period_error_budget_remaining:ratio{%s} 0.714`,
	},
	"pyrra": {
		`pyrra_objective{%s} 0.999`, `pyrra_window{%s} 2419200`, `pyrra_availability{%s} 0.99925`, `pyrra_requests:rate5m{%s} 200`,
		`pyrra_errors:rate5m{%s} 4`,
	},
}

var objectiveLabels = map[string]string{
	"sloth": `sloth_id="checkout-requests-availability",sloth_service="checkout",sloth_slo="requests-availability"`,
	"pyrra": `slo="checkout-availability"`,
}

// The examples of objectives show the series that a real Prometheus has recorded under the names of Sloth and Pyrra.
func TestExamplesOfServiceLevelObjectives(t *testing.T) {
	t.Parallel()
	due := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	var text strings.Builder
	for _, name := range []string{"pyrra", "sloth"} {
		for _, series := range recorded[name] {
			for at := due.Add(-8 * 24 * time.Hour); !at.After(due); at = at.Add(4 * time.Minute) {
				fmt.Fprintf(&text, series+" %d\n", objectiveLabels[name], at.Unix())
			}
		}
	}
	text.WriteString("# EOF\n")
	dir := t.TempDir()
	input := filepath.Join(dir, "recorded.txt")
	if err := os.WriteFile(input, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool := filepath.Join(os.Getenv("AWOOOI_TOOLS"), "bin", "promtool")
	if path, err := exec.LookPath("promtool"); err == nil {
		promtool = path
	} else if os.Getenv("AWOOOI_TOOLS") == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		promtool = filepath.Join(cache, "awoooi-reporter", "tools", "bin", "promtool")
	}
	out, err := exec.CommandContext(t.Context(), promtool, "tsdb", "create-blocks-from", "--max-block-duration=24h", "openmetrics", input,
		filepath.Join(dir, "data")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	prom, err := localstack.StartPrometheus(context.WithoutCancel(t.Context()), localstack.PrometheusOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := prom.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name := range recorded {
		example, err := os.ReadFile("../../docs/examples/slo-" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, locale := range []string{"zh-TW", "en"} {
			// Only the section of the example is compared: the other series are not in this Prometheus.
			r := start(t, string(example)+"locale: "+locale+"\nprometheus: {url: "+prom.URL()+"}\n")
			rep, msg, err := r.texts.Report(t.Context(), "daily", due)
			if err != nil {
				t.Fatal(err)
			}
			_, got, found := strings.Cut(msg.HTML, "<b>🎯")
			got, _, _ = strings.Cut("<b>🎯"+got, "\n\n")
			if !found || rep.Trend == nil {
				t.Fatalf("%s %s has no section, or no trend:\n%s", name, locale, msg.HTML)
			}
			golden := filepath.Join("testdata", "slo-"+name+"."+locale+".html")
			if *updateSLO {
				if err := os.WriteFile(golden, []byte(got+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		}
	}
}

package app

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var updateBenchmarks = flag.Bool("update-benchmarks", false, "make the results of docs/benchmarks.md from docs/benchmarks.txt")

const (
	benchmarksFile = "../../docs/benchmarks.md"
	benchmarksRun  = "../../docs/benchmarks.txt" // the output of `make bench`
	resultsMark    = "<!-- The rest is made from benchmarks.txt. -->\n"

	mib = 1 << 20
)

// docs/benchmarks.md shows the results of the run in docs/benchmarks.txt.
func TestResultsOfBenchmarksAreThoseOfTheRun(t *testing.T) {
	t.Parallel()
	out, err := os.ReadFile(benchmarksRun)
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(benchmarksFile)
	if err != nil {
		t.Fatal(err)
	}
	manual, _, found := strings.Cut(string(have), resultsMark)
	if !found {
		t.Fatalf("docs/benchmarks.md has no line %q", resultsMark)
	}
	text := manual + resultsMark + results(t, string(out))
	if *updateBenchmarks {
		if err := os.WriteFile(benchmarksFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(have) != text {
		t.Errorf("docs/benchmarks.md shows other results than docs/benchmarks.txt; run with -update-benchmarks. It would end:\n%s", results(t, string(out)))
	}
}

// results is a table of the run's benchmarks, with the median of each figure where the run repeats them.
func results(t *testing.T, run string) string {
	t.Helper()
	var text strings.Builder
	var order []string
	units := map[string][]string{}              // by benchmark, in order
	values := map[string]map[string][]float64{} // by benchmark and unit
	processors := regexp.MustCompile(`-\d+$`)   // at the end of a benchmark's name
	for _, line := range strings.Split(run, "\n") {
		if note, ok := strings.CutPrefix(line, "# "); ok {
			fmt.Fprintf(&text, "- %s\n", note)
		}
		if cpu, ok := strings.CutPrefix(line, "cpu: "); ok && !strings.Contains(text.String(), "- cpu ") {
			fmt.Fprintf(&text, "- cpu %s\n", strings.TrimSpace(cpu))
		}
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		name := processors.ReplaceAllString(fields[0], "")
		if values[name] == nil {
			order, values[name] = append(order, name), map[string][]float64{}
		}
		for n := 2; n+1 < len(fields); n += 2 {
			v, err := strconv.ParseFloat(fields[n], 64)
			if err != nil {
				t.Fatalf("benchmarks.txt: %q: %v", line, err)
			}
			unit := fields[n+1]
			if !slices.Contains(units[name], unit) {
				units[name] = append(units[name], unit)
			}
			values[name][unit] = append(values[name][unit], v)
		}
	}
	if len(order) == 0 {
		t.Fatal("benchmarks.txt holds no results")
	}
	text.WriteString("\n| benchmark | an operation takes | and allocates | else |\n|---|--:|--:|---|\n")
	for _, name := range order {
		var takes, allocates, others []string
		for _, unit := range units[name] {
			v := median(values[name][unit])
			switch unit {
			case "ns/op":
				takes = append(takes, duration(v))
			case "B/op":
				allocates = append(allocates, size(v))
			case "allocs/op":
				allocates = append(allocates, fmt.Sprintf("%.0f times", v))
			default:
				others = append(others, fmt.Sprintf("%s %s", number(v), unit))
			}
		}
		cells := []string{code(strings.TrimPrefix(name, "Benchmark")), strings.Join(takes, ""), strings.Join(allocates, ", "), strings.Join(others, ", ")}
		text.WriteString(row(cells...))
	}
	return text.String()
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func number(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func duration(ns float64) string {
	switch {
	case ns >= 1e9:
		return fmt.Sprintf("%.2f s", ns/1e9)
	case ns >= 1e6:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	default:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	}
}

func size(bytes float64) string {
	if bytes >= mib {
		return fmt.Sprintf("%.3g MiB", bytes/mib)
	}
	return fmt.Sprintf("%.3g KiB", bytes/1024)
}

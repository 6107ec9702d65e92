// Command compare measures scrapes of this program with those of sql_exporter: two binaries come in, medians, quartiles and their
// ratio go out, for the same queries on the same throw-away PostgreSQL.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

type options struct {
	ours, theirs           string
	rows, scrapes, several int
}

func main() {
	var o options
	flag.StringVar(&o.ours, "binary", "bin/awoooi-reporter", "this program")
	flag.StringVar(&o.theirs, "sql_exporter", "sql_exporter", "the program to compare with")
	flag.IntVar(&o.rows, "rows", 10_000, "incidents in the window")
	flag.IntVar(&o.scrapes, "scrapes", 200, "single scrapes of each")
	flag.IntVar(&o.several, "several", 50, "rounds of eight scrapes at once of each")
	flag.Parse()
	os.Exit(run(o))
}

func run(o options) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "awoooi-compare-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	pg, err := localstack.StartPostgres(ctx, localstack.PostgresOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	if err := pg.CreateDatabase(ctx, "awoooi"); err != nil {
		return err
	}
	dsn := pg.DSN("awoooi")
	if err := localstack.InstallAWOOOI(ctx, dsn); err != nil {
		return err
	}
	if err := localstack.SeedRows(ctx, dsn, o.rows, time.Now()); err != nil {
		return err
	}
	theirs, queries, err := peerConfig(dsn)
	if err != nil {
		return err
	}
	ours, err := json.Marshal(map[string]any{
		"sources":   []any{map[string]any{"name": "awoooi", "kind": "postgres", "dsn": dsn}},
		"collector": map[string]any{"scrape_timeout": "1m"},
	})
	if err != nil {
		return err
	}
	var urls []string
	for _, p := range []struct {
		name, binary string
		config       []byte
		args         []string
	}{
		{"awoooi-reporter", o.ours, ours, []string{"run", "--role", "collector"}},
		{"sql_exporter", o.theirs, theirs, nil},
	} {
		file := filepath.Join(dir, p.name+".yaml")
		if err := os.WriteFile(file, p.config, 0o600); err != nil { // JSON is YAML
			return err
		}
		addr, stop, err := start(ctx, p.binary, append(p.args, "--config.file="+file, "--log.level=error"))
		if err != nil {
			return err
		}
		defer stop()
		urls = append(urls, "http://"+addr+"/metrics")
	}
	load, _ := os.ReadFile("/proc/loadavg") // exists only on Linux
	fmt.Fprintf(out, "%d incidents in the window, %d queries, load %s", o.rows, queries, load)
	if err := compare(ctx, out, "one scrape", urls, o.scrapes, 1); err != nil {
		return err
	}
	return compare(ctx, out, "eight at once", urls, o.several, 8)
}

// peerConfig is the set awoooi in the format of sql_exporter, which has no parameters: a window is written as now() and an
// interval.
func peerConfig(dsn string) (config []byte, queries int, err error) {
	set, err := collector.Builtin("awoooi")
	if err != nil {
		return nil, 0, err
	}
	var metrics, statements []any
	for _, q := range set.Queries {
		if q.SQL == "" {
			continue
		}
		hours := fmt.Sprintf("(now() - interval '%d hours')", int(q.Window().Hours()))
		sql := strings.NewReplacer("@"+kpi.Since, hours, "@"+kpi.Until, "now()").Replace(q.SQL)
		statements = append(statements, map[string]any{"query_name": q.Name, "query": sql})
		for _, m := range q.Metrics {
			metrics = append(metrics, map[string]any{
				"metric_name": m.Name, "help": m.Help, "type": "gauge", "key_labels": m.Labels, "values": []string{m.Value},
				"query_ref": q.Name,
			})
		}
	}
	config, err = json.Marshal(map[string]any{
		"global":     map[string]any{"scrape_timeout": "1m"},
		"target":     map[string]any{"data_source_name": dsn, "collectors": []string{"awoooi"}},
		"collectors": []any{map[string]any{"collector_name": "awoooi", "metrics": metrics, "queries": statements}},
	})
	return config, len(statements), err
}

// start runs a program that serves /metrics, until stop is called.
func start(ctx context.Context, binary string, args []string) (addr string, stop func(), err error) {
	if addr, err = localstack.FreeAddress(ctx); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, binary, append(args, "--web.listen-address="+addr)...) //nolint:gosec // the binaries are given by the user
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		_ = cmd.Wait()
	}
	for range 100 {
		if _, err = scrape(ctx, "http://"+addr+"/metrics"); err == nil {
			return addr, stop, nil
		}
		select {
		case <-ctx.Done():
			stop()
			return "", nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	stop()
	return "", nil, fmt.Errorf("%s does not serve metrics: %w", binary, err)
}

var client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}

// scrape returns how long an answer took; it is an error if that lacks the figures.
func scrape(ctx context.Context, url string) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	took := time.Since(begun)
	for _, metric := range []string{"\nawoooi_alerts{", "\nawoooi_incident_resolution_seconds{", "\nawoooi_repairs_failed "} {
		if err == nil && !strings.Contains(string(body), metric) {
			err = fmt.Errorf("status %d, without %s", resp.StatusCode, strings.TrimSpace(metric))
		}
	}
	return took, err
}

// compare scrapes the two programs alternately, so that other load of the machine affects both alike.
func compare(ctx context.Context, out io.Writer, what string, urls []string, rounds, together int) error {
	took, failed := make([][]time.Duration, len(urls)), make([]map[string]int, len(urls))
	for round := range rounds + 1 {
		for n, url := range urls {
			begun := time.Now()
			var wg sync.WaitGroup
			errs := make([]error, together)
			for k := range together {
				wg.Go(func() { _, errs[k] = scrape(ctx, url) })
			}
			wg.Wait()
			elapsed := time.Since(begun)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if round == 0 { // the first round opens connections
				continue
			}
			if err := errors.Join(errs...); err != nil {
				if failed[n] == nil {
					failed[n] = map[string]int{}
				}
				failed[n][strings.SplitN(err.Error(), "\n", 2)[0]]++
			}
			took[n] = append(took[n], elapsed)
		}
	}
	fmt.Fprintf(out, "%s, %d times each, in turn\n", what, rounds)
	var medians []time.Duration
	for n, name := range []string{"awoooi-reporter", "sql_exporter"} {
		slices.Sort(took[n])
		quartile := func(k int) time.Duration { return took[n][(len(took[n])-1)*k/4].Round(10 * time.Microsecond) }
		medians = append(medians, quartile(2))
		fmt.Fprintf(out, "  %-16s median %v, quartiles %v %v\n", name, quartile(2), quartile(1), quartile(3))
		for _, err := range slices.Sorted(maps.Keys(failed[n])) {
			fmt.Fprintf(out, "  %-16s failed %d times: %s\n", name, failed[n][err], err)
		}
	}
	fmt.Fprintf(out, "  ratio of the medians %.2f\n", float64(medians[0])/float64(medians[1]))
	return nil
}

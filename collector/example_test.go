package collector_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// files is a Source that counts files. The path of a query's http block is the pattern; a kind of its own would have its own
// key in kpi.Query.
type files struct{ dir string }

// Read answers each query on its own: one that fails leaves the others alone.
func (f files) Read(ctx context.Context, _ time.Time, queries []kpi.Query, give collector.Give) {
	collector.Each(ctx, queries, give, func(_ context.Context, q kpi.Query) (collector.Rows, error) {
		names, err := filepath.Glob(filepath.Join(f.dir, q.HTTP.Path))
		if err != nil {
			return collector.Rows{}, fmt.Errorf("files: %w", err)
		}
		return collector.Rows{Columns: []string{"value"}, Values: [][]any{{int64(len(names))}}}, nil
	})
}

// Close has nothing to release.
func (files) Close() {}

// A Source turns queries into rows. The collector does the rest: deadlines, labels, limits, self-metrics.
func ExampleSource() {
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"a.job", "b.job", "README"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			fmt.Println(err)
			return
		}
	}
	query := func(name, pattern, metric string) kpi.Query {
		return kpi.Query{
			Name: name, Source: "spool", Timeout: 10 * time.Second, MaxSeries: 1, HTTP: kpi.HTTPQuery{Path: pattern},
			Metrics: []kpi.Metric{{Name: metric, Help: "Files in the spool.", Value: "value"}},
		}
	}
	c := collector.New(collector.Config{
		Sources:       []collector.NamedSource{{Name: "spool", Kind: "files", Source: files{dir}}},
		ScrapeTimeout: 10 * time.Second,
		Queries:       []kpi.Query{query("jobs", "*.job", "acme_jobs"), query("broken", "[", "acme_broken")},
	}, slog.New(slog.DiscardHandler), time.Now)
	defer c.Close()

	scrape := httptest.NewRecorder()
	c.Handler(prometheus.NewRegistry()).ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(scrape.Body.String()) {
		if strings.HasPrefix(line, "acme_") || strings.HasPrefix(line, "awoooi_collector_query_success") {
			fmt.Print(line)
		}
	}
	// Output:
	// acme_jobs 2
	// awoooi_collector_query_success{query="broken",source="spool"} 0
	// awoooi_collector_query_success{query="jobs",source="spool"} 1
}

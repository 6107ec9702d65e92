package localstack

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// PrometheusOptions configures a Prometheus. The zero value has no targets and no rules.
type PrometheusOptions struct {
	Dir             string        // configuration and data; "" means a new directory that Stop removes
	ScrapeInterval  time.Duration // of scrapes and rule evaluations; default 1 s
	Targets         []string      // host:port, scraped at /metrics under the job "awoooi"
	Rules           string        // content of a rule file
	AlertmanagerURL string
	ExtraConfig     string // further top-level YAML of prometheus.yml
	WebConfig       string // content of the web configuration file (TLS, basic auth)
	Args            []string
}

// Prometheus is a real Prometheus server on a free loopback port.
type Prometheus struct{ server *toolServer }

// StartPrometheus starts a Prometheus and waits until it is ready. It runs until Stop, or until ctx ends.
func StartPrometheus(ctx context.Context, o PrometheusOptions) (*Prometheus, error) {
	bin, err := findProgram("PROMETHEUS_BIN", "prometheus")
	if err != nil {
		return nil, err
	}
	dir, remove, err := toolDir(o.Dir, "prometheus")
	if err != nil {
		return nil, err
	}
	conf, err := prometheusConfig(o, dir)
	if err != nil {
		remove()
		return nil, fmt.Errorf("prometheus config: %w", err)
	}
	files := map[string]string{"prometheus.yml": conf}
	args := []string{
		"--config.file=" + filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path=" + filepath.Join(dir, "data"),
		"--web.enable-lifecycle",
	}
	if o.Rules != "" {
		files["rules.yml"] = o.Rules
	}
	if o.WebConfig != "" {
		files["web.yml"] = o.WebConfig
		args = append(args, "--web.config.file="+filepath.Join(dir, "web.yml"))
	}
	s, err := startTool(ctx, toolSpec{
		name: "prometheus", bin: bin, dir: dir, files: files, remove: remove,
		https: strings.Contains(o.WebConfig, "tls_server_config"),
		args:  func(addr string) []string { return append(append(args, o.Args...), "--web.listen-address="+addr) },
	})
	if err != nil {
		return nil, err
	}
	return &Prometheus{server: s}, nil
}

// URL is the address of the server, without a slash at its end.
func (p *Prometheus) URL() string { return p.server.url }

// Stop ends the server and waits for its end. A second call does nothing.
func (p *Prometheus) Stop() error { return p.server.stop() }

func prometheusConfig(o PrometheusOptions, dir string) (string, error) {
	interval := o.ScrapeInterval
	if interval <= 0 {
		interval = time.Second
	}
	ms := fmt.Sprintf("%dms", max(interval.Milliseconds(), 1))
	conf := map[string]any{
		"global": map[string]any{"scrape_interval": ms, "scrape_timeout": ms, "evaluation_interval": ms},
	}
	if len(o.Targets) > 0 {
		conf["scrape_configs"] = []any{map[string]any{
			"job_name":       "awoooi",
			"static_configs": []any{map[string]any{"targets": o.Targets}},
		}}
	}
	if o.Rules != "" {
		conf["rule_files"] = []string{filepath.Join(dir, "rules.yml")}
	}
	if o.AlertmanagerURL != "" {
		scheme, host, ok := strings.Cut(strings.TrimRight(o.AlertmanagerURL, "/"), "://")
		if !ok {
			return "", fmt.Errorf("alertmanager URL %q has no scheme", o.AlertmanagerURL)
		}
		host, prefix, _ := strings.Cut(host, "/")
		conf["alerting"] = map[string]any{"alertmanagers": []any{map[string]any{
			"scheme": scheme, "path_prefix": "/" + prefix,
			"static_configs": []any{map[string]any{"targets": []string{host}}},
		}}}
	}
	b, err := yaml.Marshal(conf)
	if err != nil {
		return "", err
	}
	return string(b) + o.ExtraConfig, nil
}

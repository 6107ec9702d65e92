package localstack

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
)

// PrometheusOptions says how the throw-away Prometheus is set up. The zero value is one without targets and rules.
type PrometheusOptions struct {
	Dir             string        // configuration and data; empty is a new directory that Stop removes
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

// StartPrometheus starts a Prometheus and waits until it is ready. It ends at Stop, or when ctx ends.
func StartPrometheus(ctx context.Context, o PrometheusOptions) (*Prometheus, error) {
	bin, err := findTool("PROMETHEUS_BIN", "prometheus")
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

// toolSpec is a server program that listens on a given address and answers on /-/ready.
type toolSpec struct {
	name   string
	bin    string
	dir    string
	files  map[string]string // written below dir before the start
	remove func()
	https  bool
	args   func(addr string) []string
}

// toolServer is a running server program.
type toolServer struct {
	url    string
	cmd    *exec.Cmd
	done   chan struct{} // closed when the process has ended
	output *tailBuffer
	remove func()
	once   sync.Once
	err    error
}

const (
	toolReadyWithin = 2 * time.Minute
	toolStopWithin  = time.Minute
	toolPoll        = 50 * time.Millisecond
	toolAttempts    = 3
)

// startTool tries a few ports, because another process may take a free one before the program listens on it.
func startTool(ctx context.Context, spec toolSpec) (*toolServer, error) {
	for name, content := range spec.files {
		if err := os.WriteFile(filepath.Join(spec.dir, name), []byte(content), 0o600); err != nil {
			spec.remove()
			return nil, fmt.Errorf("%s: %w", spec.name, err)
		}
	}
	var err error
	for range toolAttempts {
		var s *toolServer
		if s, err = launchTool(ctx, spec); err == nil {
			s.remove = spec.remove
			return s, nil
		}
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	spec.remove()
	return nil, err
}

func launchTool(ctx context.Context, spec toolSpec) (*toolServer, error) {
	addr, err := FreeAddress(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: free port: %w", spec.name, err)
	}
	scheme := "http"
	if spec.https {
		scheme = "https"
	}
	s := &toolServer{
		url: scheme + "://" + addr, done: make(chan struct{}), output: &tailBuffer{max: 8 << 10}, remove: func() {},
	}
	s.cmd = exec.CommandContext(ctx, spec.bin, spec.args(addr)...)
	s.cmd.Dir = spec.dir
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = toolStopWithin
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", spec.name, err)
	}
	go func() {
		defer close(s.done)
		// Its output says how it ended; stop and launchTool only need to know that it did.
		_ = s.cmd.Wait()
	}()
	if err := s.waitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w; its last output:\n%s", spec.name, err, s.output), s.stop())
	}
	return s, nil
}

// waitReady polls /-/ready. A server that wants a password answers 401, which is as good as ready.
func (s *toolServer) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, toolReadyWithin)
	defer cancel()
	// The certificate is a test's own, and nothing is sent to the server but this question.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: toolReadyWithin}
	tick := time.NewTicker(toolPoll)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/-/ready", nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusUnauthorized {
				return nil
			}
		}
		select {
		case <-s.done:
			return errors.New("ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func (s *toolServer) stop() error {
	s.once.Do(func() {
		defer s.remove()
		// It may have ended by itself, which is what stop wants.
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		timer := time.NewTimer(toolStopWithin)
		defer timer.Stop()
		select {
		case <-s.done:
		case <-timer.C:
			s.err = fmt.Errorf("%s: did not stop within %v, killed", filepath.Base(s.cmd.Path), toolStopWithin)
			_ = s.cmd.Process.Kill()
			<-s.done
		}
	})
	return s.err
}

// findTool returns the path of the first of the names that is there.
func findTool(env string, names ...string) (string, error) {
	if path := os.Getenv(env); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("%s: %w", env, err)
		}
		return path, nil
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	dirs := []string{}
	if tools := os.Getenv("AWOOOI_TOOLS"); tools != "" {
		dirs = append(dirs, filepath.Join(tools, "bin"))
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if home, err := os.UserHomeDir(); cache == "" && err == nil {
		cache = filepath.Join(home, ".cache")
	}
	dirs = append(dirs, filepath.Join(cache, "awoooi-reporter", "tools", "bin"))
	for _, dir := range dirs {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if _, err := exec.LookPath(path); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s is neither in PATH nor in %s: run `make tools`, or set %s",
		strings.Join(names, " or "), strings.Join(dirs, " or "), env)
}

// toolDir makes dir, or a temporary directory that remove removes where dir is empty.
func toolDir(dir, name string) (path string, remove func(), err error) {
	if dir == "" {
		path, err = os.MkdirTemp("", "awoooi-"+name+"-")
		return path, func() { _ = os.RemoveAll(path) }, err
	}
	if path, err = filepath.Abs(dir); err != nil {
		return "", nil, err
	}
	return path, func() {}, os.MkdirAll(path, 0o700)
}

// tailBuffer keeps the last bytes written to it.
type tailBuffer struct {
	mu  sync.Mutex
	max int
	buf bytes.Buffer
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - t.max; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

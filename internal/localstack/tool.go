package localstack

import (
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
)

// toolSpec is a server program that listens on a given address and has /-/ready.
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

// startTool starts a program and waits until it is ready. It tries several ports, because another process may take one before the program
// listens on it.
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
		// The output has the cause.
		_ = s.cmd.Wait()
	}()
	if err := s.waitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w; its last output:\n%s", spec.name, err, s.output), s.stop())
	}
	return s, nil
}

// waitReady polls /-/ready until the answer is 200, or 401 from a server that needs a password.
func (s *toolServer) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, toolReadyWithin)
	defer cancel()
	// The certificate is that of a test, and the request has no secrets.
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
		// The error means that it has ended already.
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

// findProgram returns the path of the first of the names that exists: the file of the environment variable env if that is set, else on
// the PATH, in the tools directory, or in its default. A name may be an absolute path; env may be "".
func findProgram(env string, names ...string) (string, error) {
	if path := os.Getenv(env); env != "" && path != "" {
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
			if path, err := exec.LookPath(filepath.Join(dir, filepath.Base(name))); err == nil {
				return path, nil
			}
		}
	}
	err := fmt.Errorf("%s is neither on the PATH nor in %s: run `make tools`", strings.Join(names, " or "), strings.Join(dirs, " or "))
	if env != "" {
		err = fmt.Errorf("%w, or set %s", err, env)
	}
	return "", err
}

// toolDir creates dir. If it is "", it creates a temporary directory, which remove removes.
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

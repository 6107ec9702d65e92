package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// maxCommand bounds the body of a command in bytes; a report with a template is the largest.
	maxCommand = 2 << 20
	// controlStop bounds how long a stop waits for commands that are running.
	controlStop = 2 * time.Second
)

// controlSocket returns the path of the socket on which the process that runs on a state takes commands. It has a directory of
// its own that only the process's user may enter, because the socket itself is open to others for a moment while it is created.
func controlSocket(c *config.Config) string { return filepath.Join(c.State.Path, "control", "socket") }

// controlPart lets commands use the running process, the only one that can read the embedded database.
type controlPart struct {
	listener net.Listener // nil if it could not be opened
	server   *http.Server
	log      *slog.Logger
}

// newControlPart opens the socket. If that fails, it is logged and the program runs without: commands are a convenience.
func newControlPart(ctx context.Context, c *config.Config, box *toolbox, log *slog.Logger) *controlPart {
	p := &controlPart{log: log}
	mux := http.NewServeMux()
	for _, o := range operations() {
		mux.Handle("POST /"+o.path(), o.handler(box))
	}
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}
	var err error
	if p.listener, err = listenControl(ctx, controlSocket(c)); err != nil {
		log.Warn("commands cannot use this process: to read the embedded database they need it to be stopped", "err", err)
		p.listener = nil
	}
	return p
}

// listenControl creates the socket. An existing one was left by a process that was killed, since this one holds the state's lock.
func listenControl(ctx context.Context, path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory needs the right to enter it
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.EINVAL):
		return nil, fmt.Errorf("control socket %s: the path is too long for a socket (about 100 bytes), use a shorter state.path", path)
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

func (p *controlPart) run(ctx context.Context) error {
	if p.listener == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		bounded, done := context.WithTimeout(context.WithoutCancel(ctx), controlStop)
		defer done()
		if err := p.server.Shutdown(bounded); err != nil {
			p.server.Close()
		}
	})
	defer stop()
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		p.log.Error("commands can no longer use this process", "err", err)
	}
	return nil
}

// prepare has nothing to do: a change of state.path needs a restart, and the toolbox reads the current content.
func (p *controlPart) prepare(*config.Config) (change, error) { return unchanged(), nil }

func (p *controlPart) close() {
	if p.listener != nil {
		p.listener.Close() // removes the socket
	}
}

// runningProcess is the client of the process that runs on a state.
type runningProcess struct{ client *http.Client }

// findProcess returns the process that runs on the state of c, or nil if there is none.
func findProcess(ctx context.Context, c *config.Config) (*runningProcess, error) {
	path := controlSocket(c)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, syscall.EINVAL): // there is no socket, or its path is too long
		return nil, nil //nolint:nilnil // that no process runs is not an error
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("state %s belongs to another user: run the command as the user of the program", c.State.Path)
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	}
	conn.Close()
	return &runningProcess{client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, nil
}

// controlled is an operation, whatever its types.
type controlled interface {
	path() string
	handler(b *toolbox) http.Handler
}

// operation is a call of a toolbox, in the running process or in the process of the command.
type operation[A, R any] struct {
	name string
	do   func(b *toolbox, ctx context.Context, args A) (R, error)
}

// answer is the JSON that an operation's handler writes. There may be a result beside an error.
type answer[R any] struct {
	Result   R
	Err      string
	NotFound bool
}

func (o operation[A, R]) path() string { return o.name }

// run executes the operation in the running process if t has one, else in this process.
func (o operation[A, R]) run(ctx context.Context, t *Tools, args A) (R, error) {
	if t.process == nil {
		return o.do(t.box, ctx, args)
	}
	var got answer[R]
	body, err := json.Marshal(args)
	if err != nil {
		return got.Result, fmt.Errorf("%s: %w", o.name, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://process/"+o.name, bytes.NewReader(body))
	if err != nil {
		return got.Result, fmt.Errorf("%s: %w", o.name, err)
	}
	resp, err := t.process.client.Do(req)
	if err != nil {
		return got.Result, fmt.Errorf("the running process: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return got.Result, fmt.Errorf("the running process answers %s to %q: it is of another version; use the binary that it was "+
			"started from", resp.Status, o.name)
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return got.Result, fmt.Errorf("the running process: %s: %w", o.name, err)
	}
	switch {
	case got.NotFound:
		return got.Result, &processError{got.Err, reporter.ErrNotFound}
	case got.Err != "":
		return got.Result, errors.New(got.Err)
	}
	return got.Result, nil
}

func (o operation[A, R]) handler(b *toolbox) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var args A
		if err := json.Unmarshal(body, &args); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var a answer[R]
		if a.Result, err = o.do(b, r.Context(), args); err != nil {
			a.Err, a.NotFound = err.Error(), errors.Is(err, reporter.ErrNotFound)
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(a); err != nil {
			b.log.Warn("answer to a command was not written", "command", o.name, "err", err)
		}
	})
}

// processError is an error of the running process.
type processError struct {
	text string
	is   error
}

func (e *processError) Error() string { return e.text }
func (e *processError) Unwrap() error { return e.is }

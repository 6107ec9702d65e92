package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
)

// Check is one condition of readiness.
type Check struct {
	Name string
	// Err returns nil if the condition is met. The text of the error is only logged, because /-/ready needs no credentials and errors
	// of a database contain its address.
	Err func(ctx context.Context) error
	// Warns is set if the process can still accept webhooks when the check fails: the answer stays 200 and names the check.
	// Otherwise a load balancer would remove all processes, and lose alerts, because a bot's token was revoked.
	Warns bool
}

// RegisterHealth adds /-/healthy, which answers 200 while the process serves, and /-/ready, which answers 503 while a check without
// Warns fails. Both answers name failing checks.
func RegisterHealth(mux *http.ServeMux, log *slog.Logger, checks ...Check) {
	checks = slices.Clone(checks)
	seen := &outcomes{log: log, last: map[string]string{}}
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "awoooi-reporter is healthy.")
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, r *http.Request) {
		lines, code := []string{"awoooi-reporter is ready."}, http.StatusOK
		for _, c := range checks {
			err := c.Err(r.Context())
			if r.Context().Err() != nil {
				return // the client has left, so the result says nothing
			}
			seen.note(c.Name, err)
			if err == nil {
				continue
			}
			lines = append(lines, c.Name+": failing, see the log")
			if !c.Warns {
				lines[0], code = "awoooi-reporter is not ready.", http.StatusServiceUnavailable
			}
		}
		w.WriteHeader(code)
		for _, l := range lines {
			fmt.Fprintln(w, l)
		}
	})
}

// outcomes logs the results of checks when they change, instead of at each request.
type outcomes struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]string
}

func (o *outcomes) note(name string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case text == o.last[name]:
		return
	case err != nil:
		o.log.Warn("readiness check failed", "check", name, "err", err)
	default:
		o.log.Info("readiness check passes again", "check", name)
	}
	o.last[name] = text
}

package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
)

// Check is one condition of readiness. Err returns nil when it is met. Its text goes into the log only: anyone may ask
// whether the process is ready, and errors of a database name its address.
type Check struct {
	Name string
	Err  func(ctx context.Context) error
	// Warns is set where the process still takes everything that it is sent: the answer stays 200 and names the check. A
	// balancer that took a process away because its bot's token was revoked would lose the alerts too.
	Warns bool
}

// RegisterHealth adds /-/healthy, which answers 200 while the process serves, and /-/ready, which answers 503 with the names
// of the failing checks while one fails that does not only warn.
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
				return // the client has left, and its leaving is no outcome
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

// outcomes logs what checks find when it changes, rather than at each probe.
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

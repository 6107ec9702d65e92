package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
)

// Check is one condition of readiness. Err returns nil when it is met, and a text that is safe to show when it is not.
type Check struct {
	Name string
	Err  func(ctx context.Context) error
	// Warns is set where the process still takes everything that it is sent: the reason is shown, and the answer stays 200.
	// A balancer that took a process away because its bot's token was revoked would lose the alerts too.
	Warns bool
}

// RegisterHealth adds /-/healthy, which answers 200 while the process serves, and /-/ready, which answers 503 with the
// reasons while a check fails that does not only warn.
func RegisterHealth(mux *http.ServeMux, checks ...Check) {
	checks = slices.Clone(checks)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "awoooi-reporter is healthy.")
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, r *http.Request) {
		lines, code := []string{"awoooi-reporter is ready."}, http.StatusOK
		for _, c := range checks {
			err := c.Err(r.Context())
			if err == nil {
				continue
			}
			lines = append(lines, fmt.Sprintf("%s: %v", c.Name, err))
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

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
}

// RegisterHealth adds /-/healthy, which answers 200 while the process serves, and /-/ready, which answers 503 with the
// reasons while a check fails.
func RegisterHealth(mux *http.ServeMux, checks ...Check) {
	checks = slices.Clone(checks)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "awoooi-reporter is healthy.")
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, r *http.Request) {
		var failed []string
		for _, c := range checks {
			if err := c.Err(r.Context()); err != nil {
				failed = append(failed, fmt.Sprintf("%s: %v", c.Name, err))
			}
		}
		if len(failed) == 0 {
			fmt.Fprintln(w, "awoooi-reporter is ready.")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		for _, f := range failed {
			fmt.Fprintln(w, f)
		}
	})
}

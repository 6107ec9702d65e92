package app

import (
	"net/http"
	"net/http/pprof" // registers itself on http.DefaultServeMux too, which this program does not serve
)

// profilePath is where profiles of the process are, as Go's tools expect them: https://pkg.go.dev/net/http/pprof
const profilePath = "/debug/pprof/"

// profiles serves profiles to requests that may act on pages.
func (a *access) profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(profilePath, pprof.Index)
	mux.HandleFunc(profilePath+"cmdline", pprof.Cmdline)
	mux.HandleFunc(profilePath+"profile", pprof.Profile)
	mux.HandleFunc(profilePath+"symbol", pprof.Symbol)
	mux.HandleFunc(profilePath+"trace", pprof.Trace)
	return a.forPages(a.forActions(mux))
}

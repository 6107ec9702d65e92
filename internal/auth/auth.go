// Package auth decides whether a request may come in: its Authorization header comes in, yes or no goes out.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// Guard is who may come in. Without a token and a user the door is open; with both, either will do.
type Guard struct {
	BearerToken secret.Text
	Username    string
	Password    secret.Text
}

// Open says that anyone may come in.
func (g Guard) Open() bool { return g.BearerToken.Empty() && g.Username == "" }

// Admits compares in constant time: sums of equal length, all of them, whatever the first says.
func (g Guard) Admits(r *http.Request) bool {
	if g.Open() {
		return true
	}
	token, user := !g.BearerToken.Empty(), g.Username != ""
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	byToken := token && strings.EqualFold(scheme, "Bearer") && same(strings.TrimSpace(given), g.BearerToken.Reveal())
	name, password, basic := r.BasicAuth()
	nameIs, passwordIs := same(name, g.Username), same(password, g.Password.Reveal())
	return byToken || (user && basic && nameIs && passwordIs)
}

// Ask tells the client how to come in, in a line for each way: Chromium asks nobody for a password where a line holds two.
func Ask(h http.Header) {
	h.Set("WWW-Authenticate", `Basic realm="awoooi-reporter", charset="UTF-8"`)
	h.Add("WWW-Authenticate", "Bearer")
}

// Require lets through to h whom the guard of the moment admits.
func Require(guard func() Guard, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !guard().Admits(r) {
			Ask(w.Header())
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

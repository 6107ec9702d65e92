// Package auth decides whether a request is served: its origin, Host and Authorization headers come in, a verdict and, where
// it is a refusal, the answer go out.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// Guard is the credentials that requests need. Without a token and a user it admits everybody; with both, either will do.
// A username needs a password: with an empty one nobody is admitted by name.
type Guard struct {
	BearerToken secret.Text
	Username    string
	Password    secret.Text
}

// Open says whether the guard admits everybody.
func (g Guard) Open() bool { return g.BearerToken.Empty() && g.Username == "" }

// Admits says whether the request carries the credentials. It compares hashes of equal length in constant time, and always
// makes all comparisons.
func (g Guard) Admits(r *http.Request) bool {
	if g.Open() {
		return true
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	isToken := equal(strings.TrimSpace(given), g.BearerToken.Reveal())
	name, password, _ := r.BasicAuth()
	isName, isPassword := equal(name, g.Username), equal(password, g.Password.Reveal())
	byToken := strings.EqualFold(scheme, "Bearer") && isToken && !g.BearerToken.Empty()
	byName := strings.EqualFold(scheme, "Basic") && isName && isPassword && g.Username != "" && !g.Password.Empty()
	return byToken || byName
}

// Challenge asks the client for credentials, with one header line for each way: Chromium shows no prompt where one line
// holds both.
func Challenge(h http.Header) {
	h.Set("WWW-Authenticate", `Basic realm="awoooi-reporter", charset="UTF-8"`)
	h.Add("WWW-Authenticate", "Bearer")
}

func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

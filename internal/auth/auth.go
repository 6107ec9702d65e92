// Package auth decides whether an HTTP request is served: its Origin, Host and Authorization headers come in, a verdict or the
// answer of a refusal goes out.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// Guard is the credentials that requests need: the token, or username and password. Without a token and a username it admits every
// request. With an empty password it admits no request by username.
type Guard struct {
	BearerToken secret.Text
	Username    string
	Password    secret.Text
}

// Open tells whether the guard admits every request.
func (g Guard) Open() bool { return g.BearerToken.Empty() && g.Username == "" }

// Admits tells whether the request has the credentials. It compares hashes of equal length in constant time, and always makes all
// comparisons.
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

// Challenge sets the headers that ask the client for credentials, one for each scheme: Chromium shows no prompt if one header has
// both.
func Challenge(h http.Header) {
	h.Set("WWW-Authenticate", `Basic realm="awoooi-reporter", charset="UTF-8"`)
	h.Add("WWW-Authenticate", "Bearer")
}

func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

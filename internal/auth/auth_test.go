package auth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/auth"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

func request(edits ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, edit := range edits {
		edit(r)
	}
	return r
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func basic(name, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, password) }
}

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address }
}

func guard(token, name, password string) auth.Guard {
	g := auth.Guard{Username: name}
	if token != "" {
		g.BearerToken = secret.New(token)
	}
	if password != "" {
		g.Password = secret.New(password)
	}
	return g
}

func TestGuardAdmits(t *testing.T) {
	t.Parallel()
	both := guard("tok", "sre", "pw")
	for name, tc := range map[string]struct {
		g    auth.Guard
		r    *http.Request
		want bool
	}{
		"open guard, no credentials":                 {auth.Guard{}, request(), true},
		"open guard, some credentials":               {auth.Guard{}, request(basic("x", "y")), true},
		"no credentials":                             {both, request(), false},
		"token":                                      {both, request(header("Authorization", "Bearer tok")), true},
		"token, scheme in lower case":                {both, request(header("Authorization", "bearer tok")), true},
		"token with spaces around":                   {both, request(header("Authorization", "Bearer  tok ")), true},
		"wrong token":                                {both, request(header("Authorization", "Bearer tok2")), false},
		"a part of the token":                        {both, request(header("Authorization", "Bearer to")), false},
		"token in another case":                      {both, request(header("Authorization", "Bearer TOK")), false},
		"empty token":                                {both, request(header("Authorization", "Bearer ")), false},
		"scheme without a token":                     {both, request(header("Authorization", "Bearer")), false},
		"token without a scheme":                     {both, request(header("Authorization", "tok")), false},
		"token under another scheme":                 {both, request(header("Authorization", "Token tok")), false},
		"token as a password":                        {both, request(basic("sre", "tok")), false},
		"token as a user":                            {both, request(basic("tok", "")), false},
		"user and password":                          {both, request(basic("sre", "pw")), true},
		"wrong password":                             {both, request(basic("sre", "pw2")), false},
		"wrong user":                                 {both, request(basic("sra", "pw")), false},
		"user without a password":                    {both, request(basic("sre", "")), false},
		"empty user and password":                    {both, request(basic("", "")), false},
		"password as a token":                        {both, request(header("Authorization", "Bearer pw")), false},
		"basic, not base64":                          {both, request(header("Authorization", "Basic !!!")), false},
		"only a token configured, empty basic":       {guard("tok", "", ""), request(basic("", "")), false},
		"only a token configured, empty bearer":      {guard("tok", "", ""), request(header("Authorization", "Bearer ")), false},
		"only a user configured, user":               {guard("", "sre", "pw"), request(basic("sre", "pw")), true},
		"only a user configured, empty bearer":       {guard("", "sre", "pw"), request(header("Authorization", "Bearer ")), false},
		"a user without a configured password":       {guard("", "sre", ""), request(basic("sre", "")), false},
		"a password that holds a colon":              {guard("", "sre", "a:b"), request(basic("sre", "a:b")), true},
		"a password beyond ASCII":                    {guard("", "sre", "密碼"), request(basic("sre", "密碼")), true},
		"X-Forwarded-For is no credential":           {both, request(from("127.0.0.1:1"), header("X-Forwarded-For", "127.0.0.1")), false},
		"loopback is no credential":                  {both, request(from("[::1]:1")), false},
		"credentials in the query are not looked at": {both, httptest.NewRequest(http.MethodGet, "/?token=tok", nil), false},
	} {
		if got := tc.g.Admits(tc.r); got != tc.want {
			t.Errorf("%s: admitted %v, want %v", name, got, tc.want)
		}
	}
}

// Credentials of any length are compared. Both operands are hashes of 32 bytes, whatever the length of the input, so that the time
// of a comparison does not depend on how much of it is right.
func TestSecretsOfAnyLengthAreCompared(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<16)
	g := guard(long, "sre", long)
	for name, tc := range map[string]struct {
		r    *http.Request
		want bool
	}{
		"token":                 {request(header("Authorization", "Bearer "+long)), true},
		"one byte short":        {request(header("Authorization", "Bearer "+long[1:])), false},
		"one byte more":         {request(header("Authorization", "Bearer x"+long)), false},
		"password":              {request(basic("sre", long)), true},
		"password one byte off": {request(basic("sre", long[1:]+"y")), false},
	} {
		if got := g.Admits(tc.r); got != tc.want {
			t.Errorf("%s: admitted %v, want %v", name, got, tc.want)
		}
	}
}

func TestChallengeNamesBothWaysInLinesOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	auth.Challenge(h)
	if got := h.Values("WWW-Authenticate"); len(got) != 2 || !strings.HasPrefix(got[0], "Basic realm=") || got[1] != "Bearer" {
		t.Errorf("WWW-Authenticate: %q", got)
	}
}

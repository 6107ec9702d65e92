package pg

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/awoooi/awoooi-reporter/internal/neterr"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

// The causes of errors of PostgreSQL, as they are shown. Those of any network connection are in neterr.
const (
	Authentication   = "authentication failed"
	DatabaseMissing  = "database missing"
	NoTarget         = "no server has the target_session_attrs of the DSN"
	StatementTimeout = "statement timeout"
	LockTimeout      = "lock timeout"
	Cancelled        = "cancelled"
)

// PostgreSQL's codes (appendix A of its documentation).
const (
	codeLock           = "55P03"
	codeCancelled      = "57014"
	codeBadPassword    = "28P01"
	codeBadAuth        = "28000"
	codeNoDatabase     = "3D000"
	codeProtocol       = "08P01" // of all errors of PgBouncer itself
	codeStarting       = "57P03"
	codeShutdown       = "57P01"
	codeCrash          = "57P02"
	codeTooMany        = "53300"
	codeNoConnectRight = "42501"
	codeNoConnections  = "55000"
)

// Connecting returns an error with the cause of a failed connection, or with each cause once if several hosts were tried. It quotes
// neither the DSN nor a server's message about it.
func Connecting(err error) error {
	if startupRefused(err) {
		return ErrSettingsRefused
	}
	var found []string
	for _, e := range hosts(err) {
		cause := cmp.Or(own(e), neterr.Cause(e), unnamed(e))
		if cause != "" && !slices.Contains(found, cause) {
			found = append(found, cause)
		}
	}
	if len(found) == 0 {
		return errors.New("no connection")
	}
	return errors.New(strings.Join(found, "; "))
}

// hosts returns the error of each host.
func hosts(err error) []error {
	for at := err; at != nil; at = errors.Unwrap(at) {
		if many, ok := at.(interface{ Unwrap() []error }); ok {
			return many.Unwrap()
		}
	}
	return []error{err}
}

// own returns the cause of an error of pgconn or of a server; "" if it is another one.
func own(err error) string {
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, pgconn.ErrStandbyConnection), errors.Is(err, pgconn.ErrPrimaryConnection),
		errors.Is(err, pgconn.ErrReadOnlyConnection), errors.Is(err, pgconn.ErrReadWriteConnection):
		return NoTarget
	case errors.As(err, &pg):
		return refusal(pg)
	}
	return ""
}

// unnamed returns the cause of an error of pgconn without a type, which is recognised by its text; "" if it is another one.
func unnamed(err error) string {
	text := err.Error()
	for _, c := range []struct{ pgx, words string }{
		{"server refused TLS", neterr.WithoutTLS},
		{"SASL", Authentication}, {"SCRAM", Authentication}, {"require_auth", Authentication},
		{"channel binding", Authentication}, {"sslcertmode", Authentication},
		{"tls error", neterr.TLSFailed},
	} {
		if strings.Contains(text, c.pgx) {
			return c.words
		}
	}
	return ""
}

// refusal returns the cause of a server's error at the start of a connection.
func refusal(e *pgconn.PgError) string {
	switch e.Code {
	case codeBadPassword, codeBadAuth:
		return Authentication
	case codeNoDatabase:
		return DatabaseMissing
	case codeStarting:
		return "the server is starting up or shutting down"
	case codeTooMany:
		return "too many connections"
	case codeNoConnectRight:
		return "no right to connect to the database"
	case codeNoConnections:
		return "the database does not allow connections"
	case codeShutdown, codeCrash:
		return "the server closed the connection"
	case codeProtocol:
		return pooler(e.Message)
	}
	return "the server refuses the connection (SQLSTATE " + e.Code + ")"
}

// pooler returns the cause of an error of PgBouncer, which has one code for all.
func pooler(message string) string {
	lower := strings.ToLower(message)
	for _, c := range []struct{ says, words string }{
		{"no more connections", "too many connections"}, {"too many", "too many connections"},
		{"database does not exist", DatabaseMissing}, {"no such database", DatabaseMissing}, {`database "`, DatabaseMissing},
		{"no such user", Authentication}, {`role "`, Authentication},
		{"password", Authentication}, {"auth", Authentication}, {"login", Authentication},
		{"unsupported startup parameter", ErrSettingsRefused.Error()},
		{"statement pooling mode", "the pooler allows no transaction"},
		{"query_wait_timeout", "the pooler has no free connection"},
		{"client_login_timeout", neterr.TimedOut},
		{"server_login_retry", neterr.Refused}, {"connect failed", neterr.Refused},
		{"shutting down", "the server is starting up or shutting down"},
	} {
		if strings.Contains(lower, c.says) {
			return c.words
		}
	}
	return "the pooler refuses the connection"
}

// maxMessage leaves space for the text around a server's message within safetext.MaxError.
const maxMessage = 300

// Message returns the cause of a server's error about a statement if it is one of the above, else its message, cut if it is long. A
// message that has one of the texts of hide is left out.
func Message(e *pgconn.PgError, hide ...string) string {
	switch {
	case e.Code == codeLock:
		return LockTimeout
	case e.Code == codeCancelled && strings.Contains(e.Message, StatementTimeout):
		return StatementTimeout
	case e.Code == codeCancelled && strings.Contains(e.Message, LockTimeout):
		return LockTimeout
	case e.Code == codeCancelled:
		return Cancelled
	case e.Code == codeProtocol:
		return pooler(e.Message)
	}
	for _, h := range hide {
		if h != "" && strings.Contains(e.Message, h) {
			return "the server refuses the statement (SQLSTATE " + e.Code + ")"
		}
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", safetext.Line(e.Message, maxMessage), e.Code)
}

// ErrSettingsRefused means that a pooler refuses settings of the session as startup parameters.
var ErrSettingsRefused = errors.New("the pooler refuses a parameter of the DSN")

// RefusesSettings reports whether an error of Connecting is ErrSettingsRefused.
func RefusesSettings(err error) bool { return errors.Is(err, ErrSettingsRefused) }

func startupRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == codeProtocol && strings.Contains(pg.Message, "unsupported startup parameter")
}

// NeedsStatements reports whether the error is that of a pooler without transactions, as PgBouncer with pool_mode = statement.
func NeedsStatements(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == codeProtocol && strings.Contains(pg.Message, "statement pooling mode")
}

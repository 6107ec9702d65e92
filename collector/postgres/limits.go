package postgres

import (
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/pg"
)

// limits are the time limits of a query on the server; 0 means none.
type limits struct{ statement, lock time.Duration }

// limits are those of a query, which are never longer than the session's own.
func (c *session) limits(q question) limits {
	return limits{shorter(q.statement, c.own.statement), shorter(q.lock, c.own.lock)}
}

func (l limits) settings() []pg.Setting {
	return []pg.Setting{
		{Name: "statement_timeout", Value: strconv.FormatInt(max(1, l.statement.Milliseconds()), 10)},
		{Name: "lock_timeout", Value: strconv.FormatInt(max(1, l.lock.Milliseconds()), 10)},
	}
}

// shorter returns the shorter of two limits, where 0 means none.
func shorter(ours, own time.Duration) time.Duration {
	if own > 0 {
		return min(ours, own)
	}
	return ours
}

// parseLimit reads a setting with the server's units, such as 500ms, 5s or 1min; 0 means none.
func parseLimit(text string) time.Duration {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	unit := map[string]time.Duration{
		"": time.Millisecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}[text[len(digits):]]
	return time.Duration(n) * unit
}

package webhook

import (
	"io"
	"net/http"
	"sync/atomic"
)

// budget is how many bytes of bodies may be held at one time.
type budget struct{ left atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.left.Store(bytes)
	return b
}

// take returns false, and takes nothing, where too little is left.
func (b *budget) take(n int64) bool {
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.left.Add(n) }

// meteredBody reads a body, and takes from the budget what has been read of it: a body that arrives slowly holds only what
// has arrived. Its errors are refusals.
type meteredBody struct {
	body   io.Reader
	limit  int64
	budget *budget
	read   int64 // bytes, and what is held of the budget
	failed error // why reading ended, but for the body's end
}

func (m *meteredBody) Read(p []byte) (int, error) {
	if m.failed != nil {
		return 0, m.failed
	}
	n, err := m.body.Read(p)
	switch {
	case !m.hold(int64(n)):
		m.failed = errBusy
	case m.read > m.limit:
		m.failed = tooLarge(m.limit)
	case err != nil && err != io.EOF:
		m.failed = bad("the body could not be read")
	default:
		return n, err
	}
	return 0, m.failed
}

func (m *meteredBody) hold(n int64) bool {
	if !m.budget.take(n) {
		return false
	}
	m.read += n
	return true
}

// release gives back all that was held.
func (m *meteredBody) release() { m.budget.give(m.read) }

// errBusy makes Alertmanager try again, rather than wait in a queue that grows.
var errBusy = &refusal{http.StatusServiceUnavailable, "too many alerts at once, try again"}

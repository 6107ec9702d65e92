// Package terminal is the channel of a start without configuration: messages come in, framed plain text goes out to a writer.
package terminal

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// Channel writes to one writer, one message at a time.
type Channel struct {
	mu   sync.Mutex
	w    io.Writer
	sent int
}

// New makes the channel.
func New(w io.Writer) *Channel { return &Channel{w: w} }

// Chat returns the same chat for every terminal.
func (c *Channel) Chat() reporter.Chat {
	return reporter.Chat{Account: "terminal", Address: "terminal"}
}

// Probe always succeeds: only a write shows whether a terminal works.
func (c *Channel) Probe(context.Context, string) error { return nil }

// Split returns one part, because a terminal has no limit.
func (c *Channel) Split(msg reporter.Message) []reporter.Part {
	return []reporter.Part{{HTML: msg.Whole()}}
}

const rule = "────────────────────────────────────────"

// Send writes the part as plain text, without control characters.
func (c *Channel) Send(_ context.Context, part reporter.Part, o reporter.SendOptions) (string, error) {
	text := safetext.Text(markup.Plain(part.HTML))
	if o.Repeat {
		text = "🔁 possible repeat\n" + text
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := fmt.Fprintf(c.w, "%s\n%s\n%s\n\n", rule, strings.TrimRight(text, "\n"), rule); err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	c.sent++
	return strconv.Itoa(c.sent), nil
}

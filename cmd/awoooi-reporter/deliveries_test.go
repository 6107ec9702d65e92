package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// A server that refuses a message writes the reason itself, and an alert names its incident.
func TestDeliveriesListCannotControlATerminal(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("AWOOOI_REPORTER_STATE_PATH", dir)
	s, err := store.OpenSQLite(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d := reporter.NewDelivery(reporter.DeliveryPostmortem, "INC-1\x1b[31m\n99  forged row", "oncall", time.Now())
	d.Reason, d.LastError = reporter.ReasonReceiver, "telegram: 400 \x1b]0;title\x07\u009b2J\u202e"+strings.Repeat("9", 1<<20)+"\nforged row"
	if _, err := s.Enqueue(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"deliveries", "list"}, &out, io.Discard); code != 0 {
		t.Fatalf("exit %d", code)
	}
	text := out.String()
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || r == '\u202e') {
			t.Fatalf("prints %U", r)
		}
	}
	if lines := strings.Count(text, "\n"); lines != 2 || len(text) > 4*safetext.MaxError {
		t.Errorf("%d lines, %d bytes, want a header and one row", lines, len(text))
	}
	if !strings.Contains(text, "INC-1[31m 99  forged row") || !strings.Contains(text, "接收端不存在，或不接受訊息 (telegram: 400 ]0;title2J999") {
		t.Errorf("the text itself is missing: %s", text)
	}
}

package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

// crashDir is set in the processes that TestCompositionThatEndsTheProcess starts.
const crashDir = "AWOOOI_TEST_CRASH_DIR"

// A composition that ends the process, as a stack overflow does, affects only its own message: after each restart the other messages of
// the chat are sent, and after the third crash it is sent as a minimal one.
func TestCompositionThatEndsTheProcess(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(crashDir); dir != "" {
		if err := sendUntilMinimal(t, dir); err != nil {
			t.Error(err)
		}
		return
	}
	dir := t.TempDir()
	s := storetest.Open(t, dir)
	var ds []reporter.Delivery
	for _, subject := range []string{"before", "poison", "after"} {
		ds = append(ds, pending(subject, "oncall"))
	}
	if _, err := s.Enqueue(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	crashes := 0
	for ; crashes < 10; crashes++ {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestCompositionThatEndsTheProcess$")
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 42 {
			t.Fatalf("%v: %s", err, out)
		}
		s := storetest.Open(t, dir)
		for _, d := range all(t, s) {
			if d.Subject == "poison" && d.Attempts != crashes+1 {
				t.Errorf("after %d crashes the attempts are %d", crashes+1, d.Attempts)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if crashes != 3 {
		t.Errorf("the process ended %d times", crashes)
	}
	sent, err := os.ReadFile(filepath.Join(dir, "sent"))
	if err != nil {
		t.Fatal(err)
	}
	// The process may end after a send and before it is recorded: that message is sent again, and marked.
	var got []string
	for _, line := range strings.Fields(string(sent)) {
		if text, repeat := strings.CutPrefix(line, repeatOf); !repeat || !slices.Contains(got, text) {
			got = append(got, text)
		}
	}
	slices.Sort(got[:len(got)-1]) // the minimal one comes last
	if want := "after before minimal:poison"; strings.Join(got, " ") != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	for _, d := range all(t, storetest.Open(t, dir)) {
		if d.Subject == "poison" && (d.State != reporter.DeliverySent || d.Attempts != 4) {
			t.Errorf("the poison message is %s after %d attempts: %q", d.State, d.Attempts, d.LastError)
		}
	}
}

// sendUntilMinimal is the process, which sends until the poison message was sent.
func sendUntilMinimal(t *testing.T, dir string) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sent, err := os.OpenFile(filepath.Join(dir, "sent"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer sent.Close()
	composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
		if d.Subject == "poison" {
			os.Exit(42)
		}
		return reporter.Message{HTML: d.Subject}, nil
	})
	o := outbox.New(storetest.Open(t, dir), composer, map[string]outbox.Channel{"oncall": &file{w: sent, then: cancel}},
		outbox.Config{BackoffMin: 200 * time.Millisecond, BackoffMax: 300 * time.Millisecond},
		slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err := o.Run(ctx); err != nil {
		return err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return nil
}

// repeatOf marks a line that may be a repeat.
const repeatOf = "repeat:"

// file is a channel that writes lines.
type file struct {
	chat
	w    io.Writer
	then func()
}

func (f *file) Send(_ context.Context, part reporter.Part, o reporter.SendOptions) (string, error) {
	line := strings.ReplaceAll(part.HTML, " ", ":")
	if o.Repeat {
		line = repeatOf + line
	}
	fmt.Fprintln(f.w, line)
	if strings.HasPrefix(part.HTML, "minimal") {
		f.then()
	}
	return "1", nil
}

// A composition that panics is a failed attempt: the composer is called again, with the number of attempts.
func TestCompositionThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := &chat{}, newState(t, pending("panics", "oncall"), pending("other", "oncall"))
		var seen []int
		composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
			if d.Subject != "panics" {
				return reporter.Message{HTML: d.Subject}, nil
			}
			seen = append(seen, d.Attempts)
			if d.Attempts < 2 {
				panic("x")
			}
			return reporter.Message{HTML: "simpler"}, nil
		})
		w := build(t, s, composer, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
		w.run(time.Minute)
		if c.text() != "other, simpler" {
			t.Errorf("arrived %q", c.text())
		}
		if !slices.Equal(seen, []int{0, 1, 2}) {
			t.Errorf("the composer saw the attempts %v", seen)
		}
		if d := w.delivery("panics"); d.Attempts != 3 || d.State != reporter.DeliverySent {
			t.Errorf("%s after %d attempts", d.State, d.Attempts)
		}
		if !strings.Contains(w.logs.String(), "composing a message panicked") {
			t.Error("the panic is not logged")
		}
	})
}

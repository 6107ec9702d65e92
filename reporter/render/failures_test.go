package render_test

import (
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/render"
)

// A notice says what was not sent and why in the reader's words, with real numbers of attempts; a minimal message needs nothing
// but its delivery.
func TestFailuresText(t *testing.T) {
	t.Parallel()
	r, err := render.New(render.Options{ExternalURL: "https://r.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	failed := reporter.Delivery{
		ID: 7, Kind: reporter.DeliveryPostmortem, Subject: "INC-1<b>", Receiver: "oncall", Attempts: 3,
		Reason: reporter.ReasonUnknown, LastError: "EOF",
	}
	gate := reporter.Gate{
		Key: reporter.ReceiverGate("oncall"), Reason: reporter.ReasonReceiver, Detail: "400 Bad Request: TOPIC_CLOSED",
		Since: time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC),
	}
	for name, tc := range map[string]struct {
		f    reporter.Failures
		want []string
	}{
		"one":       {reporter.Failures{Deliveries: []reporter.Delivery{failed}, Count: 1}, []string{"INC-1", "oncall", "EOF", "Attempts: 3", "/deliveries/7"}},
		"many":      {reporter.Failures{Deliveries: []reporter.Delivery{failed}, Count: 12}, []string{"12 messages", "11 more", "/deliveries?state=given_up"}},
		"suspended": {reporter.Failures{Suspended: []reporter.Gate{gate}, Waiting: []reporter.Delivery{failed}, WaitCount: 3}, []string{"oncall", "TOPIC_CLOSED", "2026-04-22 00:00", "INC-1", "2 more"}},
	} {
		m, err := r.Failures(tc.f, "en", nil)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := localstack.ParseHTML(m.HTML)
		if err != nil || markup.Validate(m.HTML) != nil {
			t.Errorf("%s: Telegram would refuse it: %v\n%s", name, err, m.HTML)
		}
		for _, want := range tc.want {
			if !strings.Contains(plain+m.HTML, want) {
				t.Errorf("%s does not say %q:\n%s", name, want, m.HTML)
			}
		}
		if m.Title == "" {
			t.Errorf("%s has no title", name)
		}
	}
	m := r.Minimal(failed, "en", nil)
	if plain, err := localstack.ParseHTML(m.HTML); err != nil || !strings.Contains(plain, "INC-1<b>") || !strings.Contains(m.HTML, "/deliveries/7") {
		t.Errorf("minimal: %v\n%s", err, m.HTML)
	}
}

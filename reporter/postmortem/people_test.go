package postmortem_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
)

// people are a history of what people wrote.
type people struct {
	past
	entries []reporter.Entry
}

func (p people) Entries(context.Context, string) ([]reporter.Entry, error) { return p.entries, nil }

// An acknowledgement through this program takes precedence over those of an alert or the database.
func TestAcknowledgementsOfPeople(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	in := reporter.Incident{ID: "I", StartedAt: start, State: reporter.IncidentOpen, Alerts: []reporter.Alert{{
		StartsAt: start, Firing: true, Annotations: map[string]string{"acknowledged_at": "2026-04-22T01:30:00Z"},
	}}}
	ack := func(id int64, name, text string, minutes int) reporter.Entry {
		return reporter.Entry{
			ID: id, Kind: reporter.EntryAcknowledgement, Text: text, Author: name, Supersedes: id - 1,
			WrittenAt: start.Add(time.Duration(minutes) * time.Minute),
		}
	}
	for name, tc := range map[string]struct {
		entries      []reporter.Entry
		acknowledged time.Time
		by, firstBy  string
	}{
		"nobody here": {nil, start.Add(30 * time.Minute), "", ""},
		"somebody":    {[]reporter.Entry{ack(1, "ann", "acknowledged", 4)}, start.Add(4 * time.Minute), "ann", "ann"},
		"released":    {[]reporter.Entry{ack(1, "ann", "acknowledged", 4), ack(2, "bob", "", 9)}, start.Add(4 * time.Minute), "", "ann"},
		"handed over": {
			[]reporter.Entry{ack(1, "ann", "acknowledged", 4), ack(2, "ann", "", 9), ack(3, "bob", "acknowledged", 10)}, start.Add(4 * time.Minute), "bob", "ann",
		},
		"before the alert's start": {[]reporter.Entry{ack(1, "ann", "acknowledged", -4)}, start, "ann", "ann"},
	} {
		b := postmortem.New(postmortem.Config{}, nil, people{entries: tc.entries}, nil, nil, slog.New(slog.DiscardHandler))
		p := b.Build(t.Context(), in)
		if !p.Acknowledged.Equal(tc.acknowledged) || p.Acknowledgement.By.Name != tc.by || p.Acknowledgement.FirstBy.Name != tc.firstBy || len(p.Entries) != len(tc.entries) {
			t.Errorf("%s: at %v, %+v, %d entries", name, p.Acknowledged, p.Acknowledgement, len(p.Entries))
		}
	}
}

package compose

import (
	"errors"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// The revised message has the present state and the buttons of the possible actions.
func TestRevise(t *testing.T) {
	t.Parallel()
	acknowledged := []reporter.Entry{{
		Kind: reporter.EntryAcknowledgement, Text: reporter.EntryAcknowledged, Author: "Alice", WrittenAt: time.Unix(1, 0),
	}}
	lasting := []reporter.Silence{{State: reporter.SilenceEnded}, {State: reporter.SilenceActive}}
	ending := []reporter.Silence{{State: reporter.SilenceEnded}, {State: reporter.SilenceEnding}}
	type delivery = reporter.Delivery
	for name, tc := range map[string]struct {
		d        delivery
		entries  []reporter.Entry
		silences []reporter.Silence
		want     string
		err      error
	}{
		"a notice":                                            {d: delivery{Kind: reporter.DeliveryFiring, Subject: "O", Receiver: "listens"}, want: "firing O [ack] O@listens"},
		"a notice, acknowledged":                              {d: delivery{Kind: reporter.DeliveryFiring, Subject: "O", Receiver: "listens"}, entries: acknowledged, want: "firing O [release] O@listens"},
		"a notice that can be silenced":                       {d: delivery{Kind: reporter.DeliveryFiring, Subject: "S", Receiver: "listens"}, want: "firing S [ack silence1h silence4h] S@listens"},
		"a notice that is silenced":                           {d: delivery{Kind: reporter.DeliveryFiring, Subject: "S", Receiver: "listens"}, silences: lasting, want: "firing S [ack unsilence] S@listens"},
		"a silence that is being ended":                       {d: delivery{Kind: reporter.DeliveryFiring, Subject: "S", Receiver: "listens"}, silences: ending, want: "firing S [ack] S@listens"},
		"one that is over, and a silence that is being ended": {d: delivery{Kind: reporter.DeliveryFiring, Subject: "SI", Receiver: "listens"}, silences: ending, want: "firing SI"},
		"a silence that outlasts it":                          {d: delivery{Kind: reporter.DeliveryFiring, Subject: "SI", Receiver: "listens"}, silences: lasting, want: "firing SI [unsilence] SI@listens"},
		"a notice whose incident is over":                     {d: delivery{Kind: reporter.DeliveryFiring, Subject: "I", Receiver: "listens"}, want: "firing I"},
		"a notice without updates":                            {d: delivery{Kind: reporter.DeliveryFiring, Subject: "O", Receiver: "other"}, want: "firing O"},
		"a notice of nothing":                                 {d: delivery{Kind: reporter.DeliveryFiring, Subject: "X"}, err: reporter.ErrNotFound},
		"a digest":                                            {d: delivery{Kind: reporter.DeliveryFiringDigest}, entries: acknowledged, want: "firing digest IresolvedAlice OopenAlice"},
		"a postmortem":                                        {d: delivery{Kind: reporter.DeliveryPostmortem, Subject: "I"}, want: "postmortem I"},
		"a postmortem that fires again":                       {d: delivery{Kind: reporter.DeliveryPostmortem, Subject: "O"}, err: reporter.ErrObsolete},
		"a report":                                            {d: delivery{Kind: reporter.DeliveryReport}, err: reporter.ErrObsolete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &parts{picture: []byte("png"), merged: []string{"I", "X", "O"}, entries: tc.entries, incidents: map[string]reporter.Incident{
				"I": {ID: "I", State: reporter.IncidentResolved}, "O": {ID: "O", State: reporter.IncidentOpen},
				"S": {ID: "S", State: reporter.IncidentOpen, Cluster: "able"}, "SI": {ID: "SI", State: reporter.IncidentResolved, Cluster: "able"},
			}, silences: tc.silences}
			c, set := composer(p), p.set("")
			set.Silenceable = func(cluster string) bool { return cluster == "able" }
			set.Interactive = map[string]bool{"listens": true}
			c.Use(set)
			msg, err := c.Revise(t.Context(), tc.d)
			if !errors.Is(err, tc.err) || (err == nil && (msg.HTML != tc.want || msg.Picture != nil || msg.Kind != tc.d.Kind)) {
				t.Errorf("%q, %v; want %q, %v", msg.HTML, err, tc.want, tc.err)
			}
		})
	}
}

// A deleted notice is sent again in its present version, also if its incident is resolved.
func TestComposeAgain(t *testing.T) {
	t.Parallel()
	p := &parts{merged: []string{"I"}, incidents: map[string]reporter.Incident{"I": {ID: "I", State: reporter.IncidentResolved}}}
	for kind, want := range map[reporter.DeliveryKind]string{
		reporter.DeliveryFiring: "firing I", reporter.DeliveryFiringDigest: "firing digest Iresolved",
	} {
		d := reporter.Delivery{Kind: kind, Subject: "I"}
		if _, err := composer(p).Compose(t.Context(), d); !errors.Is(err, reporter.ErrObsolete) {
			t.Errorf("%s for the first time: %v", kind, err)
		}
		d.Replaced = true
		if msg, err := composer(p).Compose(t.Context(), d); msg.HTML != want || err != nil {
			t.Errorf("%s once more: %q, %v; want %q", kind, msg.HTML, err, want)
		}
	}
}

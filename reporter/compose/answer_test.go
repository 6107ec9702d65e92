package compose

import (
	"errors"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestComposeAnswers(t *testing.T) {
	t.Parallel()
	const due = "@2026-04-22T00:00:00Z"
	for name, tc := range map[string]struct {
		subject   string
		message   *reporter.Message
		reportErr error
		want      string // how it begins
		picture   bool
		err       error
	}{
		"a text":                    {subject: reporter.AnswerText, message: &reporter.Message{HTML: "said"}, want: "said"},
		"an open incident":          {subject: reporter.AnswerIncident + "O", want: "firing O [ack] O@listens"},
		"an incident that is over":  {subject: reporter.AnswerIncident + "I", want: "postmortem I"},
		"an incident that is gone":  {subject: reporter.AnswerIncident + "X", err: reporter.ErrObsolete},
		"a report":                  {subject: reporter.AnswerReport + "daily" + due, want: "report daily", picture: true},
		"a report without data":     {subject: reporter.AnswerReport + "daily" + due, reportErr: &reporter.UnreachableError{Err: errors.New("x")}, want: "report daily", picture: true},
		"a report that was removed": {subject: reporter.AnswerReport + "gone" + due, err: reporter.ErrObsolete},
	} {
		p := &parts{picture: []byte("png"), reportErr: tc.reportErr, incidents: map[string]reporter.Incident{
			"I": {ID: "I", State: reporter.IncidentResolved}, "O": {ID: "O", State: reporter.IncidentOpen},
		}}
		c, set := composer(p), p.set("")
		set.Interactive = map[string]bool{"listens": true}
		c.Use(set)
		d := reporter.Delivery{Kind: reporter.DeliveryAnswer, Subject: tc.subject, Receiver: "listens", Message: tc.message}
		msg, err := c.Compose(t.Context(), d)
		if !errors.Is(err, tc.err) || (err == nil && (!strings.HasPrefix(msg.HTML, tc.want) || (msg.Picture != nil) != tc.picture || msg.Kind != d.Kind)) {
			t.Errorf("%s: %+v, %v; want %q, %v", name, msg, err, tc.want, tc.err)
		}
	}
	for _, subject := range []string{"text", "report/daily", "nonsense"} {
		if msg, err := composer(&parts{}).Compose(t.Context(), reporter.Delivery{Kind: reporter.DeliveryAnswer, Subject: subject}); err == nil {
			t.Errorf("%s: %+v", subject, msg)
		}
	}
}

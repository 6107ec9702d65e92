package render

import (
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// firingDigest is the key of the words of a digest of incidents that have begun.
const firingDigest = "firing_digest"

// clock is how a notice shows a time of the day on which its incident began; of another day it shows the date too.
const (
	clockOfDay  = "15:04"
	clockOfDate = "01-02 15:04"
)

// status says in lines what has become of an incident since it began; none of one that only fires.
func (r *Renderer) status(l language, p reporter.Postmortem) (lines []string) {
	zone, in := r.zoneOr(p.Zone), p.Incident
	at := func(t time.Time) string {
		if t.In(zone).Format(time.DateOnly) == in.StartedAt.In(zone).Format(time.DateOnly) {
			return t.In(zone).Format(clockOfDay)
		}
		return t.In(zone).Format(clockOfDate)
	}
	name := func(s string) string { return cut(clean(s), shortMax) }
	if in.Over() {
		lines = append(lines, l.T("live_resolved", about(presumed(in))+at(in.EndedAt), l.Duration(in.Duration())))
	} else if in.State == reporter.IncidentChronic {
		lines = append(lines, "⏳ "+l.T("live_chronic"))
	}
	if a := p.Acknowledgement; a.Active() {
		lines = append(lines, "✋ "+l.T("live_acknowledged", name(a.By.Name), at(a.Since)))
	}
	// One that outlasts its incident hides the next one.
	if s, ok := reporter.LastingSilence(p.Silences); ok {
		word, who := "live_silenced", s.By.Name
		switch s.State {
		case reporter.SilencePending:
			word = "live_silencing"
		case reporter.SilenceEnding:
			word, who = "live_unsilencing", s.EndedBy
		case reporter.SilenceActive, reporter.SilenceEnded, reporter.SilenceFailed:
		}
		lines = append(lines, "🔕 "+l.T(word, name(who), at(s.EndsAt)))
		if s.State == reporter.SilenceEnding && s.Error != "" {
			lines = append(lines, "⚠️ "+l.T("live_unsilence_failed", cut(clean(s.Error), reasonMax)))
		}
	}
	if n := len(p.Silences); n > 0 && !in.Over() {
		if s := p.Silences[n-1]; s.State == reporter.SilenceFailed || s.State == reporter.SilencePending && s.Error != "" {
			lines = append(lines, "⚠️ "+l.T("live_silence_failed", cut(clean(s.Error), reasonMax)))
		}
	}
	return lines
}

// about marks a time that is not known exactly.
func about(is bool) string {
	if is {
		return "≈ "
	}
	return ""
}

// presumed says whether the end of an incident follows from what an Alertmanager no longer had when it was asked, or from nothing having
// been received for long.
func presumed(in reporter.Incident) bool {
	return in.CloseReason == reporter.ClosedReconciled || in.CloseReason == reporter.ClosedExpired
}

// silenceEvents are the beginnings and the ends of silences, without their times in words.
func silenceEvents(l language, p reporter.Postmortem, zone *time.Location) (out []Event) {
	name := func(s string) string { return cut(clean(s), shortMax) }
	for _, s := range p.Silences {
		switch {
		case s.State == reporter.SilenceFailed:
			text := name(s.By.Name) + ": " + l.T("live_silence_failed", cut(clean(s.Error), reasonMax))
			out = append(out, Event{Icon: "⚠️", Text: text, at: s.StartsAt})
			continue
		case s.APIID != "":
			out = append(out, Event{Icon: "🔕", Text: l.T("live_silenced", name(s.By.Name), s.EndsAt.In(zone).Format(clockOfDate)), at: s.StartsAt})
		}
		switch {
		case s.EndedAt.IsZero() || s.APIID == "":
		case s.EndedBy != "":
			out = append(out, Event{Icon: "🔔", Text: l.T("event_unsilenced", name(s.EndedBy)), at: s.EndedAt})
		default:
			out = append(out, Event{Icon: "🔔", Text: l.T("event_silence_ended"), at: s.EndedAt})
		}
	}
	return out
}

// actionKeys are the keys of the words on the buttons of actions.
var actionKeys = map[reporter.ActionKind]string{
	reporter.ActionAcknowledge: "action_ack", reporter.ActionRelease: "action_release", reporter.ActionSilence1h: "action_silence1h",
	reporter.ActionSilence4h: "action_silence4h", reporter.ActionUnsilence: "action_unsilence",
}

// actions are the buttons of the actions that a message offers.
func actions(l language, p reporter.Postmortem) (out []reporter.Button) {
	for _, kind := range p.Actions {
		out = append(out, reporter.Button{Text: l.T(actionKeys[kind]), Action: kind, Token: p.Token})
	}
	return out
}

// digestLine is an incident of a digest, and what has become of it.
type digestLine struct {
	SimilarView
	Mark, Note string
}

func (v *digestLine) mark(l language, e reporter.DigestEntry) {
	switch {
	case !e.EndedAt.IsZero():
		v.Mark = "✅"
	case e.Acknowledged != "":
		v.Mark, v.Note = "✋", cut(clean(e.Acknowledged), shortMax)
	case e.State == reporter.IncidentChronic:
		v.Mark, v.Note = "⏳", l.T("live_chronic")
	}
}

// digestStates counts the incidents of a digest.
type digestStates struct{ firing, acknowledged, over int }

func (c *digestStates) count(e reporter.DigestEntry) {
	switch {
	case !e.EndedAt.IsZero():
		c.over++
	case e.Acknowledged != "":
		c.acknowledged++
		c.firing++
	default:
		c.firing++
	}
}

// words says how many there are of each; "" while nothing has become of any.
func (c *digestStates) words(l language) string {
	if c.over+c.acknowledged == 0 {
		return ""
	}
	parts := []string{"🔥 " + l.T("live_firing_count", c.firing)}
	if c.acknowledged > 0 {
		parts = append(parts, "✋ "+l.T("live_acknowledged_count", c.acknowledged))
	}
	if c.over > 0 {
		parts = append(parts, "✅ "+l.T("live_resolved_count", c.over))
	}
	return strings.Join(parts, "   ")
}

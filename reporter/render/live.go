package render

import (
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// status returns a line for each change of an incident since it began; none if it is only firing.
func (r *Renderer) status(l language, p reporter.Postmortem) (lines []string) {
	zone, in := r.zoneOr(p.Zone), p.Incident
	at := func(t time.Time) string { // with the date if it is not that of the start
		if t.In(zone).Format(time.DateOnly) == in.StartedAt.In(zone).Format(time.DateOnly) {
			return t.In(zone).Format(i18n.Clock)
		}
		return t.In(zone).Format(i18n.DayClock)
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
	// Silences are shown after the end of the incident too: one that lasts longer hides the next incident.
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

// about returns the mark of an approximate time, or "" for an exact one.
func about(approximate bool) string {
	if approximate {
		return "≈ "
	}
	return ""
}

// presumed reports whether the end of an incident is presumed by reconciliation or expiry, because no resolve was received.
func presumed(in reporter.Incident) bool {
	return in.CloseReason == reporter.ClosedReconciled || in.CloseReason == reporter.ClosedExpired
}

// silenceEvents returns the starts and ends of silences, with At still empty.
func silenceEvents(l language, p reporter.Postmortem, zone *time.Location) (out []Event) {
	name := func(s string) string { return cut(clean(s), shortMax) }
	for _, s := range p.Silences {
		switch {
		case s.State == reporter.SilenceFailed:
			text := name(s.By.Name) + ": " + l.T("live_silence_failed", cut(clean(s.Error), reasonMax))
			out = append(out, Event{Icon: "⚠️", Text: text, at: s.StartsAt})
			continue
		case s.APIID != "":
			text := l.T("live_silenced", name(s.By.Name), s.EndsAt.In(zone).Format(i18n.DayClock))
			out = append(out, Event{Icon: "🔕", Text: text, at: s.StartsAt})
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

// actionKeys are the keys of the captions of buttons.
var actionKeys = map[reporter.ActionKind]string{
	reporter.ActionAcknowledge: "action_ack", reporter.ActionRelease: "action_release", reporter.ActionSilence1h: "action_silence1h",
	reporter.ActionSilence4h: "action_silence4h", reporter.ActionUnsilence: "action_unsilence",
}

// actions returns the buttons of the actions that a message offers.
func actions(l language, p reporter.Postmortem) (out []reporter.Button) {
	for _, kind := range p.Actions {
		out = append(out, reporter.Button{Text: l.T(actionKeys[kind]), Action: kind, Token: p.Token})
	}
	return out
}

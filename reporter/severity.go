package reporter

import (
	"cmp"
	"strings"
)

// Severity is the value of an alert's label "severity"; "" means none.
type Severity string

// levels lists the severities of Prometheus rules, syslog (RFC 5424), Zabbix, PagerDuty and Opsgenie, the most severe first.
// Those on one line are equal.
var levels = []string{
	"emergency emerg disaster fatal panic",
	"alert p0 sev0",
	"critical crit page blocker urgent p1 sev1",
	"error err high major p2 sev2",
	"warning warn medium average ticket p3 sev3",
	"notice minor low p4 sev4",
	"", // severities that are not in this list: they may be more important than information
	"info information informational p5 sev5",
	"debug ok none",
}

// The ranks by name, and those that the code refers to.
var (
	ranks      = rankNames()
	separators = strings.NewReplacer(" ", "", "-", "", "_", "")
	rankWarn   = ranks["warning"]
	rankOther  = ranks["info"] - 1
	rankAbsent = len(levels)
)

func rankNames() map[string]int {
	out := map[string]int{}
	for rank, names := range levels {
		for _, name := range strings.Fields(names) {
			out[name] = rank
		}
	}
	return out
}

// Rank orders severities: a more severe one has a lower rank. It ignores case, spaces, "-" and "_": "SEV-1" is "sev1".
func (s Severity) Rank() int {
	if rank, ok := ranks[string(s)]; ok {
		return rank
	}
	name := separators.Replace(strings.ToLower(string(s)))
	if name == "" {
		return rankAbsent
	}
	if rank, ok := ranks[name]; ok {
		return rank
	}
	return rankOther
}

// Severe reports whether s is more severe than a warning.
func (s Severity) Severe() bool { return s.Rank() < rankWarn }

// Warning reports whether s is a warning, under any of its names.
func (s Severity) Warning() bool { return s.Rank() == rankWarn }

// Severity returns the alert's label "severity".
func (a Alert) Severity() Severity { return Severity(strings.TrimSpace(a.Labels["severity"])) }

// Title returns the alert's annotation summary or title, else its name; "" if it has none of them.
func (a Alert) Title() string {
	return cmp.Or(
		strings.TrimSpace(a.Annotations["summary"]), strings.TrimSpace(a.Annotations["title"]), strings.TrimSpace(a.Labels["alertname"]),
	)
}

// Description returns the annotation description or message, which usually holds the value; "" if it has neither.
func (a Alert) Description() string {
	return cmp.Or(strings.TrimSpace(a.Annotations["description"]), strings.TrimSpace(a.Annotations["message"]))
}

// Worst returns the most severe alert, the earliest among equals; the zero Alert if the incident has none.
func (i Incident) Worst() Alert {
	worst, least := -1, 0
	for n := range i.Alerts {
		if rank := i.Alerts[n].Severity().Rank(); worst < 0 || rank < least {
			worst, least = n, rank
		}
	}
	if worst < 0 {
		return Alert{}
	}
	return i.Alerts[worst]
}

// Severity returns that of the most severe alert.
func (i Incident) Severity() Severity { return i.Worst().Severity() }

// Title returns that of the most severe alert, else of the first one that has any; "" if none has.
func (i Incident) Title() string {
	if title := i.Worst().Title(); title != "" {
		return title
	}
	for _, a := range i.Alerts {
		if title := a.Title(); title != "" {
			return title
		}
	}
	return ""
}

// TeamLabel is the label with the team that is responsible for an alert.
const TeamLabel = "team"

// Team returns the label TeamLabel of the most severe alert that has one, the earliest among equals; "" if none has.
func (i Incident) Team() string {
	team, rank := "", 0
	for _, a := range i.Alerts {
		if t := strings.TrimSpace(a.Labels[TeamLabel]); t != "" && (team == "" || a.Severity().Rank() < rank) {
			team, rank = t, a.Severity().Rank()
		}
	}
	return team
}

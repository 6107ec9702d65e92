package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

// The results of a check.
const (
	FindingOK   = "ok"
	FindingWarn = "warn" // works, but probably not as intended
	FindingFail = "fail"
)

// Finding is what one check of Doctor found.
type Finding struct {
	Result string `json:"result"`
	What   string `json:"what"` // what was checked, such as "receiver oncall"
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"` // what to do
}

const (
	// doctorTime bounds each check of Doctor. A check that still runs doctorLate after that has no findings of its own.
	doctorTime = 8 * time.Second
	doctorLate = 500 * time.Millisecond
	// clockSkew is the difference between two clocks from which on doctor warns.
	clockSkew = 5 * time.Second
)

// check checks one thing that the configuration names.
type check struct {
	what string
	run  func(ctx context.Context) []Finding
}

// Doctor connects to every server of a configuration and checks whether it would work; it changes nothing. The findings are in
// this order: state, sources, details, Prometheus, Alertmanagers, heartbeats, receivers. The checks run in parallel; one that does
// not end within doctorTime is a failure.
func Doctor(ctx context.Context, c *config.Config, log *slog.Logger) []Finding {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	checks := []check{{"state", func(ctx context.Context) []Finding { return doctorState(ctx, c) }}}
	checks = append(checks, doctorSources(c, log)...)
	checks = append(checks, doctorDetails(c)...)
	checks = append(checks, doctorPrometheus(c)...)
	checks = append(checks, doctorAlertmanagers(c)...)
	checks = append(checks, doctorHeartbeats(c)...)
	checks = append(checks, doctorReceivers(c, log)...)
	answers := make([]chan []Finding, len(checks))
	for n, check := range checks {
		answers[n] = make(chan []Finding, 1)
		go func() { answers[n] <- check.run(ctx) }()
	}
	late := time.NewTimer(doctorTime + doctorLate)
	defer late.Stop()
	over := false
	var found []Finding
	for n, check := range checks {
		if !over {
			select {
			case some := <-answers[n]:
				found = append(found, some...)
				continue
			case <-late.C:
				over = true
			}
		}
		select {
		case some := <-answers[n]:
			found = append(found, some...)
		default:
			found = append(found, failed(check.what, fmt.Errorf("no answer within %v", doctorTime), "check host, port and firewall"))
		}
	}
	return found
}

func ok(what, format string, a ...any) Finding {
	return Finding{Result: FindingOK, What: what, Text: safetext.Line(fmt.Sprintf(format, a...), safetext.MaxError)}
}

func warned(what, text, remedy string) Finding {
	return Finding{Result: FindingWarn, What: what, Text: safetext.Line(text, safetext.MaxError), Remedy: remedy}
}

func failed(what string, err error, remedy string) Finding {
	return Finding{Result: FindingFail, What: what, Text: safetext.Line(err.Error(), safetext.MaxError), Remedy: remedy}
}

// fixed returns a check whose finding is known already.
func fixed(f Finding) []check {
	return []check{{f.What, func(context.Context) []Finding { return []Finding{f} }}}
}

// clockFinding warns if the clock of a server differs from this machine's; asked is this machine's time when clock was read.
func clockFinding(what string, clock, asked time.Time) []Finding {
	off := clock.Sub(asked)
	if off.Abs() < clockSkew {
		return nil
	}
	direction := "ahead of"
	if off < 0 {
		direction = "behind"
	}
	return []Finding{warned(what, fmt.Sprintf("its clock is %v %s this machine's", off.Abs().Round(time.Second), direction),
		"let NTP or chrony set both clocks")}
}

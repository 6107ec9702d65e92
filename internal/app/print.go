package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// How commands print.
const (
	FormatText     = "text"
	FormatHTML     = "html"     // a message as it is sent
	FormatMarkdown = "markdown" // a postmortem, to be filled in by people
	FormatJSON     = "json"     // findings
)

// cell is text from others as it may stand in a table: on one line, and bounded.
func cell(s string) string { return safetext.Line(s, safetext.MaxError) }

// messageText is a message in a format, as a terminal may show it.
func messageText(msg reporter.Message, format string) string {
	if format == FormatHTML {
		return safetext.Text(msg.Whole()) + "\n"
	}
	return safetext.Text(markup.Plain(msg.Whole())) + "\n"
}

// PrintIncidents prints a table of the open incidents and then the newest ones, at most f.Limit.
func (t *Tools) PrintIncidents(ctx context.Context, to io.Writer, f reporter.IncidentFilter) error {
	rows, err := incidentsList.run(ctx, t, f)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tSEVERITY\tTITLE\tALERTS\tSTARTED\tENDED\tACKNOWLEDGED")
	for _, r := range rows {
		in, ended, who := r.Incident, "-", "-"
		if in.Over() {
			ended = t.local(in.EndedAt)
		}
		if r.Acknowledgement.Active() {
			who = cell(r.Acknowledgement.By.Name) + " " + t.local(r.Acknowledgement.Since)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", cell(in.ID), in.State, cell(string(r.Severity)), cell(r.Title), r.Count,
			t.local(in.StartedAt), ended, who)
	}
	return w.Flush()
}

// PrintDeliveries prints a table of the newest deliveries, at most limit.
func (t *Tools) PrintDeliveries(ctx context.Context, to io.Writer, limit int) error {
	ds, err := deliveriesList.run(ctx, t, limit)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tWHAT\tRECEIVER\tSTATE\tATTEMPTS\tCREATED\tREASON")
	for _, d := range ds {
		why, err := t.why(d)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%d\t%s %s\t%s\t%s\t%d\t%s\t%s\n", d.ID, d.Kind, cell(d.Subject), cell(d.Receiver), d.State, d.Attempts,
			t.local(d.CreatedAt), cell(why))
	}
	return w.Flush()
}

func (t *Tools) local(at time.Time) string { return at.In(t.cfg.Zone).Format(time.DateTime) }

// String is one line.
func (f Finding) String() string {
	line := fmt.Sprintf("%-4s  %s: %s", f.Result, f.What, f.Text)
	if f.Remedy != "" {
		line += "; " + f.Remedy
	}
	return safetext.Line(line, 0)
}

// PrintFindings prints findings while they come: lines of text at once, or one JSON document in the end. failed says whether one of
// them is a failure.
func PrintFindings(to io.Writer, format string, find func(found func(Finding))) (failed bool, err error) {
	all := []Finding{}
	find(func(f Finding) {
		failed = failed || f.Result == FindingFail
		all = append(all, f)
		if format == FormatText {
			fmt.Fprintln(to, f)
		}
	})
	if format == FormatJSON {
		enc := json.NewEncoder(to)
		enc.SetIndent("", "  ")
		err = enc.Encode(all)
	}
	return failed, err
}

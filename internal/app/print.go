package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// The formats that commands print.
const (
	FormatText     = "text"
	FormatHTML     = "html"     // a message as it is sent
	FormatMarkdown = "markdown" // a postmortem, to be filled in by people
	FormatJSON     = "json"     // findings
)

// cell makes text from others safe for a table: one line of bounded length.
func cell(s string) string { return safetext.Line(s, safetext.MaxError) }

// messageText returns a message as text or HTML that cannot control a terminal.
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

// String returns the finding on one line.
func (f Finding) String() string {
	line := fmt.Sprintf("%-4s  %s: %s", f.Result, f.What, f.Text)
	if f.Remedy != "" {
		line += "; " + f.Remedy
	}
	return safetext.Line(line, 0)
}

// PrintFindings calls find and prints the findings: as text, each line as soon as it is found, or as one JSON document at the
// end. failed tells whether one of them is a failure.
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

// why returns in the configured language why a delivery was not sent, or waits, with the last error in brackets; "" if it is sent
// or has no error.
func (t *Tools) why(d reporter.Delivery) (string, error) {
	if d.State == reporter.DeliverySent || d.State == reporter.DeliveryMerged {
		return "", nil
	}
	bundle, err := i18n.New()
	if err != nil {
		return "", err
	}
	words, err := bundle.Words(t.cfg.Locale, i18n.Pages)
	if err != nil {
		return "", err
	}
	return words.Explain(string(d.Reason), d.LastError), nil
}

package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// futureFrom is how far in the future the time of a report to send may be, since this machine's clock may be behind.
const futureFrom = time.Minute

// ReportMoment parses the time of a report as people type it, in the report's time zone; "" is now. For send it must not be in
// the future. reporter.ErrNotFound: there is no report of that name.
func (t *Tools) ReportMoment(ctx context.Context, name, text string, send bool) (time.Time, error) {
	zoneName, err := reportZone.run(ctx, t, name)
	if err != nil {
		return time.Time{}, err
	}
	zone, err := time.LoadLocation(zoneName)
	if err != nil {
		return time.Time{}, err
	}
	now := t.now().Truncate(time.Second)
	at, err := parseMoment(text, zone, now)
	if err != nil {
		return time.Time{}, err
	}
	if send && at.After(now.Add(futureFrom)) {
		return time.Time{}, fmt.Errorf("%s is in the future, where there are no figures; choose an earlier time", at.Format(time.RFC3339))
	}
	return at, nil
}

// now is the time by the clock of the state if this process has opened it, else by the machine's.
func (t *Tools) now() time.Time {
	if t.box != nil {
		return t.box.now()
	}
	return time.Now()
}

func parseMoment(s string, zone *time.Location, now time.Time) (time.Time, error) {
	if s == "" {
		return now, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"} {
		t, err := time.ParseInLocation(layout, s, zone)
		switch {
		case err != nil:
		case t.Unix() < 0:
			return time.Time{}, fmt.Errorf("%q is before 1970", s)
		default:
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time; write it as 2026-04-22T08:00:00+08:00 or \"2026-04-22 08:00\"", s)
}

// silenceLongest is the longest silence of an incident. Who needs a longer one should change the alert.
const silenceLongest = 7 * 24 * time.Hour

// SilenceTime parses the duration of a silence, from one minute to silenceLongest.
func SilenceTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Minute || d > silenceLongest {
		return 0, fmt.Errorf("silence: %q is not a duration from 1m to %s; write one such as 1h or 4h", text, silenceLongest)
	}
	return d, nil
}

// noteInput bounds the bytes that are read as a note; the longest note has fewer.
const noteInput = 64 << 10

// NoteText joins the arguments of a note by spaces; if the only one is "-", it reads the note from in.
func NoteText(in io.Reader, args []string) (string, error) {
	if len(args) != 1 || args[0] != "-" {
		return strings.Join(args, " "), nil
	}
	b, err := io.ReadAll(io.LimitReader(in, noteInput))
	if err != nil {
		return "", fmt.Errorf("note: %w", err)
	}
	return string(b), nil
}

// UserName returns the name of the operating system's user, or "uid N" if it has none, as in a container.
func UserName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprint("uid ", os.Getuid())
}

// ReportNames returns the names of the configured reports, for completion.
func ReportNames(c *config.Config) []string {
	ds, err := definitions(c)
	if err != nil {
		return nil
	}
	var names []string
	for _, d := range ds {
		names = append(names, d.Name)
	}
	return names
}

// ReceiverNames returns the names of the configured receivers, for completion.
func ReceiverNames(c *config.Config) []string {
	var names []string
	for _, r := range c.Receivers {
		names = append(names, r.Name)
	}
	return names
}

// completedIDs is the number of incidents that completion offers.
const completedIDs = 50

// IncidentIDs returns the ids of the open incidents and then of the newest ones, for completion; none if the state cannot be
// read.
func IncidentIDs(ctx context.Context, c *config.Config, errors io.Writer) []string {
	log, err := NewLog(c, errors)
	if err != nil {
		return nil
	}
	t, err := OpenTools(ctx, c, Needs{State: true}, log)
	if err != nil {
		return nil
	}
	defer t.Close()
	rows, err := incidentsList.run(ctx, t, reporter.IncidentFilter{Limit: completedIDs})
	if err != nil {
		return nil
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.Incident.ID)
	}
	return ids
}

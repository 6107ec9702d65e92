package main

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// incidentActions are the commands by which a person acts on an incident.
func incidentActions(o *options) []*cobra.Command {
	var as string
	// act makes a command of an action, which prints what became of it.
	act := func(
		use, short string, args cobra.PositionalArgs, do func(cmd *cobra.Command, t *app.Tools, a app.IncidentAction) error,
	) *cobra.Command {
		cmd := &cobra.Command{
			Use: use, Short: short, Args: args, ValidArgsFunction: o.complete(incidentIDs),
			RunE: func(cmd *cobra.Command, args []string) error {
				a := app.IncidentAction{ID: args[0], Person: as}
				if a.Person == "" {
					a.Person = userName()
				}
				var err error
				if cmd.Name() == "silence" {
					a.For, err = silenceTime(args[1])
				} else {
					a.Text, err = noteText(cmd.InOrStdin(), args[1:])
				}
				if err != nil {
					return err
				}
				t, err := openTools(cmd, o, app.Needs{State: true})
				if err != nil {
					return err
				}
				defer t.Close()
				return do(cmd, t, a)
			},
		}
		cmd.Flags().StringVar(&as, "as", "", "name of who acts (default the user of the operating system)")
		return cmd
	}
	return []*cobra.Command{
		act("acknowledge ID", "Say that somebody takes care of an incident", cobra.ExactArgs(1),
			func(cmd *cobra.Command, t *app.Tools, a app.IncidentAction) error {
				done, err := t.Acknowledge(cmd.Context(), a)
				if err != nil {
					return err
				}
				text := "incident %s is acknowledged by %s\n"
				if !done.Changed {
					text = "incident %s was already acknowledged by %s\n"
				}
				fmt.Fprintf(cmd.OutOrStdout(), text, cell(a.ID), by(t, done.By))
				return nil
			}),
		act("release ID", "Take back the acknowledgement of an incident", cobra.ExactArgs(1),
			func(cmd *cobra.Command, t *app.Tools, a app.IncidentAction) error {
				done, err := t.Release(cmd.Context(), a)
				switch {
				case err != nil:
					return err
				case done.Changed:
					fmt.Fprintf(cmd.OutOrStdout(), "incident %s is released by %s\n", cell(a.ID), by(t, done.By))
				case done.By.ID != 0:
					fmt.Fprintf(cmd.OutOrStdout(), "incident %s was already released by %s\n", cell(a.ID), by(t, done.By))
				default:
					fmt.Fprintf(cmd.OutOrStdout(), "incident %s was not acknowledged\n", cell(a.ID))
				}
				return nil
			}),
		act("silence ID DURATION", "Silence an incident's alerts in its Alertmanager, as for 1h or 4h", cobra.ExactArgs(2),
			func(cmd *cobra.Command, t *app.Tools, a app.IncidentAction) error {
				if err := t.Silence(cmd.Context(), a); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "a silence of incident %s for %s is asked for by %s\n", cell(a.ID), a.For, cell(a.Person))
				return nil
			}),
		act("unsilence ID", "End the silences of an incident that people made here", cobra.ExactArgs(1),
			func(cmd *cobra.Command, t *app.Tools, a app.IncidentAction) error {
				if err := t.Unsilence(cmd.Context(), a); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "the end of the silences of incident %s is asked for by %s\n", cell(a.ID), cell(a.Person))
				return nil
			}),
		act("note ID TEXT...", "Add a note to an incident; - reads its text from the standard input", cobra.MinimumNArgs(2),
			func(cmd *cobra.Command, t *app.Tools, a app.IncidentAction) error {
				if err := t.Note(cmd.Context(), a); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "incident %s has the note\n", cell(a.ID))
				return nil
			}),
	}
}

// silenceLongest is the longest silence of an incident: a longer one is rather a change of the alert.
const silenceLongest = 7 * 24 * time.Hour

func silenceTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Minute || d > silenceLongest {
		return 0, fmt.Errorf("silence: %q is no duration from 1m to %s, such as 1h or 4h", text, silenceLongest)
	}
	return d, nil
}

// by is who wrote an entry, and when.
func by(t *app.Tools, e reporter.Entry) string {
	return fmt.Sprintf("%s at %s", cell(e.Author), e.WrittenAt.In(t.Zone()).Format(time.DateTime))
}

// userName is the user of the operating system, who may have no name in a container.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprint("uid ", os.Getuid())
}

// noteInput bounds what is read as a note: more than the longest note takes.
const noteInput = 64 << 10

// noteText joins the arguments of a note, or reads in where they are "-".
func noteText(in io.Reader, args []string) (string, error) {
	if len(args) != 1 || args[0] != "-" {
		return strings.Join(args, " "), nil
	}
	b, err := io.ReadAll(io.LimitReader(in, noteInput))
	if err != nil {
		return "", fmt.Errorf("note: %w", err)
	}
	return string(b), nil
}

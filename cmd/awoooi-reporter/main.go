// Command awoooi-reporter is the collector and the reporter in one binary: a configuration comes in, gauges, reports
// and postmortems go out. This package has the commands; internal/app wires the parts.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command until ctx or a signal ends it, and returns the exit code: 0, or 1 after an error, which it has
// written to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	explainArguments(root)
	root.SetArgs(args)
	out := &output{to: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && cmd.Name() != "run" { // there a failed write is a failed send of the terminal channel
		err = out.err
	}
	if err != nil {
		fmt.Fprintln(stderr, "error:", safetext.Text(err.Error()))
		return 1
	}
	return 0
}

func rootCommand() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "awoooi-reporter",
		Short: "KPI gauges from an operations database; daily reports and postmortems in the on-call chat",
		Long: "awoooi-reporter turns an operations database into KPI gauges for Prometheus, reports them every day by\n" +
			"PromQL, and writes a postmortem of each resolved Alertmanager incident that lasted long enough.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       cmp.Or(version.Version, "unknown"), // cobra adds --version only if this is set
	}
	root.SetVersionTemplate(version.Print("awoooi-reporter") + "\n")
	o.register(root.PersistentFlags())
	root.AddCommand(
		runCommand(&o),
		checkConfigCommand(&o),
		doctorCommand(&o),
		testCommand(&o),
		reportCommand(&o),
		postmortemCommand(&o),
		incidentsCommand(&o),
		deliveriesCommand(&o),
		dashboardsCommand(&o),
		versionCommand(),
	)
	return root
}

// output keeps the first error of a write, so that a report that was cut off by a full disk is not a success.
type output struct {
	to  io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("output: %w", err)
	}
	return n, err
}

// explainArguments adds the usage of a command to errors about its arguments and flags.
func explainArguments(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%w; usage: %s", err, cmd.UseLine())
			}
			return nil
		}
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; %s --help lists them", err, cmd.CommandPath())
	})
	for _, sub := range cmd.Commands() {
		explainArguments(sub)
	}
}

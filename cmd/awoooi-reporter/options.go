package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/config"
)

// defaultConfigFile is used if it exists and neither flag nor environment names a file.
const defaultConfigFile = "/etc/awoooi-reporter/config.yaml"

// options are the flags of every command; a flag overrides the file and the environment.
type options struct {
	configFile string
	logLevel   string
	logFormat  string
}

func (o *options) register(f *pflag.FlagSet) {
	f.StringVar(&o.configFile, "config.file", "", "configuration file (default $"+config.EnvConfigFile+", then "+defaultConfigFile+
		" if it exists); without one the defaults and the environment are used")
	f.StringVar(&o.logLevel, "log.level", "", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log.format", "", "logfmt or json")
}

// file returns the path of the configuration file: from the flag, the environment, or the one in /etc; "" if there is none.
func (o *options) file() string {
	if path := cmp.Or(o.configFile, os.Getenv(config.EnvConfigFile)); path != "" {
		return path
	}
	if _, err := os.Stat(defaultConfigFile); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return defaultConfigFile
}

// load reads and checks the configuration, with flags in addition to those of every command.
func (o *options) load(ctx context.Context, flags map[string]config.Flag) (*config.Config, error) {
	all := map[string]config.Flag{}
	maps.Copy(all, flags)
	if o.logLevel != "" {
		all["log.level"] = config.Flag{Name: "--log.level", Value: o.logLevel}
	}
	if o.logFormat != "" {
		all["log.format"] = config.Flag{Name: "--log.format", Value: o.logFormat}
	}
	return config.Options{
		Path: o.file(), Environ: os.Environ(), Flags: all, Checks: []config.Check{app.CheckConfig},
	}.Load(ctx)
}

// begin loads the configuration and makes the log that it configures, which writes to to.
func (o *options) begin(ctx context.Context, to io.Writer) (*config.Config, *slog.Logger, error) {
	c, err := o.load(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	log, err := app.NewLog(c, to)
	return c, log, err
}

// withTools calls use with tools that work through the running process, or else on the state itself.
func (o *options) withTools(cmd *cobra.Command, needs app.Needs, use func(*app.Tools) error) error {
	c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	t, err := app.OpenTools(cmd.Context(), c, needs, log)
	if err != nil {
		return err
	}
	defer t.Close()
	return use(t)
}

// complete completes the first argument of a command with names. It offers none if the configuration has a problem.
func (o *options) complete(names func(cmd *cobra.Command, c *config.Config) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := o.load(cmd.Context(), nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, c), cobra.ShellCompDirectiveNoFileComp
	}
}

// oneOf returns an error if a flag's value is not one of have. "" in have stands for a flag that is not set.
func oneOf[S ~string](flag string, value S, have ...S) error {
	if slices.Contains(have, value) {
		return nil
	}
	var names []string
	for _, h := range have {
		if h != "" {
			names = append(names, string(h))
		}
	}
	last := len(names) - 1
	return fmt.Errorf("--%s: is %q, want %s or %s", flag, value, strings.Join(names[:last], ", "), names[last])
}

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

	"github.com/prometheus/common/promslog"
	"github.com/spf13/pflag"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

// defaultConfigFile is used if it exists and no other is named.
const defaultConfigFile = "/etc/awoooi-reporter/config.yaml"

// options are the flags of every command; a flag that was given wins over the file and the environment.
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

// file is the configuration file: of the flag, of the environment, or the one in /etc; "" if there is none.
func (o *options) file() string {
	if path := cmp.Or(o.configFile, os.Getenv(config.EnvConfigFile)); path != "" {
		return path
	}
	if _, err := os.Stat(defaultConfigFile); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return defaultConfigFile
}

// load reads and checks the configuration, with the given flags beside those of every command.
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

// begin is what every command does first: it loads the configuration, and makes the log that the configuration asks for.
func (o *options) begin(ctx context.Context, to io.Writer) (*config.Config, *slog.Logger, error) {
	c, err := o.load(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	log, err := logger(c, to)
	return c, log, err
}

// logger builds the program's log from the configuration.
func logger(c *config.Config, to io.Writer) (*slog.Logger, error) {
	level, format := promslog.NewLevel(), promslog.NewFormat()
	if err := level.Set(c.Log.Level); err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	if err := format.Set(c.Log.Format); err != nil {
		return nil, fmt.Errorf("log.format: %w", err)
	}
	log := promslog.New(&promslog.Config{Level: level, Format: format, Writer: to})
	return slog.New(safetext.NewHandler(log.Handler())), nil
}

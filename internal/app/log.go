package app

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/common/promslog"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

// NewLog returns a logger with the level and format of the configuration, which writes to to text that cannot control a
// terminal.
func NewLog(c *config.Config, to io.Writer) (*slog.Logger, error) {
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

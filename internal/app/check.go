package app

import (
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/config"
)

// Summary counts what a configuration defines.
type Summary struct {
	Sources, Queries, Reports, Receivers int
}

// Check builds every part of the program from a configuration, as a start would, but connects to nothing and writes
// nothing. The error joins those of all parts.
func Check(c *config.Config, log *slog.Logger) (Summary, error) {
	own := []collector.NamedSource{journalSource(nil)} // as with a reporter in the same process
	qs, err1 := queries(c, own, log)
	ss, err2 := sources(c, own)
	for _, s := range ss {
		s.Source.Close()
	}
	_, err3 := channels(c, io.Discard, log)
	r, err4 := newReading(c, nil, noFigures{}, log, time.Now)
	if err4 == nil {
		r.close()
	}
	_, err5 := reconcileConfig(c)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return Summary{}, err
	}
	return Summary{Sources: len(c.Sources), Queries: len(qs), Reports: len(r.definitions), Receivers: len(c.Receivers)}, nil
}

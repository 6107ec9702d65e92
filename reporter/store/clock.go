package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// clockEvery is how often the database is asked for its time; in between, the process's monotonic clock counts on.
	clockEvery = 10 * time.Second
	// skewWarned is the difference of clocks from which on a person is to set one right.
	skewWarned = 5 * time.Second
)

// clock is the database's time, by which everything is due where several processes share it.
type clock struct {
	mu     sync.Mutex
	base   time.Time // the database's time at the moment at; zero is not asked yet
	at     time.Time // by the process's clock, with its monotonic reading
	skew   time.Duration
	warned bool
}

// Now is the time that counts: the database's where processes share it, else the process's own.
func (s *Store) Now() time.Time {
	if s.now != nil {
		return s.now()
	}
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	if s.shared.base.IsZero() {
		return time.Now()
	}
	return s.shared.base.Add(time.Since(s.shared.at))
}

// Skew is how far the process's clock is ahead of the database's.
func (s *Store) Skew() time.Duration {
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	return s.shared.skew
}

// readClock asks the database for its time.
func (s *Store) readClock(ctx context.Context) error {
	if !s.postgres() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, clockEvery/2)
	defer cancel()
	asked := time.Now()
	var micros int64
	if err := s.reading().row(ctx, `SELECT `+databaseNow).Scan(&micros); err != nil {
		return fmt.Errorf("time of the database: %w", err)
	}
	at := time.Now()
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	// It is now between the answer and the answer plus what it took. What was known before stays where that does not contradict
	// it: one slow answer must not move the time.
	earliest, latest := time.UnixMicro(micros), time.UnixMicro(micros).Add(at.Sub(asked))
	now := earliest.Add(latest.Sub(earliest) / 2)
	if !s.shared.base.IsZero() {
		now = s.shared.base.Add(at.Sub(s.shared.at))
		if now.Before(earliest) {
			now = earliest
		}
		if now.After(latest) {
			now = latest
		}
	}
	s.shared.at, s.shared.base = at, now
	s.shared.skew = at.Round(0).Sub(now)
	if off := s.shared.skew.Abs() > skewWarned; off != s.shared.warned {
		s.shared.warned = off
		if off {
			s.log.Error("this machine's clock differs from the database's, which is the one that counts; set it right",
				"ahead", s.shared.skew.Round(time.Millisecond))
		} else {
			s.log.Info("this machine's clock agrees with the database's again")
		}
	}
	return nil
}

// clockLoop keeps the clock until the store is closed. While the database does not answer, the clock counts on by itself.
func (s *Store) clockLoop() {
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-ticker.C:
			if err := s.readClock(context.Background()); err != nil {
				s.log.Debug("the database was not asked for its time", "err", err)
			}
		}
	}
}

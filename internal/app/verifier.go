package app

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	pages "github.com/awoooi/awoooi-reporter/reporter/web"
)

const (
	// verifyTime bounds the verification of one receiver.
	verifyTime = 15 * time.Second
	// verifyAgain is the interval at which receivers that failed are verified again.
	verifyAgain = time.Minute
)

// verifiable is a channel that can check without sending a message whether it works.
type verifiable interface {
	Verify(ctx context.Context) error
}

// verifier verifies every receiver once after a start and a reload, and again while that fails. It delays no sends.
type verifier struct {
	log     *slog.Logger
	now     func() time.Time
	changed chan struct{} // the channels are new

	mu       sync.Mutex
	channels map[string]outbox.Channel     // by receiver; guarded by mu
	known    map[string]pages.Verification // by receiver; guarded by mu
}

func newVerifier(log *slog.Logger, now func() time.Time) *verifier {
	return &verifier{log: log, now: now, changed: make(chan struct{}, 1)}
}

// setChannels replaces the channels, drops all results, and makes run verify again.
func (v *verifier) setChannels(channels map[string]outbox.Channel) {
	v.mu.Lock()
	v.channels, v.known = channels, map[string]pages.Verification{}
	for name, ch := range channels {
		if _, ok := ch.(verifiable); !ok { // such as the terminal, which always works
			v.known[name] = pages.Verification{At: v.now()}
		}
	}
	v.mu.Unlock()
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// results returns the last result of each receiver; one without a result has not been verified yet.
func (v *verifier) results() map[string]pages.Verification {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.known)
}

func (v *verifier) run(ctx context.Context) {
	timer := time.NewTimer(verifyAgain)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.changed:
		case <-timer.C:
		}
		v.verify(ctx)
		timer.Reset(verifyAgain)
	}
}

// verify verifies in parallel the receivers that are not known to work.
func (v *verifier) verify(ctx context.Context) {
	v.mu.Lock()
	channels, known := v.channels, maps.Clone(v.known)
	v.mu.Unlock()
	var wg sync.WaitGroup
	for name, ch := range channels {
		last, asked := known[name]
		check, ok := ch.(verifiable)
		if !ok || asked && last.Fault == "" {
			continue
		}
		wg.Go(func() {
			asking, cancel := context.WithTimeout(ctx, verifyTime)
			defer cancel()
			err := check.Verify(asking)
			if ctx.Err() != nil {
				return
			}
			now := pages.Verification{At: v.now()}
			if err != nil {
				now.Fault = err.Error()
			}
			v.mu.Lock()
			defer v.mu.Unlock()
			if v.channels[name] != ch { // replaced meanwhile
				return
			}
			v.known[name] = now
			switch {
			case now.Fault != "" && now.Fault != last.Fault:
				v.log.Warn("receiver cannot be verified", "receiver", name, "err", err)
			case now.Fault == "" && last.Fault != "":
				v.log.Info("receiver is verified", "receiver", name)
			}
		})
	}
	wg.Wait()
}

package promql

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// ErrNotSupported says that a server has no such answer, as those that only speak Prometheus's query API.
var ErrNotSupported = errors.New("the server does not say")

// Now returns the server's clock.
func (h *HTTP) Now(ctx context.Context) (time.Time, error) {
	samples, err := h.Query(ctx, "time()", time.Time{}) // without a time, the server takes its own
	if err != nil {
		return time.Time{}, err
	}
	if len(samples) != 1 {
		return time.Time{}, ErrNotSupported
	}
	return time.UnixMilli(int64(samples[0].Value * 1000)), nil
}

// Retention returns how long the server keeps samples; 0 is no limit of time. ErrNotSupported is that of servers other than
// Prometheus.
func (h *HTTP) Retention(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	info, err := h.api.Runtimeinfo(ctx)
	if err != nil || info.StorageRetention == "" {
		return 0, ErrNotSupported
	}
	// Such as 15d, 10GB, or "15d or 10GB".
	for part := range strings.SplitSeq(info.StorageRetention, " or ") {
		if d, err := model.ParseDuration(strings.TrimSpace(part)); err == nil {
			return time.Duration(d), nil
		}
	}
	return 0, nil
}

package promql

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// ErrNotSupported means that a server does not implement an endpoint, such as those that have Prometheus's query API only.
var ErrNotSupported = errors.New("not supported by the server")

// Now returns the server's clock.
func (h *HTTP) Now(ctx context.Context) (time.Time, error) {
	samples, err := h.Query(ctx, "time()", time.Time{}) // without a time, the server uses its own
	if err != nil {
		return time.Time{}, err
	}
	if len(samples) != 1 {
		return time.Time{}, ErrNotSupported
	}
	return time.UnixMilli(int64(samples[0].Value * 1000)), nil
}

// Retention returns how long the server keeps samples; 0 means no limit of time. Servers other than Prometheus return ErrNotSupported.
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

package webhook

import (
	"time"

	dto "github.com/prometheus/client_model/go"
)

// Last says when the last webhook was accepted by this process; zero if none was.
func (h *Handler) Last() time.Time {
	var m dto.Metric
	if err := h.last.Write(&m); err != nil || m.GetGauge().GetValue() == 0 {
		return time.Time{}
	}
	return time.Unix(int64(m.GetGauge().GetValue()), 0)
}

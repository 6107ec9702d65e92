package alertmanager

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/models"
)

// KnownAlert is an alert that a cluster has.
type KnownAlert struct {
	Labels   map[string]string
	Silenced bool
}

// Alerts returns the alerts that match all of the matchers, of the first member that answers. It is an error if none does.
func (a *API) Alerts(ctx context.Context, matchers ...string) ([]KnownAlert, error) {
	var errs []error
	for _, m := range a.members {
		answer, err := m.whole.Alert.GetAlerts(alert.NewGetAlertsParamsWithContext(ctx).WithFilter(matchers))
		if err != nil {
			errs = append(errs, fmt.Errorf("alertmanager %s: alerts: %w", m.url, err))
			continue
		}
		var out []KnownAlert
		for _, known := range answer.Payload {
			if known != nil {
				out = append(out, KnownAlert{Labels: known.Labels, Silenced: silenced(known)})
			}
		}
		return out, nil
	}
	return nil, errors.Join(errs...)
}

func silenced(a *models.GettableAlert) bool { return a.Status != nil && len(a.Status.SilencedBy) > 0 }

package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/models"
)

// Alert is one that is posted. The zero EndsAt lets the Alertmanager decide, so that it fires until it expires there.
type Alert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
}

// Post gives an alert to every member of the cluster, as Prometheus does. It is an error if none takes it.
func (a *API) Post(ctx context.Context, posted Alert) error {
	one := &models.PostableAlert{
		Alert:       models.Alert{Labels: posted.Labels},
		Annotations: posted.Annotations, StartsAt: strfmt.DateTime(posted.StartsAt),
	}
	if !posted.EndsAt.IsZero() {
		one.EndsAt = strfmt.DateTime(posted.EndsAt)
	}
	params := alert.NewPostAlertsParamsWithContext(ctx).WithAlerts(models.PostableAlerts{one})
	var errs []error
	for _, m := range a.members {
		if _, err := m.client.Alert.PostAlerts(params); err != nil {
			errs = append(errs, fmt.Errorf("alertmanager %s: post: %w", m.url, err))
		}
	}
	if len(errs) == len(a.members) {
		return errors.Join(errs...)
	}
	return nil
}

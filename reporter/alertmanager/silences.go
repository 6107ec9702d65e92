package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client/silence"
	"github.com/prometheus/alertmanager/api/v2/models"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Silencer creates, ends and reads the silences of a cluster for people.
type Silencer struct{ api *API }

// NewSilencer is that of the API's cluster.
func NewSilencer(a *API) *Silencer { return &Silencer{a} }

// memberTimeout bounds a request to one member, so that one that hangs leaves time to ask the others.
const memberTimeout = 3 * time.Second

// Create makes a silence and returns its id. Another member is asked only where the one before it could not be connected to: any other
// fault leaves open whether the silence was made. reporter.ErrRefused: the cluster does not take it.
func (s *Silencer) Create(ctx context.Context, n reporter.Silence, createdBy, comment string) (string, error) {
	starts, ends := strfmt.DateTime(n.StartsAt), strfmt.DateTime(n.EndsAt)
	posted := &models.PostableSilence{Silence: models.Silence{CreatedBy: &createdBy, Comment: &comment, StartsAt: &starts, EndsAt: &ends}}
	yes := true
	for _, m := range n.Matchers {
		posted.Matchers = append(posted.Matchers, &models.Matcher{Name: &m.Name, Value: &m.Value, IsRegex: &m.Regex, IsEqual: &yes})
	}
	var errs []error
	for _, m := range s.api.members {
		asking, cancel := context.WithTimeout(ctx, memberTimeout)
		answer, err := m.client.Silence.PostSilences(silence.NewPostSilencesParamsWithContext(asking).WithSilence(posted))
		cancel()
		var refused *silence.PostSilencesBadRequest
		var dial *net.OpError
		switch {
		case errors.As(err, &refused):
			return "", fmt.Errorf("alertmanager %s: silence %w: %s", m.url, reporter.ErrRefused, refused.Payload)
		case err != nil:
			errs = append(errs, fmt.Errorf("alertmanager %s: silence: %w", m.url, err))
			if errors.As(err, &dial) && dial.Op == "dial" {
				continue
			}
			return "", errors.Join(errs...)
		case answer.Payload == nil || answer.Payload.SilenceID == "":
			return "", fmt.Errorf("alertmanager %s: silence: %w", m.url, errNotAlertmanager)
		}
		return answer.Payload.SilenceID, nil
	}
	return "", errors.Join(errs...)
}

// Find returns the silence whose comment holds the mark, of the first member that has it; false if none has it. It is an error if a member
// does not answer and none has it: that one may.
func (s *Silencer) Find(ctx context.Context, mark string) (reporter.KnownSilence, bool, error) {
	var errs []error
	for _, m := range s.api.members {
		asking, cancel := context.WithTimeout(ctx, memberTimeout)
		answer, err := m.client.Silence.GetSilences(silence.NewGetSilencesParamsWithContext(asking))
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("alertmanager %s: silences: %w", m.url, err))
			continue
		}
		for _, known := range answer.Payload {
			if known != nil && known.Comment != nil && strings.Contains(*known.Comment, mark) {
				return read(known), true, nil
			}
		}
	}
	return reporter.KnownSilence{}, false, errors.Join(errs...)
}

// Get returns the silence of that id, of the first member that has it; reporter.ErrNotFound if no member that answers has it, and one does.
func (s *Silencer) Get(ctx context.Context, id string) (reporter.KnownSilence, error) {
	var errs []error
	for _, m := range s.api.members {
		asking, cancel := context.WithTimeout(ctx, memberTimeout)
		answer, err := m.client.Silence.GetSilence(silence.NewGetSilenceParamsWithContext(asking).WithSilenceID(strfmt.UUID(id)))
		cancel()
		var none *silence.GetSilenceNotFound
		switch {
		case errors.As(err, &none):
		case err != nil:
			errs = append(errs, fmt.Errorf("alertmanager %s: silence: %w", m.url, err))
		case answer.Payload == nil:
			errs = append(errs, fmt.Errorf("alertmanager %s: silence: %w", m.url, errNotAlertmanager))
		default:
			return read(answer.Payload), nil
		}
	}
	if len(errs) < len(s.api.members) {
		return reporter.KnownSilence{}, fmt.Errorf("silence %s: %w", id, reporter.ErrNotFound)
	}
	return reporter.KnownSilence{}, errors.Join(errs...)
}

// End ends a silence in the first member that has it, from which the others get that; one that has ended, or that no member has, is no
// error. It is an error if a member does not answer and none has it: that one may.
func (s *Silencer) End(ctx context.Context, id string) error {
	var errs []error
	for _, m := range s.api.members {
		asking, cancel := context.WithTimeout(ctx, memberTimeout)
		_, err := m.client.Silence.DeleteSilence(silence.NewDeleteSilenceParamsWithContext(asking).WithSilenceID(strfmt.UUID(id)))
		cancel()
		var none *silence.DeleteSilenceNotFound
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &none):
			errs = append(errs, fmt.Errorf("alertmanager %s: silence: %w", m.url, err))
		}
	}
	return errors.Join(errs...)
}

func read(known *models.GettableSilence) (out reporter.KnownSilence) {
	if known.ID != nil {
		out.ID = *known.ID
	}
	if known.EndsAt != nil {
		out.EndsAt = time.Time(*known.EndsAt)
	}
	out.Expired = known.Status != nil && known.Status.State != nil && *known.Status.State == models.SilenceStatusStateExpired
	return out
}

package promql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// AlertRules returns the alerting rules of that name, from the server's /api/v1/rules. A server that ignores the parameters
// (Prometheus before 2.46, some compatible servers) answers with all its rules, which are read up to maxAnswer.
// https://prometheus.io/docs/prometheus/latest/querying/api/#rules
func (h *HTTP) AlertRules(ctx context.Context, name string) ([]reporter.AlertRule, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	u := h.client.URL("/api/v1/rules", nil)
	q := u.Query() // of the configured address
	q.Set("type", "alert")
	q.Set("rule_name[]", name)
	q.Set("exclude_alerts", "true")
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, errors.New("prometheus rules: not a valid URL")
	}
	resp, body, err := h.client.Do(ctx, req) //nolint:bodyclose // the client has read and closed it
	if err != nil {
		return nil, fmt.Errorf("prometheus rules: %w", withoutURL(err))
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("prometheus rules: the server answered %d", resp.StatusCode)
	}
	var answer struct {
		Status string
		Data   struct {
			Groups []struct {
				Rules []struct {
					Type, Name, Query string
					Labels            map[string]string
				}
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return nil, errors.New("prometheus rules: the answer is not in the format of Prometheus's API")
	}
	var out []reporter.AlertRule
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			if r.Name == name && r.Type == "alerting" && strings.TrimSpace(r.Query) != "" {
				out = append(out, reporter.AlertRule{Expr: r.Query, Labels: r.Labels})
			}
		}
	}
	return out, nil
}

package webhook

import (
	"github.com/prometheus/alertmanager/template"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Versions of the payload. Alertmanager's: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
// Grafana's: https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
const (
	versionAlertmanager = "4"
	versionGrafana      = "1" // with an orgId
)

// Message is the payload of an Alertmanager webhook: the data that its notification templates have, and the envelope that
// its package notify/webhook adds to them.
type Message struct {
	*template.Data
	Version         string `json:"version"`
	GroupKey        string `json:"groupKey"`
	TruncatedAlerts uint64 `json:"truncatedAlerts"`
}

// alert is one alert of a webhook, with the links that Grafana adds.
type alert struct {
	template.Alert
	silenceURL, dashboardURL, panelURL string

	lost uint64 // stands for what was cut of its labels; 0 is nothing
}

func (a alert) links() (out []reporter.Link) {
	for _, l := range []reporter.Link{
		{Kind: "dashboard", URL: a.dashboardURL}, {Kind: "panel", URL: a.panelURL}, {Kind: "silence", URL: a.silenceURL},
	} {
		if l.URL != "" {
			out = append(out, l)
		}
	}
	return out
}

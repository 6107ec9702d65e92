package app

import (
	"log/slog"
	"path/filepath"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// missingSetting is a setting that is not configured, and what follows from that.
type missingSetting struct{ key, means string }

// notConfigured lists the settings of a role whose absence people should know about.
func notConfigured(c *config.Config, role string) []missingSetting {
	var out []missingSetting
	add := func(missing bool, key, means string) {
		if missing {
			out = append(out, missingSetting{key, means})
		}
	}
	switch role {
	case RoleAll:
		add(len(c.Sources) == 0, "sources", "KPIs come from the incident journal only")
	case RoleCollector:
		add(len(c.Sources) == 0, "sources", "there are no KPIs: those of the incident journal are exposed by the role reporter")
		return out
	}
	chats := 0
	for _, r := range c.Receivers {
		if r.Telegram != nil {
			chats++
		}
	}
	add(chats == 0, "receivers: telegram", "messages go to the terminal and the pages only")
	if role == RoleAll {
		add(c.Prometheus.URL == "", "prometheus.url", "figures are kept in the embedded database beside the state")
	} else {
		add(c.Prometheus.URL == "", "prometheus.url", "reports have no data")
	}
	add(len(c.Alertmanagers) == 0, "alertmanagers", "a lost resolve is noticed only after incidents.expire_after")
	add(chats > 0 && c.ExternalURL == "", "external_url", "messages have no links to the pages")
	add(chats > 0 && c.Delivery.FallbackReceiver == "", "delivery.fallback_receiver",
		"people are notified of a message that could not be sent only in the same chat, once it works again")
	add(c.Incidents.Details.Source == "", "incidents.details.source", "postmortems have no root cause and action from a database")
	return out
}

// logStart logs what the program runs with: state, next due times, and what is not configured.
func logStart(c *config.Config, role string, now time.Time, log *slog.Logger) {
	if role != RoleCollector {
		log.Info("state", "in", stateIn(c))
		ds, err := definitions(c)
		if err != nil {
			return // cannot happen: the parts were built from them
		}
		for _, d := range ds {
			schedule, err := report.ParseSchedule(d.Schedule, d.Zone)
			if err != nil {
				continue
			}
			if next, ok := schedule.Next(now); ok {
				log.Info("report", "name", d.Name, "next_due", next.In(d.Zone).Format(time.RFC3339), "receivers", d.Receivers)
			}
		}
	}
	for _, m := range notConfigured(c, role) {
		log.Info("not configured", "setting", m.key, "means", m.means)
	}
}

// stateIn describes where the state is, without secrets.
func stateIn(c *config.Config) string {
	if !c.State.DSN.Empty() {
		return "PostgreSQL, schema " + store.Schema
	}
	if dir, err := filepath.Abs(c.State.Path); err == nil {
		return dir
	}
	return c.State.Path
}

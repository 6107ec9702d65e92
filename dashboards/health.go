package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Health makes the dashboard of the program itself: what it collects, receives, keeps and delivers.
func Health(o Options) ([]byte, error) {
	o = o.withDefaults()
	return board{
		uid: HealthUID, title: "AWOOOI reporter health", from: "now-24h", options: o,
		help: "Collector, webhooks, deliveries, incident journal and process of awoooi-reporter. A panel without data is blank or shows " +
			"that.",
		sections: []section{overview(), collector(), webhooks(), deliveries(), journal(), process()},
	}.json()
}

var (
	upOrDown       = map[string]dashboard.ValueMappingResult{"0": say("down", "red"), "1": say("up", "green")}
	goodOrFailed   = map[string]dashboard.ValueMappingResult{"0": say("failed", "red"), "1": say("good", "green")}
	worksOrStopped = map[string]dashboard.ValueMappingResult{"0": say("works", "green"), "1": say("stopped", "red")}
)

func overview() section {
	stat := func(title, help, unit, expr string, thresholds []dashboard.Threshold) panel {
		return panel{
			kind: figures, title: title, help: help, unit: unit, width: 4, thresholds: thresholds, targets: []target{{expr, ""}},
		}
	}
	reload := stat("Configuration", "Whether every process accepted its configuration the last time it was loaded.", units.NoUnit,
		"min(awoooi_reporter_config_last_reload_successful{})", from("red", 1.0, "green"))
	reload.says = map[string]dashboard.ValueMappingResult{"0": say("refused", "red"), "1": say("accepted", "green")}
	return section{"Overview", []panel{
		stat("Sources down", "Sources that answered no query in the last scrape, on any replica.", units.NoUnit,
			"sum(1 - max by (source, kind) (awoooi_collector_up{}))", from("green", 1.0, "red")),
		stat("Queries failing", "Queries that gave no figures in the last scrape, on any replica.", units.NoUnit,
			"sum(1 - max by (source, query) (awoooi_collector_query_success{}))", from("green", 1.0, "red")),
		stat("Receivers stopped", "Receivers that refuse everything, as with a revoked token.", units.NoUnit,
			"sum(max by (receiver) (awoooi_reporter_receiver_stopped{}))", from("green", 1.0, "red")),
		stat("Deliveries pending", "Messages that wait to be sent.", units.NoUnit,
			"sum(max by (receiver) (awoooi_reporter_deliveries_pending{}))", from("green", 20.0, "yellow")),
		stat("Oldest pending", "Age of the oldest message that waits; 0 where it is known that none does.", units.Seconds,
			"time() - max(awoooi_reporter_delivery_oldest_pending_timestamp_seconds{})"+
				" or sum(max by (receiver) (awoooi_reporter_deliveries_pending{})) == 0",
			from("green", 300.0, "yellow", 900.0, "red")),
		stat("Given up", "Messages that were given up in the last 24 hours. Someone has to pass on what they contain.", units.NoUnit,
			`round(sum(increase(awoooi_reporter_deliveries_total{job=~"$job", instance=~"$instance", outcome="given_up"}[1d])))`,
			from("green", 1.0, "red")),
		stat("Last report", "When a report was last delivered, within the last two days.", units.DateTimeFromNow,
			"max(max_over_time(awoooi_reporter_report_last_sent_timestamp_seconds{}[2d]) > 0) * 1000", nil),
		stat("Last webhook", "When a webhook was last accepted, within the last two days.", units.DateTimeFromNow,
			"max(max_over_time(awoooi_reporter_webhook_last_timestamp_seconds{}[2d]) > 0) * 1000", nil),
		stat("Last reconcile", "How long ago the open incidents were last compared with Alertmanager.", units.Seconds,
			"time() - max(awoooi_reporter_reconcile_last_success_timestamp_seconds{} > 0)", from("green", 600.0, "yellow", 1800.0, "red")),
		reload,
		stat("Processes", "Processes that are scraped.", units.NoUnit, "count(awoooi_reporter_build_info{})", nil),
		{
			kind: figures, title: "Version", help: "The versions that run, and how many processes of each.", unit: units.NoUnit, width: 4,
			targets: []target{{"count by (version) (awoooi_reporter_build_info{})", "{{version}}"}},
		},
	}}
}

func collector() section {
	return section{"Collector", []panel{
		{
			kind: states, title: "Sources", help: "Whether the source answered at least one query of the scrape.", width: 12,
			says: upOrDown, thresholds: from("red", 1.0, "green"),
			targets: []target{{"max by (source, kind) (awoooi_collector_up{})", "{{source}} ({{kind}})"}},
		},
		{
			kind: states, title: "Queries", help: "Whether the query gave its figures. The log has the cause if it did not.", width: 12,
			says: goodOrFailed, thresholds: from("red", 1.0, "green"),
			targets: []target{{"max by (source, query) (awoooi_collector_query_success{})", "{{source}} {{query}}"}},
		},
		{
			kind: lines, title: "Query duration", help: "How long each query took, on the slowest replica.", unit: units.Seconds, width: 12,
			targets: []target{{"max by (source, query) (awoooi_collector_query_duration_seconds{})", "{{source}} {{query}}"}},
		},
		{
			kind: lines, title: "Age of the figures", help: "How long ago each query last gave its figures, on any replica.",
			unit: units.Seconds, width: 12,
			targets: []target{{
				"time() - max by (source, query) (awoooi_collector_query_last_success_timestamp_seconds{})", "{{source}} {{query}}",
			}},
		},
		{
			kind: lines, title: "Rows folded", unit: units.NoUnit, width: 6,
			help:    "Rows that were folded into another series, as duplicates or beyond the query's cap.",
			targets: []target{{"max by (source, query) (awoooi_collector_query_series_dropped{})", "{{source}} {{query}}"}},
		},
		{
			kind: lines, title: "Scrape duration", help: "How long all sources of a scrape took.", unit: units.Seconds, width: 6,
			targets: []target{{"max by (instance) (awoooi_collector_scrape_duration_seconds{})", "{{instance}}"}},
		},
		{
			kind: lines, title: "Clock skew", unit: units.Seconds, width: 6,
			help: "The collector's clock less Prometheus' clock at the scrape. The windows of the figures end at the collector's time.",
			targets: []target{{
				"max by (instance) (awoooi_collector_window_end_timestamp_seconds{} - timestamp(awoooi_collector_window_end_timestamp_seconds{}))",
				"{{instance}}",
			}},
		},
		{
			kind: lines, title: "Connections", unit: units.NoUnit, width: 6,
			help:    "Connections to the sources, by state, of all replicas together.",
			targets: []target{{"sum by (source, state) (awoooi_collector_pool_connections{})", "{{source}} {{state}}"}},
		},
	}}
}

func webhooks() section {
	return section{"Webhooks", []panel{
		{
			kind: lines, title: "Webhooks", help: "Webhooks a second, by the status of the answer. Alertmanager retries after a 5xx only.",
			unit: units.RequestsPerSecond, width: 8,
			targets: []target{{"sum by (code) (rate(awoooi_reporter_webhooks_total{}[$__rate_interval]))", "{{code}}"}},
		},
		{
			kind: lines, title: "Alerts", help: "Alerts in accepted webhooks, a second.", unit: units.NoUnit, width: 8,
			targets: []target{{"sum by (status) (rate(awoooi_reporter_webhook_alerts_total{}[$__rate_interval]))", "{{status}}"}},
		},
		{
			kind: lines, title: "Time to answer", unit: units.Seconds, width: 8,
			help: "How long webhooks waited until their alerts were stored.",
			targets: []target{
				{"histogram_quantile(0.5, sum by (le) (rate(awoooi_reporter_webhook_duration_seconds_bucket{}[$__rate_interval])))", "p50"},
				{"histogram_quantile(0.99, sum by (le) (rate(awoooi_reporter_webhook_duration_seconds_bucket{}[$__rate_interval])))", "p99"},
			},
		},
	}}
}

func deliveries() section {
	return section{"Deliveries", []panel{
		{
			kind: lines, title: "Pending", help: "Messages that wait to be sent.", unit: units.NoUnit, width: 8,
			targets: []target{{"max by (receiver) (awoooi_reporter_deliveries_pending{})", "{{receiver}}"}},
		},
		{
			kind: lines, title: "Oldest pending", unit: units.Seconds, width: 8,
			help:       "Age of the oldest message that waits; blank where none does.",
			thresholds: from("green", 900.0, "red"),
			targets:    []target{{"time() - max(awoooi_reporter_delivery_oldest_pending_timestamp_seconds{})", "age"}},
		},
		{
			kind: states, title: "Receivers", help: "Whether a receiver is suspended, because it refuses everything.", width: 8,
			says: worksOrStopped, thresholds: from("green", 1.0, "red"),
			targets: []target{{"max by (receiver) (awoooi_reporter_receiver_stopped{})", "{{receiver}}"}},
		},
		{
			kind: columns, title: "Sends", unit: units.NoUnit, width: 12,
			help: fmt.Sprintf("Sends of single parts, by outcome. %q may have arrived twice; %q is a text that Telegram could not parse, "+
				"which is a defect of this program or of a template.", reporter.VerdictUnknown, reporter.VerdictMarkup),
			targets: []target{{
				"sum by (receiver, outcome) (increase(awoooi_reporter_sends_total{}[$__rate_interval]))", "{{receiver}} {{outcome}}",
			}},
		},
		{
			kind: columns, title: "Ended", help: "Messages that were sent or given up, by kind.", unit: units.NoUnit, width: 12,
			targets: []target{{
				"sum by (kind, outcome) (increase(awoooi_reporter_deliveries_total{}[$__rate_interval]))", "{{kind}} {{outcome}}",
			}},
		},
	}}
}

func journal() section {
	return section{"Incident journal", []panel{
		{
			kind: columns, title: "Incidents closed", unit: units.NoUnit, width: 8,
			help:    "By reason: resolved by Alertmanager, reconciled because no Alertmanager had the alerts any more, or expired.",
			targets: []target{{"sum by (reason) (increase(awoooi_reporter_incidents_closed_total{}[$__rate_interval]))", "{{reason}}"}},
		},
		{
			kind: columns, title: "Postmortems", help: "Incidents that lasted long enough and got their postmortem.", unit: units.NoUnit, width: 8,
			targets: []target{{"sum(increase(awoooi_reporter_postmortems_total{}[$__rate_interval]))", "postmortems"}},
		},
		{
			kind: lines, title: "Reconcile", unit: units.NoUnit, width: 8,
			help:    "Comparisons of the open incidents with Alertmanager that failed.",
			targets: []target{{"sum by (instance) (increase(awoooi_reporter_reconcile_failures_total{}[$__rate_interval]))", "{{instance}}"}},
		},
	}}
}

// process shows the program's own processes only, because Go's metrics have the same names in every program.
func process() section {
	const ours = " and on (job, instance) awoooi_reporter_build_info{}"
	return section{"Process", []panel{
		{
			kind: lines, title: "Memory", help: "Resident memory.", unit: units.BytesIEC, width: 6,
			targets: []target{{"process_resident_memory_bytes{}" + ours, "{{instance}}"}},
		},
		{
			kind: lines, title: "CPU", help: "Processors in use.", unit: units.NoUnit, width: 6,
			targets: []target{{"rate(process_cpu_seconds_total{}[$__rate_interval])" + ours, "{{instance}}"}},
		},
		{
			kind: lines, title: "Goroutines", help: "Goroutines; a number that only grows is a leak.", unit: units.NoUnit, width: 6,
			targets: []target{{"go_goroutines{}" + ours, "{{instance}}"}},
		},
		{
			kind: lines, title: "File descriptors", help: "Open files and connections, of those that the system allows.",
			unit: units.PercentUnit, width: 6,
			targets: []target{{"process_open_fds{} / process_max_fds{}" + ours, "{{instance}}"}},
		},
		{
			kind: lines, title: "Uptime", help: "Since the start of each process.", unit: units.Seconds, width: 12,
			targets: []target{{"time() - process_start_time_seconds{}" + ours, "{{instance}}"}},
		},
		{
			kind: lines, title: "Configuration age", help: "Since the configuration in use was loaded.", unit: units.Seconds, width: 12,
			targets: []target{{
				"time() - max by (instance) (awoooi_reporter_config_last_reload_success_timestamp_seconds{})", "{{instance}}",
			}},
		},
	}}
}

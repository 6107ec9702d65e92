package reporter

import "time"

// Defaults for settings that the configuration, a report or an incident leaves out.
const (
	DefaultProduct = "AWOOOI"
	DefaultLocale  = "zh-TW"
	DefaultZone    = "Asia/Taipei"
	// DefaultFallbackLocale is the language of a user's text that has none in the requested locale.
	DefaultFallbackLocale = "en"
	// DefaultGraphKPI is the PromQL expression that the picture of an incident shows below the alert's own.
	DefaultGraphKPI = "sum(max by (category) (awoooi_alerts))"
	// DefaultMissingAfter is how long a heartbeat may not be received before it is missing.
	DefaultMissingAfter = 5 * time.Minute
	// DefaultNoticeAfter is how long a notice waits for further failures, and DefaultNoticeApart the time between two notices to one
	// receiver.
	DefaultNoticeAfter = 10 * time.Second
	DefaultNoticeApart = 10 * time.Minute
)

// DefaultHealth grades a repair success rate of 80 % as excellent and one of 50 % as good.
var DefaultHealth = HealthThresholds{Excellent: 0.8, Good: 0.5}

package reporter

import "time"

// What is used where the configuration, a report or an incident says nothing.
const (
	DefaultProduct = "AWOOOI"
	DefaultLocale  = "zh-TW"
	DefaultZone    = "Asia/Taipei"
	// DefaultGraphKPI is what the picture of an incident shows beside the alert's own expression.
	DefaultGraphKPI = "sum(max by (category) (awoooi_alerts))"
	// DefaultMissingAfter is how long nothing is received of a heartbeat before it is missing.
	DefaultMissingAfter = 5 * time.Minute
)

// DefaultHealth grades a repair success rate of 80 % as excellent and one of 50 % as good.
var DefaultHealth = HealthThresholds{Excellent: 0.8, Good: 0.5}

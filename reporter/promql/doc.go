// Package promql evaluates PromQL: an expression and a time come in, samples from a Prometheus over HTTP or from an embedded
// time-series database go out.
package promql

// Package promql answers PromQL: an expression and a moment come in, samples go out, from a Prometheus over HTTP or
// from an embedded time-series database.
package promql

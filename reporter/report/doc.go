// Package report schedules and builds inspection reports: definitions and the clock come in, claims of due times and reports with
// their figures go out.
package report

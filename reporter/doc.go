// Package reporter holds the domain types that the packages below it exchange: figures and alert events come in, messages and
// deliveries go out.
package reporter

// Package localstack starts throw-away servers for tests and the demo: options come in, running servers with their addresses go out, real
// ones of PostgreSQL, PgBouncer, Redis, Prometheus and Alertmanager, and a fake Telegram.
package localstack

// Package localstack starts throw-away servers for tests and the demo: options come in, the addresses of a real
// PostgreSQL, Prometheus or Alertmanager, or of a fake Telegram, go out.
package localstack

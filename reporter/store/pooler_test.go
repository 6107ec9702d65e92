package store_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// The state works behind PgBouncer with its default configuration, in the modes that allow transactions.
func TestStateBehindPgBouncer(t *testing.T) {
	t.Parallel()
	pg, err := server.Server()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"session", "transaction"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			direct := database(t)
			b, err := localstack.StartPgBouncer(t.Context(), pg, localstack.PgBouncerOptions{PoolMode: mode})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Stop() })
			dsn := b.DSN(direct[strings.LastIndexByte(direct, '/')+1 : strings.IndexByte(direct, '?')])
			first, second := openPostgres(t, dsn), openPostgres(t, dsn)
			for n := range 5 {
				put(t, first, incident(fmt.Sprintf("INC-%d", n), n, 10))
			}
			for _, s := range []*store.Store{first, second, openPostgres(t, direct)} {
				if err := s.Ping(t.Context()); err != nil {
					t.Error(err)
				}
				got, err := s.ListIncidents(t.Context(), reporter.IncidentFilter{Limit: 10})
				if err != nil || len(got.Rows) != 5 {
					t.Errorf("%d incidents, %v", len(got.Rows), err)
				}
				if _, _, err := s.Pending(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := s.ListDeliveries(t.Context(), reporter.DeliveryFilter{Limit: 10}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	b, err := localstack.StartPgBouncer(t.Context(), pg, localstack.PgBouncerOptions{PoolMode: "statement"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop() })
	if _, err := store.OpenPostgres(t.Context(), secret.New(b.DSN("postgres")), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "the pooler allows no transaction") {
		t.Errorf("statement mode: %v", err)
	}
}

// A state whose first host is a standby is kept on the primary.
func TestStateOnSeveralHosts(t *testing.T) {
	t.Parallel()
	primary, err := localstack.StartPostgres(t.Context(), localstack.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { primary.Stop() })
	standby, err := primary.StartStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Stop() })
	s := openPostgres(t, fmt.Sprintf("postgres://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=read-write", standby.Port(), primary.Port()))
	put(t, s, incident("INC-1", 0, 10))
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

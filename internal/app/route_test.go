package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

func TestRouteOf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.yaml")
	text := `
receivers: [{name: dba, terminal: {}}, {name: all, terminal: {}}]
incidents: {receivers: [all]}
routes:
  - {name: db, matchers: ['team="db"', 'severity=~"critical|page"'], receivers: [dba], min_duration: 5m, severity: page}
  - {matchers: ['alertname="Watchdog"', 'cluster="x"']}
  - {matchers: ['env=~"dev.*"'], ignore: true}
  - {name: beat, matchers: ['alertname="Watchdog"', 'env="prod"'], receivers: [dba], heartbeat: {}}
  - {matchers: ['alertname="DeadMan"'], severity: page, heartbeat: {missing_after: 3m}}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{
		`{team="db", severity="page"}`:        `route "db": postmortem of an incident of 5m0s or longer to dba, severity page`,
		`{team="db", severity="info"}`:        `route default: postmortem of an incident of 10m0s or longer to all`,
		`{}`:                                  `route default: postmortem of an incident of 10m0s or longer to all`,
		`{alertname="Watchdog"}`:              `route "Watchdog": ignored, no incident`,
		`{alertname="Watchdog", cluster="x"}`: `postmortem of an incident of 10m0s or longer to all`,
		`{alertname="Watchdog", env="prod"}`:  `route "beat": heartbeat, missing after 5m0s, to dba, severity critical`,
		`{alertname="DeadMan"}`:               `: heartbeat, missing after 3m0s, to all, severity page`,
		`{env="dev1", team="x"}`:              `: ignored, no incident`,
	} {
		if got, err := RouteOf(c, set); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v, want %q", set, got, err, want)
		}
	}
	for _, set := range []string{`{team=~"db"}`, `{team`, `team`} {
		if got, err := RouteOf(c, set); err == nil {
			t.Errorf("%s: %q", set, got)
		}
	}
	if err := os.WriteFile(path, []byte(text+`  - {matchers: ['team=~"("']}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = config.Options{Path: path, Checks: []config.Check{CheckConfig}}.Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "routes[5].matchers") {
		t.Errorf("a bad matcher: %v", err)
	}
}

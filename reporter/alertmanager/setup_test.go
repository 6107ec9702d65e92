package alertmanager_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter/alertmanager"
)

const setup = `
global: {resolve_timeout: 5m}
route:
  receiver: chat
  group_by: [alertname]
  routes:
    - {receiver: reporter, continue: true, matchers: ['severity=~"warning|critical"'], group_interval: 1m}
    - {receiver: pager, match: {severity: critical}, repeat_interval: 1h}
    - receiver: db
      match_re: {team: 'db.*'}
      routes: [{matchers: ['ünicode=x'], group_by: ['...'], mute_time_intervals: [night]}]
receivers:
  - {name: chat, slack_configs: [{channel: '#a'}]}
  - {name: reporter, webhook_configs: [{url: 'http://r:9787/api/v1/alertmanager/webhook', send_resolved: false, max_alerts: 10}]}
  - {name: pager, webhook_configs: [{url: <secret>, url_file: ""}]}
  - {name: db}
`

func TestMatchFindsRoutesAsAlertmanagerDoes(t *testing.T) {
	t.Parallel()
	s, err := alertmanager.ParseSetup(setup)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		labels map[string]string
		want   string
	}{
		"nothing matches":       {map[string]string{"severity": "info"}, "[chat [alertname] 30s 5m0s 4h0m0s []]"},
		"continue":              {map[string]string{"severity": "critical"}, "[reporter [alertname] 30s 1m0s 4h0m0s []] [pager [alertname] 30s 5m0s 1h0m0s []]"},
		"continue to the root":  {map[string]string{"severity": "warning"}, "[reporter [alertname] 30s 1m0s 4h0m0s []]"},
		"a regexp is anchored":  {map[string]string{"team": "the-db"}, "[chat [alertname] 30s 5m0s 4h0m0s []]"},
		"a route below a route": {map[string]string{"team": "db1", "ünicode": "x"}, "[db [...] 30s 5m0s 4h0m0s [night]]"},
	} {
		paths, err := s.Match(tc.labels)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, p := range paths {
			got = append(got, fmt.Sprint([]any{p.Receiver, p.GroupBy, p.GroupWait, p.GroupInterval, p.RepeatInterval, p.Muted}))
		}
		if text := fmt.Sprint(got); text != "["+tc.want+"]" {
			t.Errorf("%s: is %s, want [%s]", name, text, tc.want)
		}
	}
}

func TestOursAreTheReceiversOfAPath(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		receivers string
		want      []string
		shown     bool
	}{
		"by its URL":         {`[{name: a, webhook_configs: [{url: 'https://x/y/api/v1/alertmanager/webhook/?a=b'}]}, {name: b, webhook_configs: [{url: 'http://z/'}]}]`, []string{"a"}, true},
		"of another cluster": {`[{name: a, webhook_configs: [{url: 'http://x/api/v1/alertmanager/eu/webhook'}]}]`, nil, true},
		"hidden, by name":    {`[{name: awoooi, webhook_configs: [{url: <secret>}]}, {name: b, webhook_configs: [{url: <secret>}]}]`, []string{"awoooi"}, false},
		"hidden, any":        {`[{name: a, webhook_configs: [{url: <secret>}]}, {name: b, webhook_configs: [{url_file: /x}]}]`, []string{"a", "b"}, false},
		"no webhook":         {`[{name: a}]`, nil, false},
	} {
		s, err := alertmanager.ParseSetup("route: {receiver: a}\nreceivers: " + tc.receivers)
		if err != nil {
			t.Fatal(err)
		}
		if got, shown := s.Ours("/api/v1/alertmanager/webhook", "awoooi"); !slices.Equal(got, tc.want) || shown != tc.shown {
			t.Errorf("%s: %v, %v, want %v, %v", name, got, shown, tc.want, tc.shown)
		}
	}
}

func TestMembersShowTheirSetup(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(setup)
	if err != nil {
		t.Fatal(err)
	}
	good := fmt.Sprintf(`{"uptime": "2026-04-22T08:00:00.000Z", "cluster": {"status": "ready"}, "config": {"original": %s},
		"versionInfo": {"version": "0.34.2"}}`, text)
	api, err := alertmanager.New(member(t, good, "[]"), member(t, status, "[]"), member(t, "", "[]"))
	if err != nil {
		t.Fatal(err)
	}
	members := api.Members(t.Context())
	if members[0].Err != nil || members[0].Version != "0.34.2" || len(members[0].Setup.Receivers) != 4 {
		t.Errorf("the first member is %+v", members[0])
	}
	if w := members[0].Setup.Receivers[1].Webhooks[0]; w.ResolvedSent() || w.MaxAlerts != 10 || w.Hidden() {
		t.Errorf("its webhook is %+v", w)
	}
	if members[1].Err == nil || members[2].Err == nil {
		t.Errorf("an empty configuration and a failing member are no error: %v, %v", members[1].Err, members[2].Err)
	}
}

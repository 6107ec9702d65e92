package app

import (
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
)

var teamAlerts = flag.Int("teams.alerts", 600, "how many alerts TestTeams sends to three teams")

// Three teams share a process: none gets a message about an alert of another, a chat that does not answer delays no other's, and
// a group with alerts of two teams is an incident of each. `make faults` runs it with 10,000 alerts.
func TestTeams(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	teams := []string{"db", "web", "net"}
	chats := map[string]string{"db": "-1001", "web": "-1002", "net": "-1003"}
	var conf strings.Builder
	fmt.Fprintf(&conf, "webhook: {bearer_token: %s}\nprometheus: {url: \"http://127.0.0.1:1\"}\nexternal_url: https://reporter.example.org\n", plantedWebhookToken)
	conf.WriteString("incidents: {digest_window: 15s, digest_from: 3}\nreports: [{name: daily, disabled: true}]\nreceivers:\n")
	for _, team := range teams {
		fmt.Fprintf(&conf, "  - {name: %s, telegram: {bot_token: %q, chat_id: %q, api_url: %q}}\n", team, plantedToken, chats[team], bot.URL())
	}
	conf.WriteString("routes:\n")
	for _, team := range teams {
		fmt.Fprintf(&conf, "  - {name: %s, matchers: ['team=%q'], receivers: [%s]}\n", team, team, team)
	}
	r := startIn(t, t.TempDir(), conf.String(), Options{Role: RoleReporter})
	bot.SetChat(chats["net"], &localstack.BotFault{Hang: true})
	// Each webhook is a group with alerts of two teams, which are over.
	const each = 20
	began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	groups := *teamAlerts / each
	var posts sync.WaitGroup
	for worker := range 4 {
		posts.Go(func() {
			for g := worker; g < groups; g += 4 {
				var alerts []string
				for a := range each {
					team := teams[(g+a%2)%len(teams)]
					alerts = append(alerts, fmt.Sprintf(`{"status": "resolved", "labels": {"alertname": "Of-%s", "team": %q, "instance": "%d"}, "annotations": {"summary": "Of-%s"},
						"startsAt": %q, "endsAt": %q, "fingerprint": "%016x"}`, team, team, a, team,
						began.Format(time.RFC3339), began.Add(time.Hour).Format(time.RFC3339), g*each+a))
				}
				body := fmt.Sprintf(`{"version": "4", "groupKey": "g%d", "status": "resolved", "receiver": "awoooi", "groupLabels": {}, "externalURL": "http://am", "alerts": [%s]}`, g, strings.Join(alerts, ","))
				if code := r.post(body); code != 200 {
					t.Errorf("webhook: %d", code)
				}
			}
		})
	}
	posts.Wait()
	all, err := r.store.Incidents(t.Context(), 3*groups)
	if err != nil || len(all) != 2*groups {
		t.Fatalf("%d incidents, want %d; %v", len(all), 2*groups, err)
	}
	perTeam := map[string]int{}
	for _, in := range all {
		perTeam[in.Route]++
		for _, a := range in.Alerts {
			if a.Labels["team"] != in.Route {
				t.Fatalf("an alert of %s is in an incident of %s", a.Labels["team"], in.Route)
			}
		}
		if len(in.Alerts) != each/2 {
			t.Errorf("%s has %d alerts", in.ID, len(in.Alerts))
		}
	}
	eventually(t, "all but the broken chat's to be sent", func() bool {
		pending, _, err := r.store.Pending(t.Context())
		return err == nil && pending["db"]+pending["web"] == 0
	})
	count := regexp.MustCompile(`(\d+) [起份]`)
	got := map[string]int{}
	for _, m := range bot.Messages() {
		for _, team := range teams {
			if strings.Contains(m.Plain+m.Text, "Of-"+team) && m.ChatID != chats[team] {
				t.Errorf("chat %s got\n%s", m.ChatID, m.Plain)
			}
		}
		n := 1 // incident in a message
		if of := count.FindStringSubmatch(m.Plain); of != nil {
			var err error
			if n, err = strconv.Atoi(of[1]); err != nil {
				t.Fatal(err)
			}
		}
		got[m.ChatID] += n
	}
	for _, team := range []string{"db", "web"} {
		if got[chats[team]] != perTeam[team] {
			t.Errorf("team %s got %d incidents, want %d", team, got[chats[team]], perTeam[team])
		}
	}
	ds, err := r.store.Deliveries(t.Context(), 3*groups)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		if d.Kind == reporter.DeliveryPostmortem && d.Receiver == "net" && d.State == reporter.DeliverySent {
			t.Errorf("delivery %d was sent to the broken chat", d.ID)
		}
	}
}

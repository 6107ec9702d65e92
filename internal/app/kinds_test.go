package app

import (
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

func TestSourceKinds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		source config.Source
		bad    kpi.Query // that check refuses; the zero value where kpi.Validate checks
		want   string    // description
	}{
		kpi.KindPostgres: {source: config.Source{DSN: secret.New("postgres://u:pl4nted@db.example.org:5433/ops?sslmode=disable")}, want: "db.example.org:5433/ops"},
		kpi.KindRedis: {source: config.Source{URL: secret.New("redis://:pl4nted@cache.example.org:6379/2")}, bad: kpi.Query{Redis: []string{"FLUSHALL"}},
			want: "redis://cache.example.org:6379/2"},
		kpi.KindHTTP: {source: config.Source{URL: secret.New("https://u:pl4nted@api.example.org/v1?key=pl4nted")},
			bad: kpi.Query{HTTP: kpi.HTTPQuery{Path: "/x", JQ: "("}}, want: "https://api.example.org/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, ok := sourceKindOf(name)
			if !ok {
				t.Fatal("it is not in the list of kinds")
			}
			if got := k.describe(tc.source); got != tc.want {
				t.Errorf("described as %q, want %q", got, tc.want)
			}
			if err := k.check(tc.bad); (err != nil) == (name == kpi.KindPostgres) {
				t.Errorf("check: %v", err)
			}
			src, err := k.open(tc.source)
			if err != nil {
				t.Fatal(err)
			}
			src.Close()
		})
	}
	if k, ok := sourceKindOf(kpi.KindJournal); !ok || k.check(kpi.Query{Journal: "nothing"}) == nil {
		t.Error("the journal's statements are not checked")
	}
	if _, ok := sourceKindOf("fax"); ok {
		t.Error("a kind that does not exist was found")
	}
}

// Each channel that the configuration can name is in the list, once.
func TestChannelKindsAreThoseOfTheConfiguration(t *testing.T) {
	t.Parallel()
	fields := reflect.TypeFor[config.Receiver]()
	for n := range fields.NumField() {
		f := fields.Field(n)
		if f.Type.Kind() != reflect.Pointer {
			continue
		}
		var r config.Receiver
		reflect.ValueOf(&r).Elem().Field(n).Set(reflect.New(f.Type.Elem()))
		var found []string
		for _, k := range channelKinds() {
			if k.is(r) {
				found = append(found, k.name)
			}
		}
		if len(found) != 1 || found[0] != f.Tag.Get("mapstructure") {
			t.Errorf("%s: kinds %v", f.Name, found)
		}
	}
	if _, ok := channelKindOf(config.Receiver{Name: "x"}); ok {
		t.Error("a receiver without a channel is of a kind")
	}
}

func TestTelegramIsDescribedWithoutItsToken(t *testing.T) {
	t.Parallel()
	r := config.Receiver{Name: "oncall", Telegram: &config.Telegram{BotToken: secret.New("1:pl4nted"), ChatID: "-100123", ThreadID: 7}}
	k, ok := channelKindOf(r)
	if !ok || k.describe(r) != "telegram -100123, topic 7" {
		t.Errorf("described as %q", k.describe(r))
	}
	if _, err := k.open(r, io.Discard, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
	r.Telegram.APIURL = "ftp://x"
	if _, err := k.open(r, io.Discard, slog.New(slog.DiscardHandler)); err == nil || strings.Contains(err.Error(), "pl4nted") {
		t.Errorf("a bad api_url: %v", err)
	}
}

package i18n_test

import (
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// form is the text of a key, or of one of its plural forms.
type form struct{ key, name, text string }

func read(t *testing.T, locale, use string) []form {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("locales", locale, use+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var words map[string]any
	if err := yaml.Unmarshal(b, &words); err != nil {
		t.Fatalf("%s/%s: %v", locale, use, err)
	}
	var out []form
	for key, value := range words {
		switch value := value.(type) {
		case string:
			out = append(out, form{key, "other", value})
		case map[string]any:
			for name, text := range value {
				s, ok := text.(string)
				if !ok || !slices.Contains([]string{"one", "other"}, name) {
					t.Errorf("%s/%s: %s: %s is not a plural form of the languages that exist", locale, use, key, name)
				}
				out = append(out, form{key, name, s})
			}
		default:
			t.Errorf("%s/%s: %s is a %T", locale, use, key, value)
		}
	}
	return out
}

func keys(forms []form) []string {
	out := map[string]bool{}
	for _, f := range forms {
		out[f.key] = true
	}
	return slices.Sorted(maps.Keys(out))
}

var uses = []string{"common", "messages", "pages"}

// Every language has the same keys, and every form of a key takes the same arguments in the same order.
func TestLanguagesAgree(t *testing.T) {
	t.Parallel()
	if !slices.Contains(i18n.Locales(), reporter.DefaultLocale) || len(i18n.Locales()) < 2 {
		t.Fatalf("locales are %v", i18n.Locales())
	}
	verb := regexp.MustCompile(`%.`)
	for _, use := range uses {
		base := map[string][]string{}
		for _, f := range read(t, reporter.DefaultLocale, use) {
			base[f.key] = verb.FindAllString(f.text, -1)
		}
		for _, locale := range i18n.Locales() {
			forms := read(t, locale, use)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(base)), keys(forms)); diff != "" {
				t.Errorf("%s/%s (-%s +%s):\n%s", locale, use, reporter.DefaultLocale, locale, diff)
			}
			for _, f := range forms {
				if diff := cmp.Diff(base[f.key], verb.FindAllString(f.text, -1)); diff != "" {
					t.Errorf("%s/%s: %s, %s: arguments (-%s +%s):\n%s", locale, use, f.key, f.name, reporter.DefaultLocale, locale, diff)
				}
				if strings.TrimSpace(f.text) == "" && f.key != "unit" {
					t.Errorf("%s/%s: %s has no words", locale, use, f.key)
				}
			}
		}
	}
}

// sources is the text of the Go files and templates that use the words.
func sources(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, pattern := range []string{"templates/*", "*.go"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 && pattern == "*.go" { // not every package has templates
			t.Fatalf("%s/%s: %v", dir, pattern, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
	}
	return b.String()
}

// titles are the words that the builtin reports name, as uses in a template.
func titles(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("../../reporter/report/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no reports: %v", err)
	}
	var b strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`title: ([^\s,}]+)`).FindAllStringSubmatch(string(text), -1) {
			b.WriteString("{{t \"" + m[1] + "\"}}")
		}
	}
	return b.String()
}

// derived are keys of which the end is a value (the kind of a link, a figure, a state, a status code), and those kept for templates of users.
var derived = regexp.MustCompile(`^((link|figure|state|why|error|noise_is|done)_|closed$)`)

// Without this test, a missing key would be noticed only when its text is written.
func TestKeysThatAreUsedExistAndThoseThatExistAreUsed(t *testing.T) {
	t.Parallel()
	use := regexp.MustCompile(`(?:\bt|\bT|T\(|Lookup\() ?"([a-z0-9_]+)"|refuse\(w, r, [^,]+, "([a-z0-9_]+)"|(?:page|add)\("[^"]*", "([a-z0-9_]+)"`)
	all := ""
	for name, dir := range map[string]string{"messages": "../../reporter/render", "pages": "../../reporter/web"} {
		text := sources(t, dir)
		if name == "messages" {
			text += titles(t) + sources(t, "../../reporter/chat")
		}
		all += text
		have := append(keys(read(t, reporter.DefaultLocale, name)), keys(read(t, reporter.DefaultLocale, "common"))...)
		count := 0
		for _, m := range use.FindAllStringSubmatch(text, -1) {
			key := m[1] + m[2] + m[3]
			if count++; !slices.Contains(have, key) && !strings.HasSuffix(key, "_") {
				t.Errorf("%s uses %q, which has no words", dir, key)
			}
		}
		if count < 80 {
			t.Errorf("only %d uses were found in %s", count, dir)
		}
		for _, key := range keys(read(t, reporter.DefaultLocale, name)) {
			if !strings.Contains(text, `"`+key+`"`) && !derived.MatchString(key) {
				t.Errorf("%s: %q is not used in %s", name, key, dir)
			}
		}
	}
	for _, file := range []string{"time.go", "reason.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	for _, r := range reporter.Reasons() {
		all += ` "reason_` + string(r) + `"`
	}
	for _, key := range keys(read(t, reporter.DefaultLocale, "common")) {
		if !strings.Contains(all, `"`+key+`"`) {
			t.Errorf("common: %q is not used", key)
		}
	}
}

// Each reason has words in every language. A known answer says more than its reason, unless the reason is not about the answer.
func TestWhy(t *testing.T) {
	t.Parallel()
	for _, locale := range i18n.Locales() {
		for _, use := range []i18n.Use{i18n.Messages, i18n.Pages} {
			w := words(t, locale, use)
			for _, r := range reporter.Reasons() {
				if text := w.Why(string(r), "something new"); text == "" || strings.Contains(text, "reason_") {
					t.Errorf("%s: %s is %q", locale, r, text)
				}
			}
		}
	}
	w := words(t, "en", i18n.Pages)
	for name, tc := range map[string]struct {
		reason reporter.Reason
		detail string
		want   string
	}{
		"a known answer":        {reporter.ReasonReceiver, "403 Forbidden: bot was kicked from the group chat", "the bot was removed from the chat"},
		"an answer alone":       {reporter.ReasonNone, "telegram: 502 Bad Gateway", "server error"},
		"it may have arrived":   {reporter.ReasonUnknown, "502 Bad Gateway", "no answer after sending; it may have arrived"},
		"a slow database":       {reporter.ReasonNotComposed, "details: timeout", "the message could not be composed"},
		"a revoked token":       {reporter.ReasonAccount, "401 Unauthorized", "the bot token is invalid or revoked"},
		"an unknown token":      {reporter.ReasonAccount, "404 Not Found", "the bot token is invalid or revoked"},
		"an unknown address":    {reporter.ReasonReceiver, "404 Not Found", "the destination does not exist, or does not accept messages"},
		"no right to post":      {reporter.ReasonReceiver, "401 Unauthorized", "the destination does not exist, or does not accept messages"},
		"a closed topic":        {reporter.ReasonReceiver, "400 Bad Request: TOPIC_CLOSED", "the bot has no right to write there"},
		"nothing is known":      {reporter.ReasonNone, "something new", ""},
		"of a newer version":    {"newer", "something new", ""},
		"a reason is no answer": {reporter.ReasonMissed, "", "it was due while nothing was running, more than catch_up ago"},
	} {
		if got := w.Why(string(tc.reason), tc.detail); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func words(t *testing.T, locale string, use i18n.Use) i18n.Words {
	t.Helper()
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.Words(locale, use)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLookup(t *testing.T) {
	t.Parallel()
	en, zh := words(t, "en", i18n.Pages), words(t, "zh-TW", i18n.Pages)
	for want, got := range map[string]string{
		"1 alert": en.T("alert_count", 1), "0 alerts": en.T("alert_count", 0), "2 alerts": en.T("alert_count", int64(2)),
		"1 筆告警": zh.T("alert_count", uint64(1)), "3 筆告警": zh.T("alert_count", 3),
		"no_such_key": en.T("no_such_key"), "alert_count": en.T("alert_count", 1, 2),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, args := range [][]any{nil, {1, 2}} {
		if _, err := en.Lookup("alert_count", args...); err == nil || !strings.Contains(err.Error(), "takes 1 arguments") {
			t.Errorf("%v: %v", args, err)
		}
	}
	if got, err := words(t, "zh-TW", i18n.Messages).Lookup("other"); got != "其他" || err != nil {
		t.Errorf("a key of templates of before: %q, %v", got, err)
	}
}

func TestUnknownLocale(t *testing.T) {
	t.Parallel()
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range []string{"fr", "", "en-US", "../en", strings.Repeat("x", 1000)} {
		_, err := b.Words(locale, i18n.Pages)
		var unknown *i18n.UnknownLocaleError
		if !errors.As(err, &unknown) || len(err.Error()) > 100 || i18n.Check(locale) == nil {
			t.Errorf("%.20q: %v", locale, err)
		}
	}
	if _, err := b.Words("fr", i18n.Pages); err.Error() != `unknown locale "fr" (have en, zh-TW)` {
		t.Error(err)
	}
	if err := i18n.Check("en"); err != nil {
		t.Error(err)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	zh, en := words(t, "zh-TW", i18n.Messages), words(t, "en", i18n.Messages)
	for _, tt := range []struct {
		d      time.Duration
		zh, en string
	}{
		{-time.Hour, "0 秒", "0s"},
		{0, "0 秒", "0s"},
		{999 * time.Millisecond, "0 秒", "0s"},
		{45 * time.Second, "45 秒", "45s"},
		{10 * time.Minute, "10 分", "10m"},
		{10*time.Minute + 30*time.Second, "10 分 30 秒", "10m 30s"},
		{72 * time.Minute, "1 小時 12 分", "1h 12m"},
		{time.Hour + 59*time.Second, "1 小時", "1h"},
		{51 * time.Hour, "2 天 3 小時", "2d 3h"},
	} {
		if got := zh.Duration(tt.d); got != tt.zh {
			t.Errorf("%v is %q, want %q", tt.d, got, tt.zh)
		}
		if got := en.Duration(tt.d); got != tt.en {
			t.Errorf("%v is %q, want %q", tt.d, got, tt.en)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 1500 * time.Microsecond: "1 ms", 350 * time.Millisecond: "350 ms", 200 * time.Microsecond: "0.2 ms", 1: "1e-06 ms",
		61 * time.Second: "1m 1s", -90 * time.Second: "-1m 30s", -time.Millisecond: "-1 ms", math.MinInt64: "-106751d 23h",
	} {
		if got := en.Precise(d); got != want {
			t.Errorf("precise: %v is %q, want %q", d, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 128: "128", 1.5: "1.5", 2.345: "2.35", 1234567.891: "1234567.89", -0.5: "-0.5",
		0.01: "0.01", 0.004: "0.004", 0.00123: "0.0012", -0.001: "-0.001", 0.00999: "0.01", 1e-7: "1e-07", math.Copysign(0, -1): "0",
	} {
		if got := i18n.Number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// A rounded percentage never equals 0 %, 100 % or a limit that the ratio itself differs from.
func TestPercent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ratio  float64
		limits []float64
		want   string
	}{
		{0.75, nil, "75.0%"},
		{0, nil, "0.0%"},
		{1, nil, "100.0%"},
		{0.0004, nil, "0.04%"},
		{-0.0004, nil, "-0.04%"},
		{0.9996, nil, "99.96%"},
		{0.99996, nil, "99.996%"},
		{0.7999, nil, "80.0%"},
		{0.7999, []float64{0.8, 0.5}, "79.99%"},
		{0.8, []float64{0.8, 0.5}, "80.0%"},
		{0.9994, []float64{0.9995}, "99.9%"},
		{0.99951, []float64{0.9995}, "99.951%"},
		{1e-9, nil, "0.0%"}, // beyond the most decimals
		{1.5, nil, "150.0%"},
	} {
		if got := i18n.Percent(tt.ratio, tt.limits...); got != tt.want {
			t.Errorf("%v next to %v is %q, want %q", tt.ratio, tt.limits, got, tt.want)
		}
	}
	for ratio, want := range map[float64]string{0.9995: "99.95%", 0.2: "20%", 0.07: "7%", 1: "100%", 0: "0%", 0.123456: "12.3456%"} {
		if got := i18n.ExactPercent(ratio); got != want {
			t.Errorf("exactly %v is %q, want %q", ratio, got, want)
		}
	}
}

func TestRelative(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	zh, en := words(t, "zh-TW", i18n.Pages), words(t, "en", i18n.Pages)
	for d, want := range map[time.Duration][2]string{
		0: {"剛剛", "just now"}, -90 * time.Second: {"1 分前", "1m ago"}, 49 * time.Hour: {"2 天後", "in 2d"},
	} {
		if got := [2]string{zh.Relative(now.Add(d), now), en.Relative(now.Add(d), now)}; got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	taipei, err := time.LoadLocation("Asia/Taipei")
	if err != nil {
		t.Fatal(err)
	}
	if got := zh.ZoneName(taipei) + en.ZoneName(taipei) + en.ZoneName(time.UTC); got != "台北時間Taipei timeUTC" {
		t.Errorf("zones: %q", got)
	}
}

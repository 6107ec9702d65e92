package webhook_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

// hook is a webhook of these alerts; fill puts the rest into each that has no braces of its own.
func hook(alerts ...string) string {
	for n, a := range alerts {
		if !strings.HasPrefix(a, "{") {
			alerts[n] = `{"status": "firing", "startsAt": "2026-04-22T00:00:00Z", ` + a + `}`
		}
	}
	return `{"version": "4", "groupKey": "g", "receiver": "r", "alerts": [` + strings.Join(alerts, ",") + `]}`
}

// A fault of one alert costs that alert only, and is logged and counted.
func TestBadAlertsAreSkippedAlone(t *testing.T) {
	t.Parallel()
	const ok = `"fingerprint": "good", "labels": {"alertname": "A"}`
	for name, tc := range map[string]struct{ alert, reason string }{
		"nothing":             {`{}`, "status"},
		"unknown status":      {`{"status": "suppressed", "startsAt": "2026-04-22T00:00:00Z"}`, "status"},
		"no start":            {`{"status": "firing"}`, "time"},
		"year 1":              {`{"status": "firing", "startsAt": "0001-01-01T00:00:00Z"}`, "time"},
		"the Unix epoch":      {`{"status": "firing", "startsAt": "1970-01-01T00:00:00Z"}`, "time"},
		"an end that is none": {`{"status": "resolved", "startsAt": "2026-04-22T00:00:00Z", "endsAt": "10000-01-01T00:00:00Z"}`, "time"},
		"no time":             {`{"status": "firing", "startsAt": "soon"}`, "time"},
		"a long time":         {`{"status": "firing", "startsAt": "2026-04-22T00:00:00.` + strings.Repeat("0", 100) + `Z"}`, "time"},
		"start is a number":   {`{"status": "firing", "startsAt": 1}`, "not_an_alert"},
		"labels is an array":  {`"labels": [1, {"a": []}]`, "not_an_alert"},
		"a label is a number": {`"labels": {"a": 1, "b": {"c": [2]}}`, "not_an_alert"},
		"annotations is text": {`"annotations": "x"`, "not_an_alert"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &sink{}
			h, logs, reg := newHandler(t, webhook.Config{}, s)
			if w := post(h, hook(ok, tc.alert, ok)); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if len(s.events) != 2 || s.events[0].Fingerprint != "good" || s.events[1].Fingerprint != "good" {
				t.Errorf("events %+v", s.events)
			}
			if !strings.Contains(logs.String(), "alerts[1]: "+tc.reason) {
				t.Errorf("log: %s", logs)
			}
			if metric := fmt.Sprintf(`awoooi_reporter_webhook_alerts_skipped_total{reason=%q} 1`, tc.reason); !exposes(t, reg, metric) {
				t.Errorf("no %s", metric)
			}
		})
	}
	for _, alert := range []string{`1`, `"x"`, `[[{}]]`, `null`} {
		s := &sink{}
		h, _, _ := newHandler(t, webhook.Config{}, s)
		body := strings.Replace(hook(ok, ok), `,{"status"`, `,`+alert+`,{"status"`, 1)
		if w := post(h, body); w.Code != 200 || len(s.events) != 2 {
			t.Errorf("an alert that is %s: %d %s, %d events", alert, w.Code, w.Body, len(s.events))
		}
	}
}

// The end of a firing alert means nothing, whatever it is.
func TestFiringAlertsAreTakenWithAnyEnd(t *testing.T) {
	t.Parallel()
	for _, end := range []string{`"never"`, `""`, `null`, `"2199-01-01T00:00:00Z"`, `"2026-04-22T00:00:00"`} {
		s := &sink{}
		h, _, _ := newHandler(t, webhook.Config{}, s)
		if w := post(h, hook(`"fingerprint": "a", "endsAt": `+end)); w.Code != 200 || len(s.events) != 1 || !s.events[0].EndsAt.IsZero() {
			t.Errorf("an end of %s: %d %s, events %+v", end, w.Code, w.Body, s.events)
		}
	}
}

// What exceeds a limit of an alert is cut between characters, and what identifies an alert stays distinct.
func TestLimitsCut(t *testing.T) {
	t.Parallel()
	limits := webhook.Limits{Alerts: 3, Labels: 2, Annotations: 1, LabelBytes: 10, AnnotationBytes: 10, URLBytes: 10, Keep: []string{"id"}}
	s := &sink{}
	h, logs, reg := newHandler(t, webhook.Config{Limits: limits}, s)
	long := strings.Repeat("k", 5000)
	w := post(h, hook(
		`"labels": {"a": "1", "alertname": "2", "b": "3", "id": "4", "severity": "日本日本日本"}, "annotations": {"x": "0123456789", "y": ""}, "generatorURL": "http://long"`,
		`"fingerprint": "`+long+`1"`, `"fingerprint": "`+long+`2"`, `"fingerprint": "beyond"`, `{`+`}`, `"fingerprint": "beyond"`))
	if w.Code != 200 || len(s.events) != 3 {
		t.Fatalf("%d %s, %d events", w.Code, w.Body, len(s.events))
	}
	e := s.events[0]
	if diff := cmp.Diff(map[string]string{"a": "1", "alertname": "2", "id": "4", "severity": "日本…"}, e.Labels); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"x": "0123456789"}, e.Annotations); diff != "" || e.GeneratorURL != "http://…" || e.Truncated != 3 {
		t.Errorf("%s %q, truncated %d", diff, e.GeneratorURL, e.Truncated)
	}
	one, two := s.events[1].Fingerprint, s.events[2].Fingerprint
	if one == two || len(one) > 256 || !utf8.ValidString(one) {
		t.Errorf("fingerprints %q, %q", one, two)
	}
	for _, metric := range []string{"awoooi_reporter_webhook_alerts_cut_total 1", "awoooi_reporter_webhook_alerts_truncated_total 3"} {
		if !exposes(t, reg, metric) {
			t.Errorf("no %s", metric)
		}
	}
	if strings.Count(logs.String(), "level=WARN") != 2 {
		t.Errorf("log: %s", logs)
	}
}

// Receivers and group keys that differ beyond what is kept of them stay distinct.
func TestLongKeysStayDistinct(t *testing.T) {
	t.Parallel()
	s := &sink{}
	h, _, _ := newHandler(t, webhook.Config{}, s)
	for _, end := range []string{"1", "2"} {
		body := strings.Replace(hook(`"fingerprint": "f"`), `"groupKey": "g"`, `"groupKey": "`+strings.Repeat("日", 100_000)+end+`"`, 1)
		if w := post(h, body); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if one, two := s.events[0].GroupKey, s.events[1].GroupKey; one == two || len(one) > 2<<10 || !utf8.ValidString(one) {
		t.Errorf("%d and %d bytes, same %v", len(one), len(two), one == two)
	}
}

// worst are bodies of 10 MiB, each the worst of its kind for the memory of a decoder.
func worst(size int) map[string]func() string {
	size -= 1000
	times := func(s string) string { return strings.Repeat(s, size/len(s)) }
	numbered := func(format string) string {
		var b strings.Builder
		for n := 0; b.Len() < size; n++ {
			fmt.Fprintf(&b, format, n)
		}
		return b.String()
	}
	unknown := func(value string) string {
		return strings.Replace(hook(`"fingerprint": "f"`), `"receiver"`, `"x": `+value+`, "receiver"`, 1)
	}
	full := `"labels": {` + strings.TrimPrefix(func() (s string) {
		for n := range 60 {
			s += fmt.Sprintf(`,"%x":""`, n)
		}
		return s
	}(), ",") + `}`
	return map[string]func() string{
		"real":        func() string { return hook(real10k()...) },
		"tiny alerts": func() string { return hook(times(`{"status":"firing","startsAt":"2026-04-22T00:00:00Z"},`) + `{}`) },
		"bad alerts":  func() string { return hook(times(`{},`) + `{}`) },
		"many labels": func() string {
			return hook(times(`{"status":"firing","startsAt":"2026-04-22T00:00:00Z",`+full+`},`) + `{}`)
		},
		"one label":      func() string { return hook(`"labels": {"a": "` + times("x") + `"}`) },
		"label name":     func() string { return hook(`"labels": {"` + times("x") + `": ""}`) },
		"escapes":        func() string { return hook(`"labels": {"a": "` + times(`\u0000`) + `"}`) },
		"invalid UTF-8":  func() string { return hook(`"labels": {"a": "` + times("\xff") + `"}`) },
		"keys":           func() string { return hook(`"labels": {` + numbered(`"%d":"",`) + `"a": ""}`) },
		"duplicate keys": func() string { return hook(`"labels": {` + times(`"a":"",`) + `"a": ""}`) },
		"group key":      func() string { return strings.Replace(hook(`"fingerprint": "f"`), `"g"`, `"`+times("g")+`"`, 1) },
		"long values": func() string {
			return hook(times(`{"status":"firing","startsAt":"2026-04-22T00:00:00Z","annotations":{"a":"`+strings.Repeat("x", 2000)+`"}},`) + `{}`)
		},
		"number":          func() string { return unknown("1" + times("0")) },
		"numbers":         func() string { return unknown("[" + times("0,") + "0]") },
		"nested":          func() string { return unknown(times("[")) },
		"nested a little": func() string { return unknown("[" + times(strings.Repeat("[", 50)+strings.Repeat("]", 50)+",") + "0]") },
		"unknown keys":    func() string { return unknown("{" + numbered(`"%d":0,`) + `"a":0}`) },
		"space":           func() string { return times(" ") + hook(`"fingerprint": "f"`) },
	}
}

// real10k are alerts as they come, of about 1 KB each.
func real10k() (alerts []string) {
	for n := range 9500 {
		alerts = append(alerts, fmt.Sprintf(`{"status":"firing","labels":{"alertname":"KubePodCrashLooping","cluster":"prod-eu-1","container":"app",`+
			`"endpoint":"http","instance":"10.0.%d.%d:8080","job":"kube-state-metrics","namespace":"team-%d","pod":"service-%d-7d9c8b6f5-x2x4z",`+
			`"prometheus":"monitoring/k8s","reason":"CrashLoopBackOff","service":"kube-state-metrics","severity":"warning","uid":"9f1c2d3e-%08d"},`+
			`"annotations":{"description":"Pod team-%d/service-%d is in waiting state (reason: CrashLoopBackOff) on the cluster prod-eu-1.",`+
			`"runbook_url":"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping","summary":"Pod is crash looping."},`+
			`"startsAt":"2026-04-22T00:00:%02d.123Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example.org/graph?g0.expr=max_over_time","fingerprint":"%016x"}`,
			n>>8, n&255, n%50, n, n, n%50, n, n%60, n))
	}
	return alerts
}

// JSON is read as Go's own decoder reads it, which other senders than Alertmanager were tried with.
func TestJSONIsReadAsGoReadsIt(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`"labels": {"a": "x", "a": "y"}`:                      "y",
		`"labels": {"a": "x"}, "labels": {"a": "y"}`:          "y",
		`"labels": {"a": "\ud800y"}`:                          "\ufffdy",
		"\"labels\": {\"a\": \"\xffy\"}":                      "\ufffdy",
		`"labels": {"a": "\u4e8b\ud83d\ude00\/\n"}`:           "事😀/\n",
		`"l\u0061bels": {"\u0061": "y"}`:                      "y",
		`"labels": {"a": "y"}, "unknown": -1.5e-7`:            "y",
		`"labels": {"a": "y"}, "u": [{"\ud800": "\ud800"}]`:   "y",
		"\"labels\"\t:\r\n {\"a\" : \"y\" } ":                 "y",
		`"labels": {"a": null}`:                               "",
		`"labels": {"a": "y"}, "annotations": null`:           "y",
		`"labels": {"a": "y"}, "fingerprint": null`:           "y",
		`"labels": {"a": "y"}, "endsAt": null`:                "y",
		`"labels": {"a": "y"}, "u": "` + "\xed\xa0\x80" + `"`: "y",
	} {
		s := &sink{}
		h, _, _ := newHandler(t, webhook.Config{}, s)
		if w := post(h, hook(body)); w.Code != 200 || len(s.events) != 1 || s.events[0].Labels["a"] != want {
			t.Errorf("%s: %d %s, events %+v, want label %q", body, w.Code, w.Body, s.events, want)
		}
	}
	for _, body := range []string{
		`"u": 01`, `"u": +1`, `"u": .5`, `"u": 1.`, `"u": NaN`, `"u": tru`, `"u": 'x'`, `"u": "\x"`, `"u": "\u12g4"`, "\"u\": \"\n\"",
		`"u": [1,]`, `"u": {"a":1,}`, `"u": {"a"}`, `"u": {1: 2}`, `"u": [1 2]`, `"u": 1 /* c */`, `"u": }`, `"u"`, `"u": ["`,
	} {
		s := &sink{}
		h, _, _ := newHandler(t, webhook.Config{}, s)
		if w := post(h, hook(body)); w.Code != 400 || len(s.events) != 0 {
			t.Errorf("%s: %d %s, want 400", body, w.Code, w.Body)
		}
	}
	for _, whole := range []string{"", " ", "\ufeff" + hook(`"labels": {}`), hook(`"labels": {}`) + "x", hook(`"labels": {}`) + "{}", "{", "{} }"} {
		h, _, _ := newHandler(t, webhook.Config{}, &sink{})
		if w := post(h, whole); w.Code != 400 {
			t.Errorf("%q: %d, want 400", whole, w.Code)
		}
	}
}

// Senders that leave the fingerprint out have distinct alerts also where what distinguishes them is cut.
func TestAlertsThatAreCutStayDistinct(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", webhook.DefaultLimits.LabelBytes)
	var many strings.Builder
	for n := range webhook.DefaultLimits.Labels {
		fmt.Fprintf(&many, `"a%d": "", `, n)
	}
	s := &sink{}
	h, _, _ := newHandler(t, webhook.Config{}, s)
	same := `"labels": {` + many.String() + `"y": "2", "z": "1"}`
	if w := post(h, hook(`"labels": {"a": "`+long+`1"}`, `"labels": {"a": "`+long+`2"}`, `"labels": {`+many.String()+`"z": "1", "y": "2"}`, same, same[:len(same)-3]+`3"}`)); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var got []string
	seen := map[string]int{}
	for _, e := range s.events {
		if _, have := seen[e.Fingerprint]; !have {
			seen[e.Fingerprint] = len(seen)
		}
		got = append(got, fmt.Sprint(seen[e.Fingerprint]))
	}
	if diff := cmp.Diff("0 1 2 2 3", strings.Join(got, " ")); diff != "" {
		t.Errorf("alerts by fingerprint (-want +got):\n%s", diff)
	}
}

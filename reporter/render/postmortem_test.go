package render_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/render"
)

func fullPostmortem(t testing.TB) reporter.Postmortem {
	t.Helper()
	start := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	end := start.Add(72 * time.Minute)
	return reporter.Postmortem{
		Incident: reporter.Incident{
			ID: "INC-20260422-001", State: reporter.IncidentResolved, StartedAt: start, EndedAt: end, CloseReason: reporter.ClosedResolved,
		},
		Title: "HighErrorRate: api 5xx > 5%", Severity: "critical", Description: "12.4% of requests\nfailed (limit <5%>)",
		Affected:    []reporter.Label{{Name: "cluster", Value: "prod"}, {Name: "service", Value: "api"}},
		Disposition: reporter.DispositionAutomatic, Retries: 2,
		RootCause: "Connection pool exhausted after a slow query held its locks.", Action: "kubectl rollout restart deployment/api",
		Decision: "restart (confidence 0.92)",
		Timeline: []reporter.TimelineEvent{
			{At: start, Firing: true, Alert: "HighErrorRate"}, {At: start.Add(3 * time.Minute), Firing: true, Alert: "HighLatency"},
			{At: end.Add(-time.Minute), Alert: "HighLatency"}, {At: end, Alert: "HighErrorRate"},
		},
		Links: []reporter.Link{
			{Kind: "source", URL: "https://prometheus.example.org/graph?g0.expr=up+%3D%3D+0&g0.tab=1"},
			{Kind: "runbook", URL: "http://wiki:8080/runbook"}, {Kind: "page", URL: "https://reporter.example.org/incidents/1"},
		},
		TrueStart: start.Add(-5 * time.Minute), Acknowledged: start.Add(4 * time.Minute),
		Similar: []reporter.Similar{
			{ID: "INC-20260420-007", Title: "HighErrorRate: web 5xx > 5%", StartedAt: start.Add(-48 * time.Hour), Duration: 23 * time.Minute, Page: "https://reporter.example.org/incidents/7"},
			{ID: "INC-20260401-001", StartedAt: start.Add(-21 * 24 * time.Hour), Page: "http://localhost/incidents/1"},
		},
		Earlier: &reporter.Earlier{Days7: 2, Days30: 5, Resolved: 4, MeanResolve: 23*time.Minute + 15*time.Second}, Notes: []string{"Alertmanager left out 3 alerts."},
		Locale: "zh-TW", Zone: taipei(t), Built: end.Add(time.Minute),
	}
}

// people gives the postmortem what people wrote and did.
func people(p *reporter.Postmortem, entries []reporter.Entry) {
	for n := range entries {
		entries[n].ID = int64(n + 1)
	}
	p.Entries, p.Acknowledgement = entries, reporter.AcknowledgementOf(entries)
	p.Sections, p.PeopleNotes = reporter.Current(entries)
}

func TestPostmortemText(t *testing.T) {
	t.Parallel()
	tests := map[string]func(p *reporter.Postmortem){
		"full": func(*reporter.Postmortem) {},
		"minimal": func(p *reporter.Postmortem) {
			*p = reporter.Postmortem{Incident: p.Incident, Locale: p.Locale, Zone: p.Zone, Built: p.Built}
		},
		"written": func(p *reporter.Postmortem) {
			at := p.Incident.EndedAt.Add(time.Hour)
			people(p, []reporter.Entry{
				{Kind: reporter.EntryOwner, Text: "王小明", Author: "sre", WrittenAt: at},
				{Kind: reporter.EntryImpact, Text: "結帳失敗 12 分鐘\n受影響訂單 340 筆\n\n無資料遺失", Author: "alice", WrittenAt: at},
				{Kind: reporter.EntryCause, Text: hostile, Author: hostile, WrittenAt: at}, {Kind: reporter.EntryLessons, Author: "sre", WrittenAt: at},
				{Kind: reporter.EntryActions, Text: "- rotate logs\n# not a heading\n    no code\n1. first | second", Author: "bob", WrittenAt: at},
				{Kind: reporter.EntryNote, Text: "重啟 db-3\n完成", Author: "alice", WrittenAt: at}, {Kind: reporter.EntryNote, Text: hostile, Author: hostile, WrittenAt: at},
			})
		},
		"acknowledged": func(p *reporter.Postmortem) {
			at := func(minutes int) time.Time { return p.Incident.StartedAt.Add(time.Duration(minutes) * time.Minute) }
			people(p, []reporter.Entry{
				{Kind: reporter.EntryAcknowledgement, Text: reporter.EntryAcknowledged, Author: "王小明", WrittenAt: at(4)},
				{Kind: reporter.EntryNote, Text: "looks like the pool", Author: "王小明", WrittenAt: at(6)},
				{Kind: reporter.EntryNote, Text: "looks like the connection pool", Author: "王小明", WrittenAt: at(7), Supersedes: 2},
				{Kind: reporter.EntryAcknowledgement, Author: "王小明", WrittenAt: at(30), Supersedes: 1},
				{Kind: reporter.EntryAcknowledgement, Text: reporter.EntryAcknowledged, Author: hostile, WrittenAt: at(31), Supersedes: 4},
				{Kind: reporter.EntryLessons, Text: "1\n2\n3\n4\n5", Author: "bob", WrittenAt: at(90)},
			})
		},
		"sample": func(p *reporter.Postmortem) { p.Incident.Sample = true },
		"updated": func(p *reporter.Postmortem) {
			*p = reporter.Postmortem{Incident: p.Incident, Title: p.Title, Locale: p.Locale, Zone: p.Zone, Built: p.Built, Updated: true}
			begin, end := p.Incident.StartedAt, p.Incident.EndedAt
			p.Incident.Alerts = []reporter.Alert{{StartsAt: begin, EndsAt: begin.Add(12 * time.Minute)}, {StartsAt: end.Add(-20 * time.Minute), EndsAt: end}}
		},
		"long": func(p *reporter.Postmortem) {
			p.Incident.EndedAt = p.Incident.StartedAt.Add(51 * time.Hour)
			p.Incident.CloseReason = reporter.ClosedReconciled
			p.Disposition, p.Retries, p.Earlier = reporter.DispositionHuman, 0, &reporter.Earlier{}
			p.RootCause = strings.Repeat("資料庫", 100) + "!"
			p.Action = strings.Repeat("a<b ", 100)
			p.Timeline, p.Affected, p.Notes = nil, nil, nil
			for n := range 25 {
				at := p.Incident.StartedAt.Add(time.Duration(n) * time.Hour)
				p.Timeline = append(p.Timeline, reporter.TimelineEvent{At: at, Firing: n%2 == 0, Alert: fmt.Sprintf("Alert%d", n)})
			}
			for n := range 15 {
				p.Affected = append(p.Affected, reporter.Label{Name: fmt.Sprintf("label%d", n), Value: "v"})
			}
			for n := range 7 {
				p.Notes = append(p.Notes, fmt.Sprintf("note %d", n))
			}
		},
		"hostile": func(p *reporter.Postmortem) {
			p.Incident.ID, p.Title, p.Severity, p.RootCause, p.Action, p.Decision = hostile, hostile, hostile, hostile, hostile, hostile
			p.Affected = []reporter.Label{{Name: hostile, Value: hostile}}
			p.Timeline[0].Alert = hostile
			p.Notes = []string{hostile}
			p.Similar[0].ID, p.Similar[0].Title, p.Similar[0].Page = hostile, hostile, "https://example.org/\"><b>"
			p.Links = []reporter.Link{
				{Kind: "source", URL: "javascript:alert(1)"}, {Kind: "source", URL: "https://user:pw@example.org/"},
				{Kind: "runbook", URL: `https://example.org/"><b>&x=<y>`}, {Kind: hostile, URL: "http://localhost/"},
				{Kind: "page", URL: "https://example.org/\n<b>"}, {Kind: "page", URL: ""}, {Kind: "page", URL: "https://[::1]/"},
				{Kind: "page", URL: "https://example.org/" + strings.Repeat("x", 5000)},
			}
		},
	}
	r := newRenderer(t)
	for name, change := range tests {
		for _, locale := range []string{"zh-TW", "en"} {
			t.Run(name+" "+locale, func(t *testing.T) {
				t.Parallel()
				p := fullPostmortem(t)
				change(&p)
				p.Locale = locale
				m, err := r.Postmortem(p)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, "postmortem_"+name+"."+locale+".html", m.HTML)
				wellFormed(t, "text", m.HTML)
				wellFormed(t, "summary", m.Summary)
				if !strings.HasPrefix(m.HTML, m.Summary) || strings.ContainsAny(m.Title, "\n\x00") || m.Title == "" {
					t.Errorf("title is %q, summary is\n%s", m.Title, m.Summary)
				}
				md, err := r.Markdown(p)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, "postmortem_"+name+"."+locale+".md", md)
			})
		}
	}
}

// However much people write, the message has a few parts and only the renderer's markup. The Markdown has the whole text.
func TestPostmortemOfMuchText(t *testing.T) {
	t.Parallel()
	p := fullPostmortem(t)
	at := p.Incident.EndedAt.Add(time.Hour)
	long := strings.Repeat("<b>磁碟</b> & \u202e\x00👩‍👩‍👧‍👦 ", reporter.EntryMax/20)
	var entries []reporter.Entry
	for _, kind := range reporter.Sections() {
		entries = append(entries, reporter.Entry{Kind: kind, Text: long, Author: long, WrittenAt: at})
	}
	entries[0].Text = strings.Repeat("x", reporter.EntryOwnerMax)
	for n := range 40 {
		at := at.Add(time.Duration(n) * time.Minute)
		entries = append(entries, reporter.Entry{Kind: reporter.EntryNote, Text: fmt.Sprint("note ", n, " ", long), Author: long, WrittenAt: at})
	}
	people(&p, entries)
	// A silence at the time of the first notes is not among the latest events.
	p.Silences = []reporter.Silence{{APIID: "1", By: reporter.Person{Name: "an early silence"}, StartsAt: at, EndsAt: at.Add(time.Hour), State: reporter.SilenceActive}}
	r := newRenderer(t)
	m, err := r.Postmortem(p)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, "text", m.HTML)
	if err := markup.Validate(m.HTML); err != nil {
		t.Error(err)
	}
	if n := strings.Count(m.HTML, "<blockquote expandable>"); n != 4 {
		t.Errorf("%d folded sections", n)
	}
	plain := markup.Text(m.HTML)
	if n := utf8.RuneCountInString(plain); n > 2*4096 {
		t.Errorf("the message has %d characters", n)
	}
	for _, s := range []string{"\u202e", "\x00", "note 29", "an early silence"} {
		if strings.Contains(plain, s) {
			t.Errorf("the message has %q", s)
		}
	}
	if !strings.Contains(plain, "note 30") || !strings.Contains(plain, "note 39") || !strings.Contains(plain, "…") {
		t.Errorf("the message has not the latest notes:\n%s", plain)
	}
	// Small parts split the quotes: each part is well-formed and accepted by Telegram, and the rest of a quote is folded too.
	folded := 0
	for _, limit := range []int{4096, 900, 300} {
		for _, part := range markup.Split(m.HTML, markup.Limits{Chars: limit, Bytes: 1 << 20}) {
			if text, err := localstack.ParseHTML(part); err != nil || utf8.RuneCountInString(text) > limit {
				t.Errorf("a part of at most %d characters: %d, %v:\n%s", limit, utf8.RuneCountInString(text), err, part)
			}
			folded += strings.Count(part, "<blockquote expandable>")
		}
	}
	if folded < 3*4+4 {
		t.Errorf("%d folded quotes in parts", folded)
	}
	md, err := r.Markdown(p)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 40 {
		if !strings.Contains(md, fmt.Sprint("note ", n, " ")) {
			t.Errorf("the document has not note %d", n)
		}
	}
	if strings.Contains(md, "<b>") || strings.ContainsAny(md, "\u202e\x00") {
		t.Error("the document has markup, or control characters, of people")
	}
}

func TestNotesOfTruncatedAlerts(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	for count, want := range map[int]string{1: "left out 1 alert (max_alerts)", 2: "left out 2 alerts (max_alerts)"} {
		p := fullPostmortem(t)
		p.Locale, p.Notes = "en", []string{fmt.Sprint(reporter.NoteTruncated, ":", count)}
		if m, err := r.Postmortem(p); err != nil || !strings.Contains(m.HTML, want) {
			t.Errorf("%d alerts: %v, %s", count, err, m.HTML)
		}
	}
}

// The document of an open incident has its start, and is not titled as a postmortem.
func TestMarkdownOfAnOpenIncident(t *testing.T) {
	t.Parallel()
	md, err := newRenderer(t).Markdown(live(fullPostmortem(t), "en"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(md, "# Incident: ") || !strings.Contains(md, "\n- Started: 2026-") || strings.Contains(md, "→") {
		t.Errorf("the document is\n%s", md)
	}
}

func TestFiringAndDigestText(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	p := fullPostmortem(t)
	in := p.Incident
	digest := func(n int) reporter.Digest {
		d := reporter.Digest{Locale: "zh-TW", Zone: taipei(t), Built: in.EndedAt, Page: "https://reporter.example.org/incidents"}
		for i := range n {
			d.Incidents = append(d.Incidents, reporter.DigestEntry{
				Similar: reporter.Similar{
					ID: fmt.Sprintf("INC-%03d", i), Title: fmt.Sprintf("NodeDown <%d>", i), StartedAt: in.StartedAt.Add(time.Duration(i) * time.Second),
					Duration: time.Hour - time.Duration(i)*time.Second, Page: fmt.Sprintf("https://reporter.example.org/incidents/INC-%03d", i),
				},
				Severity: []reporter.Severity{"critical", "warning", ""}[i%3], EndedAt: in.StartedAt.Add(time.Hour), Sample: n == 2,
			})
		}
		return d
	}
	for name, write := range map[string]func(locale string) (reporter.Message, error){
		"firing": func(locale string) (reporter.Message, error) {
			p := p
			p.Locale = locale
			p.Incident.State, p.Incident.EndedAt = reporter.IncidentOpen, time.Time{}
			p.Incident.Alerts = make([]reporter.Alert, 3)
			return r.Firing(p)
		},
		"live_acknowledged": func(locale string) (reporter.Message, error) {
			p := live(p, locale)
			p.Actions, p.Token = []reporter.ActionKind{reporter.ActionRelease, reporter.ActionUnsilence}, "token"
			p.Silences = []reporter.Silence{
				{State: reporter.SilenceFailed, Error: "x"},
				{State: reporter.SilenceActive, By: reporter.Person{Name: "王小明"}, EndsAt: in.StartedAt.Add(time.Hour)},
			}
			return r.Firing(p)
		},
		"live_unsilencing": func(locale string) (reporter.Message, error) {
			p := live(p, locale)
			p.Silences = []reporter.Silence{{
				State: reporter.SilenceEnding, APIID: "1", By: reporter.Person{Name: "王小明"}, EndedBy: "<Bob>", EndsAt: in.StartedAt.Add(time.Hour), Error: "503 <html>",
			}}
			return r.Firing(p)
		},
		"live_chronic": func(locale string) (reporter.Message, error) {
			p := live(p, locale)
			p.Incident.State, p.Silences = reporter.IncidentChronic, []reporter.Silence{{State: reporter.SilenceFailed, Error: "503 <html>"}}
			p.Acknowledgement.Since = in.StartedAt.Add(24 * time.Hour)
			return r.Firing(p)
		},
		"live_resolved": func(locale string) (reporter.Message, error) {
			p := live(p, locale)
			p.Incident.State, p.Incident.EndedAt, p.Incident.CloseReason = reporter.IncidentResolved, in.StartedAt.Add(72*time.Minute), reporter.ClosedReconciled
			p.Silences = []reporter.Silence{{State: reporter.SilenceActive, By: reporter.Person{Name: "王小明"}, EndsAt: in.StartedAt.Add(4 * time.Hour)}}
			return r.Firing(p)
		},
		"live_digest": func(locale string) (reporter.Message, error) {
			d := digest(4)
			d.Locale = locale
			for n := range d.Incidents {
				if n < 3 {
					d.Incidents[n].EndedAt, d.Incidents[n].Duration = time.Time{}, 0
				}
			}
			d.Incidents[1].Acknowledged, d.Incidents[2].State = "<Alice>", reporter.IncidentChronic
			return r.FiringDigest(d)
		},
		"digest_storm": func(locale string) (reporter.Message, error) {
			d := digest(200)
			d.Locale = locale
			return r.Digest(d)
		},
		"digest_firing": func(locale string) (reporter.Message, error) {
			d := digest(3)
			d.Locale = locale
			for n := range d.Incidents {
				d.Incidents[n].EndedAt, d.Incidents[n].Duration = time.Time{}, 0
			}
			return r.FiringDigest(d)
		},
		"failures": func(locale string) (reporter.Message, error) {
			return r.Failures(reporter.Failures{
				Count: 12,
				Deliveries: []reporter.Delivery{
					{ID: 1, Kind: reporter.DeliveryPostmortem, Subject: "INC-1", Receiver: "sre", Attempts: 9, LastError: "telegram: 502 Bad Gateway"},
					{ID: 2, Kind: reporter.DeliveryReport, Subject: "daily@2026-04-22T00:00:00Z", Receiver: "a<b", Reason: reporter.ReasonMissed},
				},
				Suspended: []reporter.Gate{
					{Key: reporter.AccountGate("telegram:123456"), Reason: reporter.ReasonAccount, Since: in.StartedAt, Detail: "telegram: 401 Unauthorized"},
					{Key: "receiver sre", Reason: reporter.ReasonReceiver, Since: in.StartedAt},
				},
			}, locale, taipei(t))
		},
		"suspended": func(locale string) (reporter.Message, error) {
			return r.Failures(reporter.Failures{
				WaitCount: 10, GiveUpAfter: 24 * time.Hour,
				Waiting: []reporter.Delivery{{ID: 1, Kind: reporter.DeliveryPostmortem, Subject: "INC-1", Receiver: "sre"}},
				Suspended: []reporter.Gate{
					{Key: reporter.ReceiverGate("sre"), Reason: reporter.ReasonReceiver, Since: in.StartedAt, Detail: "400 Bad Request: TOPIC_CLOSED"},
				},
			}, locale, taipei(t))
		},
		"minimal": func(locale string) (reporter.Message, error) {
			return r.Minimal(reporter.Delivery{ID: 3, Kind: reporter.DeliveryFiring, Subject: "INC-<1>"}, locale, taipei(t)), nil
		},
		"digest_sample": func(locale string) (reporter.Message, error) {
			d := digest(2)
			d.Locale, d.Page = locale, ""
			return r.Digest(d)
		},
	} {
		for _, locale := range []string{"zh-TW", "en"} {
			m, err := write(locale)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+locale+".html", m.HTML)
			wellFormed(t, name, m.HTML)
			wellFormed(t, name, m.Summary)
			if utf8.RuneCountInString(markup.Plain(m.HTML)) > 4000 {
				t.Errorf("%s is too long for one message", name)
			}
			for _, b := range m.Buttons {
				if b.Action != "" && b.Text != "" && b.Token == "token" {
					continue
				}
				if !strings.HasPrefix(b.URL, "https://") || b.Text == "" {
					t.Errorf("%s: button %+v", name, b)
				}
			}
			if want := map[string]int{
				"firing": 1, "digest_storm": 1, "digest_firing": 1, "live_acknowledged": 3, "live_unsilencing": 1, "live_chronic": 1, "live_resolved": 1, "live_digest": 1,
			}[name]; len(m.Buttons) != want {
				t.Errorf("%s has %d buttons, want %d", name, len(m.Buttons), want)
			}
		}
	}
}

// live is an incident that somebody takes care of.
func live(p reporter.Postmortem, locale string) reporter.Postmortem {
	p.Locale = locale
	p.Incident.State, p.Incident.EndedAt, p.Incident.CloseReason = reporter.IncidentOpen, time.Time{}, ""
	p.Acknowledgement = reporter.Acknowledgement{By: reporter.Person{Name: "Alice <b>"}, Since: p.Incident.StartedAt.Add(3 * time.Minute)}
	return p
}

func TestFieldsAreCutByCharactersBeforeTheyAreEscaped(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	cut := func(rootCause string) string {
		p := fullPostmortem(t)
		p.RootCause = rootCause
		m, err := r.Postmortem(p)
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, "cut", m.HTML)
		_, rest, _ := strings.Cut(m.HTML, "根本原因</b>\n")
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	a := strings.Repeat("a", 298)
	tests := map[string]struct{ in, want string }{
		"exactly as many":         {a + "🧯<", a + "🧯&lt;"},
		"one too many":            {a + "<<<", a + "&lt;…"},
		"combining mark":          {a + "e\u0301\u0301x", a + "…"},
		"family of one character": {a + "👩‍👩‍👧‍👦", a + "…"},
		"skin tone":               {a + "👍🏽!", a + "…"},
		"flag":                    {a + "🇹🇼!", a + "…"},
		"two flags":               {a[:297] + "🇹🇼🇯🇵", a[:297] + "🇹🇼…"},
		"lines":                   {"one\r\n\ttwo\u2028three", "one two three"},
		"not UTF-8":               {"a\xff\xfeb", "a\uFFFDb"},
	}
	for name, tt := range tests {
		got := cut(tt.in)
		if got != tt.want {
			t.Errorf("%s: got …%q, want …%q", name, tail(got), tail(tt.want))
		}
	}
	if got := cut("e" + strings.Repeat("\u0301", 1000)); utf8.RuneCountInString(got) != 300 {
		t.Errorf("an endless character is cut to %d", utf8.RuneCountInString(got))
	}
}

func tail(s string) string { return s[max(0, len(s)-20):] }

// plainRenderer has no pages to link to.
func plainRenderer(t *testing.T) *render.Renderer {
	t.Helper()
	r, err := render.New(render.Options{Zone: taipei(t)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNoticeLeadsToItsDelivery(t *testing.T) {
	t.Parallel()
	m, err := newRenderer(t).Notice(reporter.Delivery{ID: 8, Kind: reporter.DeliveryReport, Subject: "x"}, "en", nil)
	if err != nil {
		t.Fatal(err)
	}
	const page = "https://reporter.example.org/deliveries/8"
	if strings.Contains(m.HTML, page) || len(m.Buttons) != 1 || m.Buttons[0].URL != page || !strings.Contains(m.Whole(), `<a href="`+page+`">`) {
		t.Errorf("the notice is %s with %+v", m.HTML, m.Buttons)
	}
}

func TestNotice(t *testing.T) {
	t.Parallel()
	r := plainRenderer(t)
	tests := map[string]struct {
		of   reporter.Delivery
		want string
	}{
		"report": {reporter.Delivery{ID: 7, Kind: reporter.DeliveryReport, Subject: "daily@2026-04-22T00:00:00Z", Receiver: "sre", Attempts: 12},
			"<b>⚠️ 巡檢報告 daily 2026-04-22 08:00 發送失敗</b>\n接收者: sre\n原因: why &lt;b&gt;\n嘗試次數: 12\n發送編號: 7"},
		"composed": {reporter.Delivery{Kind: reporter.DeliveryReport, Subject: "x", Message: &reporter.Message{Title: "<T>"}},
			"<b>⚠️ &lt;T&gt; 發送失敗</b>\n接收者: \n原因: why &lt;b&gt;"},
		"postmortem": {reporter.Delivery{ID: 8, Kind: reporter.DeliveryPostmortem, Subject: "INC-1", Receiver: "a&b", Attempts: 1},
			"<b>⚠️ 事後檢討 INC-1 發送失敗</b>\n接收者: a&amp;b\n原因: why &lt;b&gt;\n嘗試次數: 1\n發送編號: 8"},
		"odd subject": {reporter.Delivery{ID: 9, Kind: reporter.DeliveryReport, Subject: "daily@x", Receiver: "a"},
			"<b>⚠️ daily@x 發送失敗</b>\n接收者: a\n原因: why &lt;b&gt;\n發送編號: 9"},
	}
	for name, tt := range tests {
		tt.of.LastError = "why\n<b>"
		m, err := r.Notice(tt.of, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, name, m.HTML)
		if diff := cmp.Diff(tt.want, m.HTML); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A server's answer is in English, so the words of the reader's language come first.
func TestReasonsAreInTheReadersLanguage(t *testing.T) {
	t.Parallel()
	r := plainRenderer(t)
	for text, want := range map[string]string{
		"permanent: telegram: 403 Forbidden: bot was kicked from the supergroup chat": "機器人已被移出聊天室 (",
		"permanent: telegram: 400 Bad Request: chat not found":                        "找不到聊天室",
		"permanent: telegram: 401 Unauthorized":                                       "機器人的 token 無效",
		"permanent: telegram: 400 Bad Request: not enough rights to send photos":      "機器人沒有發言權限",
		"retry after 2h0m0s: telegram: 429 Too Many Requests":                         "請求過於頻繁",
		"telegram: 502 Bad Gateway":                                                   "對方伺服器錯誤",
		"answer lost: telegram: 504 Gateway Timeout":                                  "已送出但未收到回應",
		"telegram: dial tcp 127.0.0.1:1: connect: connection refused":                 "無法連線",
		"something else": "something else",
		"":               "無資料",
	} {
		m, err := r.Notice(reporter.Delivery{ID: 1, LastError: text}, "zh-TW", nil)
		if err != nil || !strings.Contains(m.HTML, "原因: "+want) || !strings.Contains(m.HTML, text) {
			t.Errorf("%q: %v\n%s", text, err, m.HTML)
		}
	}
}

func TestOwnPostmortemTemplate(t *testing.T) {
	t.Parallel()
	good := writeTemplate(t, "<b>{{.ID}}</b> {{t \"duration\"}} {{.Duration}}{{range .Links}}\n{{.Word}}{{end}}")
	bad := writeTemplate(t, "a\n{{.Nonsense}}")
	if err := render.CheckPostmortemTemplate(good); err != nil {
		t.Error(err)
	}
	if err := render.CheckPostmortemTemplate(bad); err == nil || !strings.Contains(err.Error(), "own.tmpl:2") {
		t.Errorf("error is %v, want the line", err)
	}
	builtin, err := newRenderer(t).Postmortem(fullPostmortem(t))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		good: "<b>INC-20260422-001</b> 影響時長 1 小時 12 分\n告警來源\n處置手冊\n事件頁面",
		bad:  builtin.HTML,
	} {
		r, err := render.New(render.Options{PostmortemTemplate: file})
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Postmortem(fullPostmortem(t))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.HTML); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzMarkup(f *testing.F) {
	f.Add(hostile, hostile, "https://example.org/?a=\"<b>&")
	f.Add("\xff\u202e", "`[x](y)`", "http://a.b/%zz")
	r, base := newRenderer(f), newReport(f, seed()) // making them takes much longer than a text
	f.Fuzz(func(t *testing.T, title, text, address string) {
		p := fullPostmortem(t)
		p.Title, p.RootCause, p.Action, p.Incident.ID, p.Severity = title, text, text, title, reporter.Severity(text)
		p.Links = []reporter.Link{{Kind: title, URL: address}}
		p.Affected = []reporter.Label{{Name: title, Value: text}}
		m, err := r.Postmortem(p)
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, "postmortem", m.HTML)
		if _, err := r.Markdown(p); err != nil {
			t.Fatal(err)
		}
		rep := base
		rep.Title, rep.Figures = title, figures(with(seed(), map[string]float64{"alerts_by_category/" + text: 70}))
		if m, err = r.Report(rep); err != nil {
			t.Fatal(err)
		}
		wellFormed(t, "report", m.HTML)
		if strings.ContainsRune(m.Title, '\n') || !utf8.ValidString(m.HTML) {
			t.Errorf("title is %q, text is %q", m.Title, m.HTML)
		}
	})
}

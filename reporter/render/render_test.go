package render_test

import (
	"flag"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/render"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

var update = flag.Bool("update", false, "write the golden files again")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSuffix(string(want), "\n"), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// wellFormed is a second opinion on the markup, by a real tokenizer: allowed tags, properly nested, nothing left open,
// and nothing that only a lenient parser reads as text.
func wellFormed(t *testing.T, what, markup string) {
	t.Helper()
	allowed := map[string]bool{"b": true, "i": true, "u": true, "s": true, "code": true, "pre": true, "a": true, "blockquote": true}
	var open []string
	z := html.NewTokenizer(strings.NewReader(markup))
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("%s: %v left open in\n%s", what, open, markup)
			}
			return
		case html.TextToken:
			raw := string(z.Raw())
			if strings.ContainsAny(raw, "<>") || strings.ContainsRune(raw, 0) {
				t.Errorf("%s: bare bracket in %q", what, raw)
			}
			rest := regexp.MustCompile(`&(#\d+|lt|gt|amp|quot);`).ReplaceAllString(raw, "")
			if strings.Contains(rest, "&") {
				t.Errorf("%s: bare ampersand or unknown entity in %q", what, raw)
			}
		case html.StartTagToken:
			tok := z.Token()
			if tok.Data == "blockquote" && len(tok.Attr) == 1 && tok.Attr[0].Key == "expandable" && tok.Attr[0].Val == "" {
				tok.Attr = nil
			}
			if !allowed[tok.Data] || (tok.Data == "a") != (len(tok.Attr) == 1 && tok.Attr[0].Key == "href") || len(tok.Attr) > 1 {
				t.Errorf("%s: tag %v", what, tok)
			}
			open = append(open, tok.Data)
		case html.EndTagToken:
			tok := z.Token()
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Errorf("%s: </%s> closes %v", what, tok.Data, open)
				return
			}
			open = open[:len(open)-1]
		case html.SelfClosingTagToken, html.CommentToken, html.DoctypeToken:
			t.Errorf("%s: %s", what, z.Raw())
		}
	}
}

func newRenderer(t testing.TB) *render.Renderer {
	t.Helper()
	r, err := render.New(render.Options{Zone: taipei(t), ExternalURL: "https://reporter.example.org/"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func taipei(t testing.TB) *time.Location {
	t.Helper()
	z, err := time.LoadLocation("Asia/Taipei")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// figures makes a report's figures of numbers; "alerts_by_category/NAME" is a sample of that category.
func figures(values map[string]float64) map[string]reporter.Figure {
	out := map[string]reporter.Figure{}
	for name, v := range values {
		figure, category, ok := strings.Cut(name, "/")
		s := reporter.Sample{Labels: map[string]string{}, Value: v}
		if ok {
			s.Labels["category"] = category
		}
		f := out[figure]
		f.Name, f.Samples = figure, append(f.Samples, s)
		out[figure] = f
	}
	return out
}

// seed has the figures of the sample that the design shows.
func seed() map[string]float64 {
	return map[string]float64{
		"alerts": 128, "alerts_before": 116, "auto_resolved": 96, "human_approved": 14, "converged": 31, "grouped": 9,
		"repairs_succeeded": 40, "repairs_failed": 4, "knowledge_entries": 7, "playbooks": 23,
		"alerts_by_category/infrastructure": 60, "alerts_by_category/application": 25, "alerts_by_category/network": 18,
		"alerts_by_category/database": 12, "alerts_by_category/security": 6, "alerts_by_category/uncategorized": 4,
		"alerts_by_category/storage": 2, "alerts_by_category/other": 1,
	}
}

func with(base map[string]float64, over map[string]float64) map[string]float64 {
	for name, v := range over {
		base[name] = v
	}
	return base
}

func newReport(t testing.TB, values map[string]float64) reporter.Report {
	t.Helper()
	due := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	rep := reporter.Report{
		Name: "daily", Title: "AWOOOI", Locale: "zh-TW", Due: due, Since: due.Add(-24 * time.Hour), Built: due.Add(3 * time.Second),
		Zone: taipei(t), Health: reporter.HealthThresholds{Excellent: 0.8, Good: 0.5}, Figures: figures(values),
	}
	rep.Sections = sections(t, rep.Figures)
	return rep
}

// sections are those of the builtin daily report, without the lines of some figures that the report has not asked for.
func sections(t testing.TB, figures map[string]reporter.Figure) []reporter.Section {
	t.Helper()
	d, err := report.Builtin("daily")
	if err != nil {
		t.Fatal(err)
	}
	var out []reporter.Section
	for _, s := range d.Sections {
		s.Lines = slices.DeleteFunc(s.Lines, func(l reporter.Line) bool {
			_, asked := figures[l.Name]
			return !asked && slices.Contains([]string{"incidents_open", "alerts_chronic", "resolution_median", "alerts_by_name", "acknowledgement_mean", "never_acknowledged"}, l.Name)
		})
		if len(s.Lines) > 0 {
			out = append(out, s)
		}
	}
	return out
}

const hostile = "<b>\"Tom\" & 'Jerry'</b>\n\u202egnp.exe\x00 👩‍👩‍👧‍👦 C++ &lt; https://evil.example/?a=1&b=2"

func TestReportText(t *testing.T) {
	t.Parallel()
	tests := map[string]func(r *reporter.Report){
		"seed":    func(*reporter.Report) {},
		"no_data": func(r *reporter.Report) { r.Figures = nil },
		"late":    func(r *reporter.Report) { r.Built = r.Due.Add(2*time.Hour + 13*time.Minute + 59*time.Second) },
		"zeros": func(r *reporter.Report) {
			zeros := map[string]float64{"alerts_by_category/infrastructure": 0, "alerts_by_category/network": 0}
			for _, name := range []string{
				"alerts", "auto_resolved", "human_approved", "converged", "grouped", "repairs_succeeded", "repairs_failed",
				"knowledge_entries", "playbooks",
			} {
				zeros[name], zeros[name+"_before"] = 0, 0
			}
			r.Figures = figures(zeros)
		},
		"changes": func(r *reporter.Report) {
			r.Figures = figures(with(seed(), map[string]float64{
				"alerts_before": 140, "auto_resolved_before": 90, "human_approved_before": 14, "converged_before": 30.5,
				"grouped": 9.25, "repairs_succeeded": 8, "repairs_succeeded_before": 5, "repairs_failed": 12,
				"repairs_failed_before": 13, "knowledge_entries_before": 7, "playbooks": 12345, "playbooks_before": 12346,
			}))
		},
		"partly": func(r *reporter.Report) {
			delete(r.Figures, "auto_resolved")
			delete(r.Figures, "repairs_failed")
			delete(r.Figures, "alerts_by_category")
			r.Figures["alerts"] = reporter.Figure{Samples: []reporter.Sample{{Value: math.NaN()}}}
		},
		"hostile": func(r *reporter.Report) {
			r.Title = hostile
			r.Figures = figures(with(seed(), map[string]float64{"alerts_by_category/" + hostile: 70}))
		},
		"daily_full": func(r *reporter.Report) {
			r.Figures = figures(with(seed(), map[string]float64{
				"alerts_before": 116, "alerts_before2": 131, "repairs_succeeded_before": 41, "repairs_succeeded_before2": 38, "repairs_failed_before": 4, "repairs_failed_before2": 4,
				"incidents_open": 3, "incidents_open_before": 2, "alerts_chronic": 2, "alerts_chronic_before": 2, "resolved_incidents": 17, "resolution_median": 1394.5,
				"acknowledgement_mean": 425, "incidents_acknowledged": 9, "never_acknowledged": 8, "never_acknowledged_before": 6, "acknowledged_ever": 120,
				"incidents_oldest": float64(r.Due.Add(-51 * time.Hour).Unix()), "alerts_by_name/HighErrorRate": 20, "alerts_by_name/NodeDown": 9,
				"alerts_by_name/Disk <full>": 5, "alerts_by_name/A": 4, "alerts_by_name/B": 3, "alerts_by_name/C": 2, "alerts_by_name/other": 40,
			}))
			for name, f := range r.Figures {
				switch {
				case strings.HasSuffix(name, "_before"):
					f.At = r.Due.Add(-24 * time.Hour)
				case strings.HasSuffix(name, "_before2"):
					f.At = r.Due.Add(-7 * 24 * time.Hour)
				}
				r.Figures[name] = f
			}
		},
		"quiet": func(r *reporter.Report) { // Nothing happened, and all of it is known.
			zeros := map[string]float64{"incidents_open": 0, "resolved_incidents": 0}
			for _, name := range []string{
				"alerts", "auto_resolved", "human_approved", "converged", "grouped", "repairs_succeeded", "repairs_failed", "knowledge_entries", "playbooks",
			} {
				zeros[name] = 0
			}
			r.Figures = figures(zeros)
			for _, name := range []string{"alerts_by_name", "alerts_by_category", "resolution_median", "incidents_oldest"} {
				r.Figures[name] = reporter.NoData(name, "x", r.Due, "the query has an empty result")
			}
		},
		"weekly_partial": func(r *reporter.Report) {
			r.Since = r.Due.Add(-7 * 24 * time.Hour)
			for name, f := range r.Figures {
				f.Days, f.DaysKnown = 7, 7
				if name == "alerts" || name == "converged" {
					f.DaysKnown = 6
				}
				r.Figures[name] = f
			}
			r.Figures["grouped"] = reporter.Figure{Name: "grouped", Days: 7, Reason: "the query has an empty result"}
		},
		"monthly_over": func(r *reporter.Report) {
			r.Due = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
			r.Since = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
			r.Built = r.Due
			f := r.Figures["alerts_before"]
			f.At = r.Due.Add(-30 * 24 * time.Hour)
			r.Figures["alerts_before"] = f
			f.At = r.Due.Add(-36 * time.Hour)
			r.Figures["alerts_before2"] = f
		},
		"weekly_utc": func(r *reporter.Report) {
			r.Zone, r.Since = time.UTC, r.Due.Add(-7*24*time.Hour)
		},
	}
	r := newRenderer(t)
	for name, change := range tests {
		for _, locale := range []string{"zh-TW", "en"} {
			t.Run(name+" "+locale, func(t *testing.T) {
				t.Parallel()
				rep := newReport(t, seed())
				change(&rep)
				rep.Sections = sections(t, rep.Figures)
				rep.Locale = locale
				m, err := r.Report(rep)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, "report_"+name+"."+locale+".html", m.HTML)
				wellFormed(t, "text", m.HTML)
				wellFormed(t, "summary", m.Summary)
				golden(t, "report_"+name+"."+locale+".summary.html", m.Summary)
				if strings.ContainsAny(m.Title, "\n\x00") || m.Title == "" {
					t.Errorf("title is %q", m.Title)
				}
			})
		}
	}
}

// The text is exactly that of the design.
func TestSeedReportIsTheDocumentedText(t *testing.T) {
	t.Parallel()
	m, err := plainRenderer(t).Report(newReport(t, seed()))
	if err != nil {
		t.Fatal(err)
	}
	want := `<b>📊 AWOOOI 日度巡檢報告</b>
<b>2026-04-22</b> | 04-21 08:00 ~ 04-22 08:00 台北時間

<b>💚 整體健康度: 優秀</b> (修復成功率 90.9%)

<b>🚨 告警統計</b>
  總計: <b>128</b> 個 (較前日 ▲ 12)
  自動解決: 96 個 (75.0%)
  人工批准: 14 個
  告警收斂: 31 個
  告警分組: 9 個

<b>📂 分類分佈</b>
  • infrastructure: 60
  • application: 25
  • network: 18
  • database: 12
  • security: 6
  • 未分類: 4
  • 其他: 3

<b>🔧 自動修復</b>
  成功: 40   失敗: 4   成功率: 90.9%

<b>🧠 知識積累</b>
  新增 KM 條目: 7
  活躍 Playbook: 23

<i>🤖 AWOOOI AIOps 自動生成 | 2026-04-22 08:00 台北時間</i>`
	if diff := cmp.Diff(want, m.HTML); diff != "" {
		t.Error(diff)
	}
	if m.Title != "AWOOOI 日度巡檢報告 2026-04-22" {
		t.Errorf("title is %q", m.Title)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		succeeded, failed float64
		limits            reporter.HealthThresholds
		want              string
	}{
		"exactly excellent": {4, 1, reporter.HealthThresholds{}, "💚 整體健康度: 優秀"},
		"just below":        {799, 201, reporter.HealthThresholds{}, "🟡 整體健康度: 良好"},
		"exactly good":      {1, 1, reporter.HealthThresholds{}, "🟡 整體健康度: 良好"},
		"bad":               {0, 1, reporter.HealthThresholds{}, "🔴 整體健康度: 需關注"},
		"nothing repaired":  {0, 0, reporter.HealthThresholds{}, ""},
		"unknown":           {math.NaN(), 1, reporter.HealthThresholds{}, "⚪ 整體健康度: 無資料"},
		"own thresholds":    {95, 5, reporter.HealthThresholds{Excellent: 0.99, Good: 0.96}, "🔴 整體健康度: 需關注"},
	}
	r := newRenderer(t)
	for name, tt := range tests {
		rep := newReport(t, with(seed(), map[string]float64{"repairs_succeeded": tt.succeeded, "repairs_failed": tt.failed}))
		rep.Health = tt.limits
		m, err := r.Report(rep)
		if err != nil {
			t.Fatal(err)
		}
		if tt.want == "" && strings.Contains(m.HTML, "整體健康度") {
			t.Errorf("%s: graded in\n%s", name, m.HTML)
		}
		if tt.want != "" && !strings.Contains(m.HTML, "<b>"+tt.want+"</b>") {
			t.Errorf("%s: want %q in\n%s", name, tt.want, m.HTML)
		}
	}
}

func TestLateIsSaidFromTenMinutesOn(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	for late, want := range map[time.Duration]string{
		10*time.Minute - time.Second: "",
		10 * time.Minute:             "<i>⏰ 延遲送出 10 分，數據以 04-22 08:00 為準</i>",
		25 * time.Hour:               "<i>⏰ 延遲送出 1 天 1 小時，數據以 04-22 08:00 為準</i>",
	} {
		rep := newReport(t, seed())
		rep.Built = rep.Due.Add(late)
		rep.Preview = true
		if m, err := r.Report(rep); err != nil || strings.Contains(m.HTML, "⏰") {
			t.Errorf("%v late, a preview: %v\n%s", late, err, m.HTML)
		}
		rep.Preview = false
		m, err := r.Report(rep)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(m.HTML, "⏰"); got != (want != "") || !strings.Contains(m.HTML, want) {
			t.Errorf("%v late: want %q in\n%s", late, want, m.HTML)
		}
	}
}

func TestUnknownLocale(t *testing.T) {
	t.Parallel()
	rep := newReport(t, seed())
	rep.Locale = "tlh"
	if _, err := newRenderer(t).Report(rep); err == nil || !strings.Contains(err.Error(), "en, zh-TW") {
		t.Errorf("error is %v, want the locales there are", err)
	}
	if _, err := render.New(render.Options{Locale: "tlh"}); err == nil {
		t.Error("a renderer of an unknown locale was made")
	}
}

func writeTemplate(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own.tmpl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOwnTemplate(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	path := writeTemplate(t, "<b>{{.Headline}}</b>\r\n{{t \"total\"}} {{.Number \"alerts\"}}{{.Beside \"alerts\"}}\r\n"+
		"{{range .Largest \"alerts_by_category\" 1}}{{.Name}} {{end}}{{(.Report.Figure \"own\").Reason}}\n")
	if err := render.CheckTemplate(path); err != nil {
		t.Error(err)
	}
	rep := newReport(t, with(seed(), map[string]float64{"alerts_by_category/" + hostile: 70}))
	rep.Template = path
	rep.Figures["own"] = reporter.NoData("own", "x", rep.Due, "<i>")
	m, err := r.Report(rep)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, "own template", m.HTML)
	want := "<b>AWOOOI 日度巡檢報告</b>\n總計 128 (較前日 ▲ 12)\n&lt;b&gt;&#34;Tom&#34; &amp; &#39;Jerry&#39;&lt;/b&gt; gnp.exe"
	if !strings.HasPrefix(m.HTML, want) || !strings.HasSuffix(m.HTML, "其他 &lt;i&gt;") {
		t.Errorf("text is %q", m.HTML)
	}
}

func TestBrokenTemplateNamesItsLineAndTheReportIsStillWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"does not parse":    {"line\n{{if}}", "own.tmpl:2"},
		"unknown function":  {"\n\n{{nonsense}}", "own.tmpl:3"},
		"unknown field":     {"\n{{.Nonsense}}", "own.tmpl:2"},
		"too few words":     {"\n{{t \"late\" \"x\"}}", "own.tmpl:2"},
		"unknown word":      {"\n{{t \"nonsense\"}}", "own.tmpl:2"},
		"no tag of a chat":  {"a\n<h1>{{.Headline}}</h1>", "own.tmpl: its text, at line 2"},
		"tag left open":     {"a\nb\n<b>{{.Headline}}", "line 3: <b> is not closed"},
		"tags crossed":      {"<b><i>x</b></i>", "close <i> first"},
		"bare ampersand":    {"a & b", "&amp;"},
		"only without data": {"{{if not (.Known \"alerts\")}}<x>{{end}}y", "line 1"},
		"nothing":           {"{{/* nothing */}}", "empty"},
		"text without end":  {"{{range 1000000000000}}" + strings.Repeat("x", 10_000) + "{{end}}", "own.tmpl: its text is longer than 1048576 bytes"},
		"a file too long":   {strings.Repeat("x", 2<<20), "own.tmpl: the file is longer than 1048576 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			r, err := render.New(render.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			path := writeTemplate(t, tt.text)
			if err := render.CheckTemplate(path); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
			rep := newReport(t, nil)
			builtin, err := r.Report(rep)
			if err != nil {
				t.Fatal(err)
			}
			rep.Template = path
			got, err := r.Report(rep)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(builtin, got); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(log.String(), "own.tmpl") {
				t.Errorf("log is %q", log.String())
			}
		})
	}
	if err := render.CheckTemplate(filepath.Join(t.TempDir(), "missing.tmpl")); err == nil {
		t.Error("a file that is not there was taken")
	}
}

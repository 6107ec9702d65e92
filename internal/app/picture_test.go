package app

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// drawing is one panel in the README's picture. It is drawn from the dashboard's JSON and the results of its queries, because the
// tests cannot run Grafana.
type drawing struct {
	X, Y, W, H         int
	Title, Value, Note string
	Row                bool
	Bars               []bar
	Lines              []curve
}

type bar struct {
	Name, Value string
	Width       float64
}

type curve struct{ Name, Color, Points string }

var colors = []string{"#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#96d98d"}

var dashboardPage = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><style>
body { margin: 0; background: #111217; color: #ccccdc; font: 13px Inter, "Noto Sans TC", "Noto Sans CJK TC", sans-serif; width: 1440px; height: {{.Height}}px; position: relative; }
div { position: absolute; box-sizing: border-box; } .p { background: #181b1f; border: 1px solid #2a2d33; border-radius: 3px; padding: 8px; overflow: hidden; }
.v { font-size: 34px; font-weight: 600; color: #73bf69; left: 0; right: 0; top: 45%; text-align: center; } .n { bottom: 8px; left: 0; right: 0; text-align: center; color: #9fa7b3; }
.r { font-size: 15px; font-weight: 600; padding-top: 10px; } table { width: 100%; margin-top: 8px; border-spacing: 0 6px; } td:first-child { width: 30%; } td:last-child { width: 12%; text-align: right; color: #73bf69; }
i { display: block; height: 14px; background: #73bf69; border-radius: 2px; } svg { display: block; width: 100%; height: 72%; margin-top: 8px; } small { margin-right: 12px; } small::before { content: "━ "; color: var(--c); }
</style><body>{{range .Panels}}<div class="{{if .Row}}r{{else}}p{{end}}" style="left:{{.X}}px;top:{{.Y}}px;width:{{.W}}px;height:{{.H}}px">{{.Title}}
{{with .Value}}<div class="v">{{.}}</div>{{end}}{{with .Note}}<div class="n">{{.}}</div>{{end}}
{{with .Bars}}<table>{{range .}}<tr><td>{{.Name}}</td><td><i style="width:{{.Width}}%"></i></td><td>{{.Value}}</td></tr>{{end}}</table>{{end}}
{{with .Lines}}<svg viewBox="0 0 1000 300" preserveAspectRatio="none">{{range .}}<polyline fill="none" stroke="{{.Color}}" stroke-width="2" vector-effect="non-scaling-stroke" points="{{.Points}}"/>{{end}}</svg>{{range .}}<small style="--c: {{.Color}}">{{.Name}}</small>{{end}}{{end}}</div>{{end}}`))

// drawDashboard draws the panels of the builtin KPIs, with the results of the program's querier over two weeks.
func drawDashboard(t *testing.T, r *running, b *chromium, due time.Time, file string) {
	t.Helper()
	var d struct {
		Panels []struct {
			Type, Title, Interval string
			GridPos               struct{ X, Y, W, H int }
			FieldConfig           struct{ Defaults struct{ Unit string } }
			Targets               []struct {
				Expr, LegendFormat string
			}
		}
	}
	read(t, "../../dashboards/awoooi-kpi.json", json.Unmarshal, &d)
	q := r.content.Load().querier
	const unit, row = 60, 36
	view := struct {
		Height int
		Panels []drawing
	}{}
	for _, p := range d.Panels {
		if p.Title == "KPIs of your own" {
			break
		}
		g := drawing{X: p.GridPos.X*unit + 4, Y: p.GridPos.Y*row + 4, W: p.GridPos.W*unit - 8, H: p.GridPos.H*row - 8, Title: p.Title, Row: p.Type == "row"}
		view.Height = max(view.Height, g.Y+g.H+8)
		var largest float64
		for n, target := range p.Targets {
			expr := strings.NewReplacer("$job", ".*", "$instance", ".*", "$__rate_interval", "5m").Replace(target.Expr)
			if p.Type == "timeseries" {
				step := 3 * time.Hour
				if p.Interval == "1d" {
					step = 24 * time.Hour
				}
				end := due.Truncate(24 * time.Hour)
				series, err := q.QueryRange(t.Context(), expr, end.AddDate(0, 0, 1-pastDays), end, step)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range series {
					g.Lines = append(g.Lines, curve{Name: legend(target.LegendFormat, s.Labels), Color: colors[len(g.Lines)%len(colors)]})
					for _, point := range s.Points {
						largest = max(largest, point.Value)
						g.Lines[len(g.Lines)-1].Points += fmt.Sprintf("%d,%v ", 1000*point.At.Sub(end.AddDate(0, 0, 1-pastDays))/(time.Duration(pastDays-1)*24*time.Hour), point.Value)
					}
				}
				continue
			}
			samples, err := q.Query(t.Context(), expr, due)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range samples {
				text := shown(s.Value, p.FieldConfig.Defaults.Unit, due)
				switch {
				case p.Type == "bargauge":
					largest = max(largest, s.Value)
					g.Bars = append(g.Bars, bar{legend(target.LegendFormat, s.Labels), text, s.Value})
				case n > 0:
					g.Note = fmt.Sprintf("%s %+g", target.LegendFormat, s.Value)
				case g.Value != "":
					g.Note += legend(target.LegendFormat, s.Labels) + " " + text + "   "
				default:
					g.Value = text
				}
			}
		}
		g.Bars = g.Bars[:min(len(g.Bars), 8)]
		for n := range g.Bars {
			g.Bars[n].Width = 100 * g.Bars[n].Width / largest
		}
		for n, c := range g.Lines { // the highest value is at the top
			var points strings.Builder
			for _, xy := range strings.Fields(c.Points) {
				var x, y float64
				fmt.Sscanf(xy, "%f,%f", &x, &y)
				fmt.Fprintf(&points, "%.0f,%.0f ", x, 295-290*y/max(largest, 1e-9))
			}
			g.Lines[n].Points = points.String()
		}
		if !g.Row && g.Value == "" && g.Bars == nil && g.Lines == nil {
			t.Errorf("panel %q has nothing to show of two weeks", p.Title)
		}
		view.Panels = append(view.Panels, g)
	}
	if b == nil {
		return
	}
	page := filepath.Join(t.TempDir(), "dashboard.html")
	f, err := os.Create(page)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := dashboardPage.Execute(f, view); err != nil {
		t.Fatal(err)
	}
	b.size(false, true)
	b.do(chromedp.Navigate("file://"+page), chromedp.WaitReady(chromedp.CSS("body")))
	if err := os.WriteFile(file, ask(b, chromedp.FullScreenshot(100)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func legend(format string, labels map[string]string) string {
	for name, value := range labels {
		format = strings.ReplaceAll(format, "{{"+name+"}}", value)
	}
	return format
}

func shown(v float64, unit string, now time.Time) string {
	switch unit {
	case "percentunit":
		return fmt.Sprintf("%.1f%%", v*100)
	case "s":
		return time.Duration(v * float64(time.Second)).Round(time.Second).String()
	case "dateTimeFromNow":
		return fmt.Sprintf("%.0f days ago", now.Sub(time.UnixMilli(int64(v))).Hours()/24)
	}
	return fmt.Sprint(math.Round(v*100) / 100)
}

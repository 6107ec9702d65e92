package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statushistory"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// schemaVersion is that of Grafana 10.0, the oldest that is supported; later ones migrate it when they load it.
const schemaVersion = 38

const gridWidth = 24

// noData is the text of a panel whose source failed, which never shows 0.
const noData = "無資料 (no data)"

// The kinds of panels.
const (
	figures = "figures" // a number for each target, of now: an instant query, so that ended series are not shown
	bars    = "bars"    // a horizontal bar for each series, of now
	lines   = "lines"   // over time, with gaps where there was no data
	columns = "columns" // over time, as columns
	stacked = "stacked" // over time, as columns on top of each other
	states  = "states"  // over time, a field for each moment; moments without data are blank
)

// panel is what one panel shows.
type panel struct {
	kind, title, help string
	unit              string // of Grafana's: https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats
	width             uint32 // of gridWidth
	height            uint32 // 0 is that of its kind
	step              string // the least time between two points
	max               *float64
	thresholds        []dashboard.Threshold
	says              map[string]dashboard.ValueMappingResult // text and color of a value
	targets           []target
}

// target is one query, with the names of its series; "{{label}}" is replaced by the label's value. In expr, {} is replaced by the
// matchers of the chosen jobs and instances.
type target struct{ expr, legend string }

// section is a row of panels under a title.
type section struct {
	title  string
	panels []panel
}

// board is one dashboard.
type board struct {
	uid, title, help, from string
	options                Options
	sections               []section
}

// chosen selects the series of the jobs and instances that were chosen.
const chosen = `{job=~"$job", instance=~"$instance"}`

// json makes the dashboard as Grafana imports it.
func (b board) json() ([]byte, error) {
	links := []cog.Builder[dashboard.DashboardLink]{
		// By tag rather than by address, so that it works below any path and in any folder.
		dashboard.NewDashboardLinkBuilder("awoooi-reporter").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{Tag}).IncludeVars(true).KeepTime(true).Icon("external link"),
		dashboard.NewDashboardLinkBuilder("Runbook").Type(dashboard.DashboardLinkTypeLink).
			Url(RunbookURL).TargetBlank(true).Icon("doc"),
	}
	if url := strings.TrimRight(b.options.ExternalURL, "/"); url != "" {
		for _, page := range []struct{ title, path string }{
			{"Report", "/reports/daily"}, {"Incidents", "/incidents"}, {"Deliveries", "/deliveries"},
		} {
			links = append(links, dashboard.NewDashboardLinkBuilder(page.title).Type(dashboard.DashboardLinkTypeLink).
				Url(url+page.path).TargetBlank(true).Icon("external link"))
		}
	}
	//nolint:staticcheck // Grafana 10 and 11 do not read the next format of dashboards.
	d := dashboard.NewDashboardBuilder(b.title).Uid(b.uid).Description(b.help).Tags([]string{Tag, "awoooi", "generated"}).
		Timezone(b.options.Zone).Time(b.from, "now").Refresh("1m").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Readonly().Links(links).Annotations(annotations()).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(variable("job", "Job", "The scrape jobs of awoooi-reporter, where there are several installations.",
			"label_values(awoooi_reporter_build_info, job)")).
		WithVariable(variable("instance", "Instance", "The processes of awoooi-reporter, where there are several.",
			`label_values(awoooi_reporter_build_info{job=~"$job"}, instance)`))
	for _, s := range b.sections {
		d = d.WithRow(dashboard.NewRowBuilder(s.title))
		for _, p := range s.panels {
			build, err := p.build()
			if err != nil {
				return nil, err
			}
			d = d.WithPanel(build)
		}
	}
	made, err := d.Build()
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", b.uid, err)
	}
	made.SchemaVersion = schemaVersion
	arrange(made.Panels)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // so that people can read the queries
	e.SetIndent("", "  ")
	if err := e.Encode(made); err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", b.uid, err)
	}
	return out.Bytes(), nil
}

// variable is a choice among the values of a label, of which any number may be chosen.
func variable(name, label, help, query string) cog.Builder[dashboard.VariableModel] {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Description(help).
		Query(dashboard.StringOrMap{String: &query}).Definition(query).Datasource(datasource()).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".+").Current(all())
}

// annotations mark restarts, reloads and sent reports. The value of each series is the marked moment, in seconds since 1970.
func annotations() []cog.Builder[dashboard.AnnotationQuery] {
	var out []cog.Builder[dashboard.AnnotationQuery]
	for _, a := range []struct{ name, color, series, only, title string }{
		{"Restarts", "red", "process_start_time_seconds", " and on (job, instance) awoooi_reporter_build_info{}", "Restart of {{instance}}"},
		{"Reloads", "blue", "awoooi_reporter_config_last_reload_success_timestamp_seconds", "", "Configuration loaded by {{instance}}"},
		{"Reports", "green", "awoooi_reporter_report_last_sent_timestamp_seconds", "", "Report sent by {{instance}}"},
	} {
		expr := strings.ReplaceAll("("+a.series+"{} > 0) * 1000"+a.only, "{}", chosen) // Grafana's times are in milliseconds
		out = append(out, dashboard.NewAnnotationQueryBuilder().Name(a.name).Datasource(datasource()).Enable(true).
			IconColor(a.color).Expr(expr).TitleFormat(a.title).UseValueForTime(true).Step("60s"))
	}
	return out
}

// arrange numbers the panels and puts them from left to right, in as many lines as they need.
func arrange(panels []dashboard.PanelOrRowPanel) {
	var x, y, tallest uint32
	for n, either := range panels {
		id := uint32(n + 1)
		if r := either.RowPanel; r != nil {
			y += tallest
			r.Id, r.GridPos = id, &dashboard.GridPos{X: 0, Y: y, W: gridWidth, H: 1}
			x, y, tallest = 0, y+1, 0
			continue
		}
		p := either.Panel
		if x+p.GridPos.W > gridWidth {
			x, y, tallest = 0, y+tallest, 0
		}
		p.Id, p.GridPos.X, p.GridPos.Y = &id, x, y
		x, tallest = x+p.GridPos.W, max(tallest, p.GridPos.H)
	}
}

func datasource() common.DataSourceRef {
	kind, uid := "prometheus", "${datasource}"
	return common.DataSourceRef{Type: &kind, Uid: &uid}
}

func all() dashboard.VariableOption {
	text, value := "All", "$__all"
	selected := true
	return dashboard.VariableOption{
		Selected: &selected,
		Text:     dashboard.StringOrArrayOfString{String: &text}, Value: dashboard.StringOrArrayOfString{String: &value},
	}
}

// queries are the targets of a panel, asked for now or over the time that is shown.
func (p panel) queries(now bool) []cog.Builder[variants.Dataquery] {
	var out []cog.Builder[variants.Dataquery]
	for n, t := range p.targets {
		q := prometheus.NewDataqueryBuilder().RefId(string(rune('A' + n))).Datasource(datasource()).
			Expr(strings.ReplaceAll(t.expr, "{}", chosen)).LegendFormat(t.legend).EditorMode(prometheus.QueryEditorModeCode)
		if now {
			q = q.Instant()
		} else {
			q = q.Range()
		}
		out = append(out, q)
	}
	return out
}

func (p panel) tall(usual uint32) uint32 {
	if p.height != 0 {
		return p.height
	}
	return usual
}

func (p panel) build() (cog.Builder[dashboard.Panel], error) {
	switch p.kind {
	case figures:
		return p.buildFigures(), nil
	case bars:
		return p.buildBars(), nil
	case states:
		return p.buildStates(), nil
	case lines, columns, stacked:
		return p.buildOverTime(), nil
	}
	return nil, fmt.Errorf("panel %q: no kind %q", p.title, p.kind)
}

func (p panel) buildFigures() cog.Builder[dashboard.Panel] {
	mode := common.BigValueTextModeAuto
	if p.targets[0].legend != "" {
		mode = common.BigValueTextModeValueAndName
	}
	b := stat.NewPanelBuilder().Title(p.title).Description(p.help).Unit(p.unit).NoValue(noData).
		Span(p.width).Height(p.tall(5)).Datasource(datasource()).Targets(p.queries(true)).
		Thresholds(steps(p.thresholds)).ColorScheme(color(dashboard.FieldColorModeIdThresholds)).
		ReduceOptions(last()).GraphMode(common.BigValueGraphModeNone).ColorMode(common.BigValueColorModeValue).
		TextMode(mode).Orientation(common.VizOrientationAuto).JustifyMode(common.BigValueJustifyModeAuto)
	if p.says != nil {
		b = b.Mappings(mapping(p.says))
	}
	return b
}

func (p panel) buildBars() cog.Builder[dashboard.Panel] {
	b := bargauge.NewPanelBuilder().Title(p.title).Description(p.help).Unit(p.unit).NoValue(noData).Min(0).
		Span(p.width).Height(p.tall(9)).Datasource(datasource()).Targets(p.queries(true)).
		Thresholds(steps(p.thresholds)).ColorScheme(color(dashboard.FieldColorModeIdPaletteClassicByName)).
		ReduceOptions(last()).Orientation(common.VizOrientationHorizontal).DisplayMode(common.BarGaugeDisplayModeBasic).
		ValueMode(common.BarGaugeValueModeText).NamePlacement(common.BarGaugeNamePlacementAuto)
	return b
}

func (p panel) buildStates() cog.Builder[dashboard.Panel] {
	return statushistory.NewPanelBuilder().Title(p.title).Description(p.help).NoValue(noData).
		Span(p.width).Height(p.tall(9)).Datasource(datasource()).Targets(p.queries(false)).MaxDataPoints(100).
		Thresholds(steps(p.thresholds)).ColorScheme(color(dashboard.FieldColorModeIdThresholds)).
		Mappings(mapping(p.says)).ShowValue(common.VisibilityModeNever).RowHeight(0.9).FillOpacity(80).
		Legend(legend()).Tooltip(tooltip())
}

func (p panel) buildOverTime() cog.Builder[dashboard.Panel] {
	b := timeseries.NewPanelBuilder().Title(p.title).Description(p.help).Unit(p.unit).NoValue(noData).
		Span(p.width).Height(p.tall(9)).Datasource(datasource()).Targets(p.queries(false)).
		Thresholds(steps(p.thresholds)).ColorScheme(color(dashboard.FieldColorModeIdPaletteClassicByName)).
		Legend(legend()).Tooltip(tooltip()).AxisSoftMin(0).ShowPoints(common.VisibilityModeAuto).LineWidth(1).
		SpanNulls(common.BoolOrFloat64{Bool: new(bool)}) // a gap is a gap
	if p.step != "" {
		b = b.Interval(p.step)
	}
	if p.max != nil {
		b = b.Max(*p.max)
	}
	if len(p.thresholds) > 1 {
		b = b.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	if p.kind == lines {
		return b.DrawStyle(common.GraphDrawStyleLine).FillOpacity(10).LineInterpolation(common.LineInterpolationStepAfter)
	}
	b = b.DrawStyle(common.GraphDrawStyleBars).FillOpacity(80)
	if p.kind == stacked {
		b = b.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
	}
	return b
}

// last reduces an instant query's answer, which is one sample, to that sample.
func last() cog.Builder[common.ReduceDataOptions] {
	return common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}).Fields("").Values(false)
}

// legend names the series without figures, because "last" would show the last sample even if it is old.
func legend() cog.Builder[common.VizLegendOptions] {
	return common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).
		Placement(common.LegendPlacementBottom).ShowLegend(true).Calcs([]string{})
}

func tooltip() cog.Builder[common.VizTooltipOptions] {
	return common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)
}

func color(mode dashboard.FieldColorModeId) cog.Builder[dashboard.FieldColor] {
	return dashboard.NewFieldColorBuilder().Mode(mode)
}

func steps(t []dashboard.Threshold) cog.Builder[dashboard.ThresholdsConfig] {
	if len(t) == 0 {
		t = []dashboard.Threshold{{Color: "text"}}
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(t)
}

// from colours values below the first step by base, and from each step on by its colour.
func from(base string, steps ...any) []dashboard.Threshold {
	out := []dashboard.Threshold{{Color: base}}
	for n := 0; n+1 < len(steps); n += 2 {
		value := steps[n].(float64)
		out = append(out, dashboard.Threshold{Value: &value, Color: steps[n+1].(string)})
	}
	return out
}

func say(text, color string) dashboard.ValueMappingResult {
	return dashboard.ValueMappingResult{Text: &text, Color: &color}
}

func mapping(says map[string]dashboard.ValueMappingResult) []dashboard.ValueMapping {
	return []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: says}}}
}

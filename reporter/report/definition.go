package report

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // time zones on machines without a zone database

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// BeforeSuffix is appended to a figure's name for its earlier value. Those of further comparisons are numbered from 2 on.
const BeforeSuffix = "_before"

// Definition is one report: its schedule, figures, sections and receivers. Its YAML is the format of the configuration and of the
// builtin reports.
type Definition struct {
	Name     string        `yaml:"name"`
	Title    string        `yaml:"title"`    // product name in the headline
	Schedule string        `yaml:"schedule"` // crontab(5), five fields, in Zone
	Timezone string        `yaml:"timezone"` // IANA name of Zone
	Lookback time.Duration `yaml:"lookback"` // the period of the report; not used if Months is set
	Months   int           `yaml:"lookback_months"`
	CatchUp  time.Duration `yaml:"catch_up"` // a missed due time that is older is not sent
	Locale   string        `yaml:"locale"`
	Template string        `yaml:"template"` // path of a template file; "" means the builtin one
	// Health grades the repair success rate.
	Health   reporter.HealthThresholds `yaml:"health"`
	Sections []reporter.Section        `yaml:"sections"`
	// Figures are evaluated without a line of their own, for ratios and templates. One with the name of a builtin line replaces
	// that line's expression.
	Figures   []FigureDefinition `yaml:"figures"`
	Trend     *TrendDefinition   `yaml:"trend"`
	Receivers []string           `yaml:"receivers"`
	Disabled  bool               `yaml:"disabled"`
	Zone      *time.Location     `yaml:"-"`
}

// FigureDefinition is one PromQL expression. It is also evaluated at each duration of Compare before the due time, as the figures
// Name + BeforeSuffix, Name + BeforeSuffix + "2" and so on.
type FigureDefinition struct {
	Name    string          `yaml:"name"`
	Expr    string          `yaml:"expr"`
	Compare []time.Duration `yaml:"compare"`
	// EachDay sums the values at the due time and at the same hour of each day of the lookback. So a gauge with a window of one
	// day gives the value of a week.
	EachDay bool `yaml:"each_day"`
	Builtin bool `yaml:"-"`
	// EmptyIf are names of figures: if one of them is 0, it is normal that this one has no samples.
	EmptyIf []string `yaml:"-"`
}

// DecodedOver is called after a figure of the configuration was decoded over the builtin figure of its name: it is the user's then.
func (f *FigureDefinition) DecodedOver() { f.Builtin = false }

// TrendDefinition is the picture of a report: the values of figures on the days up to the due time. Without figures the report has
// no picture.
type TrendDefinition struct {
	Days    int      `yaml:"days"`
	Figures []string `yaml:"figures"` // names of figures of the report
}

// Defaults of a definition.
const (
	DefaultLookback = 24 * time.Hour
	DefaultCatchUp  = 12 * time.Hour
)

const (
	day = 24 * time.Hour
	// longestLookback and maxTrendDays bound the number of queries of one report.
	longestLookback = 366 * 24 * time.Hour
	maxTrendDays    = 62
	mostParts       = 50 // of a list
)

//go:embed daily.yaml weekly.yaml monthly.yaml
var builtin embed.FS

// Builtins lists the names of the builtin definitions.
var Builtins = []string{"daily", "weekly", "monthly"}

// Builtin returns the builtin definition of that name.
func Builtin(name string) (Definition, error) {
	if !slices.Contains(Builtins, name) {
		return Definition{}, fmt.Errorf("unknown builtin report %q (have %s)", name, strings.Join(Builtins, ", "))
	}
	b, err := builtin.ReadFile(name + ".yaml")
	if err != nil {
		return Definition{}, fmt.Errorf("report %q: %w", name, err)
	}
	d, err := Parse(b)
	if err != nil {
		return d, err
	}
	for n := range d.Sections {
		for m := range d.Sections[n].Lines {
			d.Sections[n].Lines[m].Builtin = true
		}
	}
	for n := range d.Figures {
		d.Figures[n].Builtin = true
	}
	return d, nil
}

// Parse reads one definition as YAML. Unknown keys are errors. It sets no defaults except CatchUp, and does not validate.
func Parse(b []byte) (Definition, error) {
	d := Definition{CatchUp: DefaultCatchUp}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&d); err != nil {
		return Definition{}, fmt.Errorf("report definition: %w", err)
	}
	return d, nil
}

// SetBase sets d to the definition that a block of that name is decoded over: the builtin one, or the defaults of a new report.
func (d *Definition) SetBase(name string) {
	if b, err := Builtin(name); err == nil {
		*d = b
	} else {
		*d = Definition{Name: name, CatchUp: DefaultCatchUp}
	}
}

// Defaults are the settings of reports that do not set them themselves.
type Defaults struct {
	Product, Locale string
	Zone            *time.Location
	Receivers       []string
}

// Complete returns the definition with defaults for unset settings, except CatchUp, for which 0 means no catch-up.
func (d Definition) Complete(of Defaults) (Definition, error) {
	d.Title = cmp.Or(d.Title, of.Product, reporter.DefaultProduct)
	d.Locale = cmp.Or(d.Locale, of.Locale, reporter.DefaultLocale)
	if d.Zone = of.Zone; d.Timezone != "" {
		zone, err := time.LoadLocation(d.Timezone)
		if err != nil {
			return d, fault.New("timezone", "%q is not an IANA time zone, want one such as Asia/Taipei", d.Timezone)
		}
		d.Zone = zone
	}
	if len(d.Receivers) == 0 {
		d.Receivers = of.Receivers
	}
	// A user's lookback replaces the months of the builtin report.
	if base, err := Builtin(d.Name); err == nil && base.Lookback == 0 && d.Lookback != 0 && d.Months == base.Months {
		d.Months = 0
	}
	if d.Lookback == 0 {
		d.Lookback = DefaultLookback
	}
	if d.Health == (reporter.HealthThresholds{}) {
		d.Health = reporter.DefaultHealth
	}
	if len(d.Sections) == 0 && d.Template == "" {
		if err := d.addSections(); err != nil {
			return d, err
		}
	}
	d.merge()
	return d, nil
}

// addSections adds sections to a report that has only figures: the builtin daily report's lines with these names, and a section
// with the other figures.
func (d *Definition) addSections() error {
	daily, err := Builtin("daily")
	if err != nil {
		return err
	}
	rest := slices.Clone(d.Figures)
	has := func(name string) bool {
		return slices.ContainsFunc(d.Figures, func(f FigureDefinition) bool { return f.Name == name })
	}
	for _, s := range daily.Sections {
		s.Lines = slices.DeleteFunc(s.Lines, func(l reporter.Line) bool {
			if l.Ratio != nil {
				return slices.ContainsFunc(append([]string{l.Ratio.Part}, l.Ratio.Of...), func(f string) bool { return !has(f) })
			}
			return !has(l.Name)
		})
		for n := range s.Lines {
			l := &s.Lines[n]
			for _, other := range []*string{&l.ShareOf, &l.Oldest, &l.SampleSize, &l.OnlyIf} {
				if !has(*other) {
					*other = ""
				}
			}
			if l.List != nil && !has(l.List.Of) {
				list := *l.List
				list.Of = ""
				l.List = &list
			}
			rest = slices.DeleteFunc(rest, func(f FigureDefinition) bool { return f.Name == l.Name })
		}
		if len(s.Lines) > 0 {
			d.Sections = append(d.Sections, s)
		}
	}
	own := reporter.Section{Name: "figures", Title: reporter.Words{Text: d.Name}}
	for _, f := range rest {
		own.Lines = append(own.Lines, reporter.Line{
			Name: f.Name, Title: reporter.Words{Text: f.Name}, Expr: f.Expr, Compare: f.Compare, EachDay: f.EachDay,
		})
	}
	if len(own.Lines) > 0 {
		d.Sections = append(d.Sections, own)
		d.Figures = slices.DeleteFunc(slices.Clone(d.Figures), func(f FigureDefinition) bool {
			return slices.ContainsFunc(own.Lines, func(l reporter.Line) bool { return l.Name == f.Name })
		})
	}
	return nil
}

// merge moves figures with the name of a builtin line into that line.
func (d *Definition) merge() {
	sections := make([]reporter.Section, len(d.Sections))
	var taken []string
	for n, s := range d.Sections {
		s.Lines = slices.Clone(s.Lines)
		for m := range s.Lines {
			l := &s.Lines[m]
			if l.Expr != "" {
				l.Ratio = nil // the user has set an expression for a builtin ratio
			}
			for _, f := range d.Figures {
				if f.Name == l.Name && l.Builtin {
					l.Expr, l.Compare, l.EachDay, l.Builtin = f.Expr, f.Compare, f.EachDay, false
					taken = append(taken, f.Name)
				}
			}
		}
		sections[n] = s
	}
	d.Sections = sections
	d.Figures = slices.DeleteFunc(slices.Clone(d.Figures), func(f FigureDefinition) bool { return slices.Contains(taken, f.Name) })
}

// Asked returns all figures of the report: those of its lines, and the others.
func (d Definition) Asked() []FigureDefinition {
	var out []FigureDefinition
	for _, s := range d.Sections {
		for _, l := range s.Lines {
			if l.Expr != "" {
				f := FigureDefinition{Name: l.Name, Expr: l.Expr, Compare: l.Compare, EachDay: l.EachDay, Builtin: l.Builtin}
				for _, other := range []string{l.OnlyIf, l.SampleSize} {
					if other != "" {
						f.EmptyIf = append(f.EmptyIf, other)
					}
				}
				out = append(out, f)
			}
		}
	}
	return append(out, d.Figures...)
}

// Deliveries returns the deliveries of the report that is due then, one for each receiver, created now.
func (d Definition) Deliveries(due, now time.Time) []reporter.Delivery {
	out := make([]reporter.Delivery, 0, len(d.Receivers))
	subject := reporter.Subject{Report: d.Name, Due: due}.String()
	for _, receiver := range d.Receivers {
		out = append(out, reporter.NewDelivery(reporter.DeliveryReport, subject, receiver, now))
	}
	return out
}

// Since returns the start of the lookback of a report that is due at that time, in UTC.
func (d Definition) Since(due time.Time) time.Time {
	if d.Months != 0 {
		return monthsBefore(due.In(d.zone()), d.Months).UTC()
	}
	if n := int(d.Lookback / day); n > 1 && d.Lookback%day == 0 {
		return due.In(d.zone()).AddDate(0, 0, -n).UTC() // calendar days may have 23 or 25 hours
	}
	return due.Add(-d.Lookback).UTC()
}

// monthsBefore returns the same day and hour so many months before, or the last day of a month without such a day.
func monthsBefore(t time.Time, months int) time.Time {
	first := time.Date(t.Year(), t.Month()-time.Month(months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// days returns the due time and the same hour of each day before it that is after since, the latest first.
func days(due, since time.Time, zone *time.Location) []time.Time {
	var out []time.Time
	local := due.In(zone)
	for n := 0; ; n++ {
		t := local.AddDate(0, 0, -n)
		if !t.After(since) {
			return out
		}
		out = append(out, t.UTC())
	}
}

// A report's name is a part of delivery keys and file names.
var (
	reportName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$`)
	figureName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// Validate returns all faults of the definition as joined fault.Errors with the keys of the file. It does not check expressions,
// because their syntax depends on the server that evaluates them.
func (d Definition) Validate() error {
	var errs []error
	wrong := func(key, format string, a ...any) { errs = append(errs, fault.New(key, format, a...)) }
	asked := d.Asked()
	known := func(key string, names ...string) {
		for _, name := range names {
			if name != "" && !slices.ContainsFunc(asked, func(f FigureDefinition) bool { return f.Name == name }) {
				wrong(key, "there is no figure %q", name)
			}
		}
	}
	d.validateTimes(wrong)
	trend := d.trend()
	if len(trend.Figures) > 0 && (trend.Days < 2 || trend.Days > maxTrendDays) {
		wrong("trend.days", "days %d is outside 2..%d", trend.Days, maxTrendDays)
	}
	known("trend.figures", trend.Figures...)
	d.validateSections(wrong, known)
	if h := d.Health; h.Good < 0 || h.Excellent > 1 || h.Good > h.Excellent {
		wrong("health", "want 0 <= good <= excellent <= 1, have good %v and excellent %v", h.Good, h.Excellent)
	}
	d.validateFigures(asked, wrong)
	return errors.Join(errs...)
}

// validateTimes checks the settings of names and times.
func (d Definition) validateTimes(wrong func(key, format string, a ...any)) {
	if !reportName.MatchString(d.Name) {
		wrong("name", "want letters, digits, - and _, at most 63")
	}
	if d.Zone == nil {
		wrong("timezone", "zone is missing")
	} else if strings.TrimSpace(d.Schedule) == "" {
		wrong("schedule", "schedule is missing, want a cron expression such as \"0 8 * * *\"")
	} else if _, err := ParseSchedule(d.Schedule, d.Zone); err != nil {
		wrong("schedule", "%v", err)
	}
	if d.Lookback <= 0 {
		wrong("lookback", "lookback %v: want more than 0", d.Lookback)
	}
	if d.Months < 0 || d.Months > 12 {
		wrong("lookback_months", "lookback_months %d is outside 0..12", d.Months)
	}
	if d.Lookback > longestLookback {
		wrong("lookback", "lookback %v is longer than %v", model.Duration(d.Lookback), model.Duration(longestLookback))
	}
	if d.CatchUp < 0 {
		wrong("catch_up", "catch_up %v is negative", d.CatchUp)
	}
}

// validateFigures checks the names and expressions of all figures.
func (d Definition) validateFigures(asked []FigureDefinition, wrong func(key, format string, a ...any)) {
	if len(asked) == 0 {
		wrong("figures", "the report has no figures, want at least one in sections or figures")
	}
	seen := map[string]bool{}
	for _, f := range asked {
		key := d.Key(f.Name)
		if !figureName.MatchString(f.Name) {
			wrong(key+".name", "figure %q: name: want lower-case letters, digits and _", f.Name)
		}
		if strings.TrimSpace(f.Expr) == "" {
			wrong(key+".expr", "expr is missing")
		}
		for _, c := range f.Compare {
			if c <= 0 {
				wrong(key+".compare", "compare %v is not above 0", c)
			}
		}
		for _, name := range f.names() {
			if seen[name] {
				wrong(key+".name", "figure %q is defined twice", name)
			}
			seen[name] = true
		}
	}
}

// Key returns the key of a figure within the report's block of the configuration.
func (d Definition) Key(figure string) string {
	for _, s := range d.Sections {
		for _, l := range s.Lines {
			if l.Name == figure && !d.added(s) {
				return "sections{" + s.Name + "}.figures{" + figure + "}"
			}
		}
	}
	return "figures{" + figure + "}"
}

// added reports whether a section was added by addSections, and so is not in the configuration.
func (d Definition) added(s reporter.Section) bool {
	return s.Name == "figures" && s.Title.Text == d.Name
}

// validateSections checks sections and lines. It reports names that are not those of figures with known.
func (d Definition) validateSections(wrong func(key, format string, a ...any), known func(key string, names ...string)) {
	sections, lines := map[string]bool{}, map[string]bool{}
	for _, s := range d.Sections {
		at := "sections{" + s.Name + "}"
		if !figureName.MatchString(s.Name) || sections[s.Name] {
			wrong(at+".name", "section %q: want lower-case letters, digits and _, and each name once", s.Name)
		}
		sections[s.Name] = true
		if s.Title.Empty() {
			wrong(at+".title", "there is no section %q (have %s), and a new one needs a title", s.Name, strings.Join(d.titled(), ", "))
		}
		if len(s.Lines) == 0 && !s.Hide {
			wrong(at+".figures", "section %q has no figures", s.Name)
		}
		for _, l := range s.Lines {
			at := d.Key(l.Name)
			if evaluated, ok := lines[l.Name]; ok && (!evaluated || l.Expr == "") { // else validateFigures reports it
				wrong(at+".name", "figure %q is defined twice", l.Name)
			}
			lines[l.Name] = l.Expr != ""
			if l.Title.Empty() && l.List == nil {
				wrong(at+".title", "figure %q has no title", l.Name)
			}
			validateFormat(at, l.Format, wrong)
			known(at, l.ShareOf, l.Oldest, l.SampleSize, l.OnlyIf)
			switch {
			case l.Ratio != nil:
				known(at+".ratio", append([]string{l.Ratio.Part}, l.Ratio.Of...)...)
				if l.Ratio.Part == "" || len(l.Ratio.Of) == 0 {
					wrong(at+".ratio", "want part: and of:")
				}
			case l.Expr == "":
				wrong(at+".expr", "expr is missing: figure %q has neither expr nor ratio", l.Name)
			}
			if l.List != nil {
				validateList(at+".list", *l.List, wrong, known)
			}
		}
	}
}

func validateList(at string, l reporter.List, wrong func(key, format string, a ...any), known func(key string, names ...string)) {
	known(at, l.Of)
	for n, with := range l.With {
		at := fmt.Sprintf("%s.with[%d]", at, n)
		known(at+".figure", with.Figure)
		known(at+".sample_size", with.SampleSize)
		if with.Figure == "" {
			wrong(at+".figure", "figure is missing, want the name of a figure")
		}
		validateFormat(at, with.Format, wrong)
	}
	if l.Top < 1 || l.Top > mostParts {
		wrong(at+".top", "top %d is outside 1..%d", l.Top, mostParts)
	}
}

func validateFormat(at string, f reporter.Format, wrong func(key, format string, a ...any)) {
	if f == "" || slices.Contains(reporter.Formats, f) {
		return
	}
	var have []string
	for _, known := range reporter.Formats {
		have = append(have, string(known))
	}
	wrong(at+".format", "unknown format %q (have %s)", f, strings.Join(have, ", "))
}

// titled returns the names of the sections that have a title.
func (d Definition) titled() []string {
	var names []string
	for _, s := range d.Sections {
		if !s.Title.Empty() {
			names = append(names, s.Name)
		}
	}
	return names
}

func (d Definition) trend() TrendDefinition {
	if d.Trend == nil {
		return TrendDefinition{}
	}
	return *d.Trend
}

func (f FigureDefinition) names() []string {
	names := []string{f.Name}
	for n := range f.Compare {
		names = append(names, beforeName(f.Name, n))
	}
	return names
}

func beforeName(name string, n int) string {
	if n == 0 {
		return name + BeforeSuffix
	}
	return fmt.Sprint(name, BeforeSuffix, n+1)
}

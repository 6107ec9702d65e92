package report

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones are known wherever the binary runs

	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// BeforeSuffix makes the name of the figure that holds a compared figure's earlier value; those of further comparisons
// are numbered from 2 on.
const BeforeSuffix = "_before"

// Definition is one report: when it is due, what it asks, how it looks and who gets it.
type Definition struct {
	Name      string
	Title     string // product name in the headline
	Schedule  string // crontab(5), five fields, in Zone
	Zone      *time.Location
	Lookback  time.Duration // what the figures speak of, for the headline
	Months    int           // if not 0, the lookback is so many calendar months instead
	CatchUp   time.Duration // how old a missed due time may be to be sent still
	Figures   []FigureDefinition
	Locale    string
	Template  string // path of a template file; empty is the builtin
	Health    reporter.HealthThresholds
	Trend     TrendDefinition
	Receivers []string
}

// FigureDefinition is one PromQL expression. For each of Compare it is evaluated at that much before the due time too, as
// the figures Name + BeforeSuffix, Name + BeforeSuffix + "2" and so on.
type FigureDefinition struct {
	Name    string
	Expr    string
	Compare []time.Duration
	// EachDay evaluates the expression at the due time and at the same hour of each day of the lookback, and sums the
	// values: what a gauge with a window of a day says of a week.
	EachDay bool
}

// TrendDefinition is the picture of a report: figures over so many days up to the due time. Without figures there is none.
type TrendDefinition struct {
	Days    int
	Figures []string
}

// Defaults of a definition.
const (
	DefaultLookback = 24 * time.Hour
	DefaultCatchUp  = 12 * time.Hour
)

const (
	day = 24 * time.Hour
	// longestLookback and maxTrendDays bound how many queries one report asks.
	longestLookback = 366 * 24 * time.Hour
	maxTrendDays    = 62
)

//go:embed daily.yaml weekly.yaml monthly.yaml
var builtin embed.FS

// Builtins names the definitions that the program brings along.
var Builtins = []string{"daily", "weekly", "monthly"}

// Builtin returns the definition of that name that the program brings along.
func Builtin(name string) (Definition, error) {
	if !slices.Contains(Builtins, name) {
		return Definition{}, fmt.Errorf("report %q: not builtin, there are %s", name, strings.Join(Builtins, ", "))
	}
	b, err := builtin.ReadFile(name + ".yaml")
	if err != nil {
		return Definition{}, fmt.Errorf("report %q: %w", name, err)
	}
	return Parse(b)
}

// Parse reads one definition in the format of the builtin ones. Unknown keys are errors, defaults are filled in; it is
// not validated.
func Parse(b []byte) (Definition, error) {
	var y struct {
		Name     string         `yaml:"name"`
		Title    string         `yaml:"title"`
		Schedule string         `yaml:"schedule"`
		Zone     string         `yaml:"zone"`
		Lookback time.Duration  `yaml:"lookback"`
		Months   int            `yaml:"lookback_months"`
		CatchUp  *time.Duration `yaml:"catch_up"`
		Locale   string         `yaml:"locale"`
		Template string         `yaml:"template"`
		Health   struct {
			Excellent float64 `yaml:"excellent"`
			Good      float64 `yaml:"good"`
		} `yaml:"health"`
		Receivers []string `yaml:"receivers"`
		Figures   []struct {
			Name    string          `yaml:"name"`
			Expr    string          `yaml:"expr"`
			Compare []time.Duration `yaml:"compare"`
			EachDay bool            `yaml:"each_day"`
		} `yaml:"figures"`
		Trend struct {
			Days    int      `yaml:"days"`
			Figures []string `yaml:"figures"`
		} `yaml:"trend"`
	}
	y.Zone = reporter.DefaultZone
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&y); err != nil {
		return Definition{}, fmt.Errorf("report definition: %w", err)
	}
	zone, err := time.LoadLocation(y.Zone)
	if err != nil {
		return Definition{}, fmt.Errorf("report %q: zone: %w", y.Name, err)
	}
	d := Definition{
		Name: y.Name, Title: y.Title, Schedule: y.Schedule, Zone: zone, Lookback: y.Lookback, Months: y.Months,
		CatchUp: DefaultCatchUp, Trend: TrendDefinition(y.Trend),
		Locale: y.Locale, Template: y.Template, Receivers: y.Receivers,
		Health: reporter.HealthThresholds{Excellent: y.Health.Excellent, Good: y.Health.Good},
	}
	if y.CatchUp != nil {
		d.CatchUp = *y.CatchUp
	}
	for _, f := range y.Figures {
		d.Figures = append(d.Figures, FigureDefinition(f))
	}
	return d.WithDefaults(), nil
}

// WithDefaults returns the definition with unset settings at their defaults, but for CatchUp, whose 0 means none.
func (d Definition) WithDefaults() Definition {
	if d.Title == "" {
		d.Title = reporter.DefaultProduct
	}
	if d.Lookback == 0 {
		d.Lookback = DefaultLookback
	}
	if d.Locale == "" {
		d.Locale = reporter.DefaultLocale
	}
	if d.Health == (reporter.HealthThresholds{}) {
		d.Health = reporter.DefaultHealth
	}
	return d
}

// Since returns where the lookback of a report due at that time begins.
func (d Definition) Since(due time.Time) time.Time {
	if d.Months != 0 {
		return monthsBefore(due.In(d.zone()), d.Months).UTC()
	}
	if n := int(d.Lookback / day); n > 1 && d.Lookback%day == 0 {
		return due.In(d.zone()).AddDate(0, 0, -n).UTC() // days of the calendar, some of which have 23 or 25 hours
	}
	return due.Add(-d.Lookback).UTC()
}

// monthsBefore is the same day and hour so many months before; in a month that has no such day, its last.
func monthsBefore(t time.Time, months int) time.Time {
	first := time.Date(t.Year(), t.Month()-time.Month(months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// days returns the due time and the same hour of each day before it, as long as that is after since, the latest first.
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

// Validate returns everything that is wrong with the definition, as fault.Errors with the keys of the file, joined. Expressions
// are the caller's to check, who knows which server evaluates them.
func (d Definition) Validate() error {
	var errs []error
	wrong := func(key, format string, a ...any) { errs = append(errs, fault.New(key, format, a...)) }
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
		wrong("lookback", "lookback %v is longer than %v", d.Lookback, longestLookback)
	}
	if t := d.Trend; len(t.Figures) > 0 && (t.Days < 2 || t.Days > maxTrendDays) {
		wrong("trend.days", "days %d is outside 2..%d", t.Days, maxTrendDays)
	}
	for _, name := range d.Trend.Figures {
		if !slices.ContainsFunc(d.Figures, func(f FigureDefinition) bool { return f.Name == name }) {
			wrong("trend.figures", "there is no figure %q", name)
		}
	}
	if d.CatchUp < 0 {
		wrong("catch_up", "catch_up %v is negative", d.CatchUp)
	}
	if h := d.Health; h.Good < 0 || h.Excellent > 1 || h.Good > h.Excellent {
		wrong("health", "want 0 <= good <= excellent <= 1, have good %v and excellent %v", h.Good, h.Excellent)
	}
	if len(d.Figures) == 0 {
		wrong("figures", "has no figures")
	}
	seen := map[string]bool{}
	for _, f := range d.Figures {
		key := "figures{" + f.Name + "}"
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
				wrong(key+".name", "figure %q is there twice", name)
			}
			seen[name] = true
		}
	}
	return errors.Join(errs...)
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

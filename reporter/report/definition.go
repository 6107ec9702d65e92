package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // zones are known wherever the binary runs

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// BeforeSuffix makes the name of the figure that holds a compared figure's earlier value.
const BeforeSuffix = "_before"

// Definition is one report: when it is due, what it asks, how it looks and who gets it.
type Definition struct {
	Name      string
	Title     string // product name in the headline
	Schedule  string // crontab(5), five fields, in Zone
	Zone      *time.Location
	Lookback  time.Duration // what the figures speak of, for the headline
	CatchUp   time.Duration // how old a missed due time may be to be sent still
	Figures   []FigureDefinition
	Locale    string
	Template  string // path of a template file; empty is the builtin
	Health    reporter.HealthThresholds
	Receivers []string
}

// FigureDefinition is one PromQL expression. Where Compare is not 0, it is evaluated at that much before the due time
// too, as the figure Name + BeforeSuffix.
type FigureDefinition struct {
	Name    string
	Expr    string
	Compare time.Duration
}

// Defaults of a definition.
const (
	DefaultZone     = "Asia/Taipei"
	DefaultLookback = 24 * time.Hour
	DefaultCatchUp  = 12 * time.Hour
	DefaultLocale   = "zh-TW"
	DefaultTitle    = "AWOOOI"
)

// DefaultHealth grades a repair success rate of 80 % as excellent and one of 50 % as good.
var DefaultHealth = reporter.HealthThresholds{Excellent: 0.8, Good: 0.5}

//go:embed daily.yaml
var dailyYAML []byte

// Builtin returns the definition of that name that the program brings along; there is "daily".
func Builtin(name string) (Definition, error) {
	if name != "daily" {
		return Definition{}, fmt.Errorf("report %q: not builtin, there is daily", name)
	}
	return Parse(dailyYAML)
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
		CatchUp  *time.Duration `yaml:"catch_up"`
		Locale   string         `yaml:"locale"`
		Template string         `yaml:"template"`
		Health   struct {
			Excellent float64 `yaml:"excellent"`
			Good      float64 `yaml:"good"`
		} `yaml:"health"`
		Receivers []string `yaml:"receivers"`
		Figures   []struct {
			Name    string        `yaml:"name"`
			Expr    string        `yaml:"expr"`
			Compare time.Duration `yaml:"compare"`
		} `yaml:"figures"`
	}
	y.Zone = DefaultZone
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
		Name: y.Name, Title: y.Title, Schedule: y.Schedule, Zone: zone, Lookback: y.Lookback, CatchUp: DefaultCatchUp,
		Locale: y.Locale, Template: y.Template, Receivers: y.Receivers,
		Health: reporter.HealthThresholds{Excellent: y.Health.Excellent, Good: y.Health.Good},
	}
	if y.CatchUp != nil {
		d.CatchUp = *y.CatchUp
	}
	for _, f := range y.Figures {
		d.Figures = append(d.Figures, FigureDefinition{Name: f.Name, Expr: f.Expr, Compare: f.Compare})
	}
	return d.WithDefaults(), nil
}

// WithDefaults returns the definition with unset settings at their defaults, but for CatchUp, whose 0 means none.
func (d Definition) WithDefaults() Definition {
	if d.Title == "" {
		d.Title = DefaultTitle
	}
	if d.Lookback == 0 {
		d.Lookback = DefaultLookback
	}
	if d.Locale == "" {
		d.Locale = DefaultLocale
	}
	if d.Health == (reporter.HealthThresholds{}) {
		d.Health = DefaultHealth
	}
	return d
}

// A report's name is a part of delivery keys and file names.
var (
	reportName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$`)
	figureName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// Validate returns every fault of the definition, joined. It does not look into expressions; see CheckExpr.
func (d Definition) Validate() error {
	var errs []error
	fault := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("report %q: "+format, append([]any{d.Name}, a...)...))
	}
	if !reportName.MatchString(d.Name) {
		fault("name: want letters, digits, - and _, at most 63")
	}
	if d.Zone == nil {
		fault("zone is missing")
	} else if _, err := ParseSchedule(d.Schedule, d.Zone); err != nil {
		fault("%w", err)
	}
	if d.Lookback <= 0 {
		fault("lookback %v: want more than 0", d.Lookback)
	}
	if d.CatchUp < 0 {
		fault("catch_up %v is negative", d.CatchUp)
	}
	if h := d.Health; h.Good < 0 || h.Excellent > 1 || h.Good > h.Excellent {
		fault("health: want 0 <= good <= excellent <= 1, have good %v and excellent %v", h.Good, h.Excellent)
	}
	if len(d.Figures) == 0 {
		fault("has no figures")
	}
	seen := map[string]bool{}
	for _, f := range d.Figures {
		if !figureName.MatchString(f.Name) {
			fault("figure %q: name: want lower-case letters, digits and _", f.Name)
		}
		if strings.TrimSpace(f.Expr) == "" {
			fault("figure %q: expr is missing", f.Name)
		}
		if f.Compare < 0 {
			fault("figure %q: compare %v is negative", f.Name, f.Compare)
		}
		for _, name := range f.names() {
			if seen[name] {
				fault("figure %q is there twice", name)
			}
			seen[name] = true
		}
	}
	return errors.Join(errs...)
}

func (f FigureDefinition) names() []string {
	if f.Compare == 0 {
		return []string{f.Name}
	}
	return []string{f.Name, f.Name + BeforeSuffix}
}

// CheckExpr parses an expression as Prometheus does. Servers that extend PromQL take more, so that its error is only a
// warning where the reports are asked of such a server.
func CheckExpr(expr string) error {
	p := parser.NewParser(parser.Options{EnableExperimentalFunctions: true})
	e, err := p.ParseExpr(expr)
	if err != nil {
		return fmt.Errorf("expr %q: %w", expr, err)
	}
	if t := e.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		return fmt.Errorf("expr %q: gives a %s, want an instant vector or a scalar", expr, parser.DocumentedType(t))
	}
	return nil
}

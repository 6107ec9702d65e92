package reporter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Section is a part of a report's text. Its YAML is the format of the configuration.
type Section struct {
	Name  string `yaml:"name"`
	Title Words  `yaml:"title"`
	Icon  string `yaml:"icon"`
	Hide  bool   `yaml:"hide"`
	Lines []Line `yaml:"figures"`
}

// DecodedOver is called after a section of the configuration was decoded over the builtin section of its name.
func (*Section) DecodedOver() {}

// Line is a figure, a ratio of figures, or a list of the largest parts of a figure.
type Line struct {
	Name    string          `yaml:"name"`
	Title   Words           `yaml:"title"`
	Hide    bool            `yaml:"hide"`
	Expr    string          `yaml:"expr"`     // PromQL; "" if the line is a ratio
	Compare []time.Duration `yaml:"compare"`  // the change against the value at these durations before the due time is shown
	EachDay bool            `yaml:"each_day"` // sum of the values at the same hour of each day of the lookback
	Ratio   *Ratio          `yaml:"ratio"`
	List    *List           `yaml:"list"`
	Format  Format          `yaml:"format"`
	Target  Target          `yaml:"target"`
	// Names of other figures of the report. The value is also shown as a percentage of ShareOf, with the age of the time Oldest,
	// and with the number of values SampleSize.
	ShareOf    string `yaml:"share_of"`
	Oldest     string `yaml:"oldest"`
	SampleSize string `yaml:"sample_size"`
	// OnlyIf names a figure of the report: the line is omitted if that figure is 0.
	OnlyIf   string `yaml:"only_if"`
	Strong   bool   `yaml:"strong"`    // in bold
	SameLine bool   `yaml:"same_line"` // in the row of the previous line
	Builtin  bool   `yaml:"-"`         // omitted if nothing is configured for it
}

// DecodedOver is called after a line of the configuration was decoded over the builtin line of its name: it is the user's then.
func (l *Line) DecodedOver() { l.Builtin = false }

// Ratio divides a figure by the sum of figures.
type Ratio struct {
	Part string   `yaml:"part"` // name of a figure
	Of   []string `yaml:"of"`   // names of figures
}

// List shows the parts of a figure, the largest first.
type List struct {
	Top  int    `yaml:"top"`  // number of parts
	Rest bool   `yaml:"rest"` // the sum of the other parts is shown last
	Of   string `yaml:"of"`   // name of the total: an empty list is shown as "—" if the total is 0, else as no data
	// With adds values of other figures to each part. Values gives titles to label values.
	With   []Beside     `yaml:"with"`
	Values []LabelValue `yaml:"values"`
}

// Beside is a figure that is shown with each part of a list: its sample with the same labels, if it has one.
type Beside struct {
	Figure     string `yaml:"figure"`
	Title      Words  `yaml:"title"`
	Format     Format `yaml:"format"`
	SampleSize string `yaml:"sample_size"` // figure with the same labels: the number of values it was computed from
}

// LabelValue is the title of a label value.
type LabelValue struct {
	Value string `yaml:"value"`
	Title Words  `yaml:"title"`
}

// Format is the form in which a value is written. The zero value means FormatNumber.
type Format string

// The formats.
const (
	FormatNumber   Format = "number"
	FormatCount    Format = "count"    // a number with a counting word, where the language has one
	FormatPercent  Format = "percent"  // of a ratio 0..1
	FormatDuration Format = "duration" // of seconds
	FormatAge      Format = "age"      // from a time, in seconds since 1970, to the due time
	FormatBytes    Format = "bytes"
)

// Formats lists all formats.
var Formats = []Format{FormatNumber, FormatCount, FormatPercent, FormatDuration, FormatAge, FormatBytes}

// Words is a text for all languages, or one for each. Its YAML is a string, or a mapping from locale to string.
type Words struct {
	Text string            // key of a builtin word, else the text itself
	By   map[string]string // by locale
}

// UnmarshalYAML reads a string or a mapping from locale to string.
func (w *Words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		w.Text = n.Value
		return nil
	}
	return n.Decode(&w.By)
}

// Empty reports whether there is no text in any language. A blank text counts as none.
func (w Words) Empty() bool { return strings.TrimSpace(w.In(DefaultFallbackLocale)) == "" }

// In returns the text in a language. If it has none, it returns the text in DefaultFallbackLocale, else in the first locale that has
// one.
func (w Words) In(locale string) string {
	for _, l := range append([]string{locale, DefaultFallbackLocale}, slices.Sorted(maps.Keys(w.By))...) {
		if s := w.By[l]; strings.TrimSpace(s) != "" {
			return s
		}
	}
	return w.Text
}

// Target is the range that a value should be in. The zero value means none. Its YAML is a string such as ">= 0.2".
type Target struct {
	Op    string // >=, <=, > or <
	Value float64
}

// UnmarshalYAML reads a string such as ">= 0.2".
func (t *Target) UnmarshalYAML(n *yaml.Node) error {
	parsed, err := ParseTarget(n.Value)
	*t = parsed
	return err
}

// ParseTarget reads a string such as ">= 0.2".
func ParseTarget(s string) (Target, error) {
	for _, op := range []string{">=", "<=", ">", "<"} {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(s), op); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil || v-v != 0 { // not a finite number
				return Target{}, fmt.Errorf("target %q: want a number after %s", s, op)
			}
			return Target{op, v}, nil
		}
	}
	return Target{}, errors.New(`want a comparison such as ">= 0.2", with >=, <=, > or <`)
}

// Met reports whether a value meets the target, which must not be zero.
func (t Target) Met(v float64) bool {
	switch t.Op {
	case ">=":
		return v >= t.Value
	case "<=":
		return v <= t.Value
	case ">":
		return v > t.Value
	}
	return v < t.Value
}

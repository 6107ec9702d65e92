package reporter

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Section is a part of a report's text. It is written in the configuration as it stands here.
type Section struct {
	Name  string `yaml:"name"`
	Title Words  `yaml:"title"`
	Icon  string `yaml:"icon"`
	Hide  bool   `yaml:"hide"`
	Lines []Line `yaml:"figures"`
}

// DecodedOver is called once a section of the configuration was decoded over the builtin section of its name.
func (*Section) DecodedOver() {}

// Line is a figure, a ratio of figures, or a list: the largest parts of a figure.
type Line struct {
	Name    string          `yaml:"name"`
	Title   Words           `yaml:"title"`
	Hide    bool            `yaml:"hide"`
	Expr    string          `yaml:"expr"`     // PromQL; without one the line is a ratio
	Compare []time.Duration `yaml:"compare"`  // asked so long before the due time, too, for the change
	EachDay bool            `yaml:"each_day"` // asked at the same hour of each day of the lookback, and summed
	Ratio   *Ratio          `yaml:"ratio"`
	List    *List           `yaml:"list"`
	Format  Format          `yaml:"format"`
	Target  Target          `yaml:"target"`
	// Names of other figures of the report: ShareOf is the whole that the percentage behind the value is of, Oldest a time whose
	// age is shown, SampleSize how many values it was made of.
	ShareOf    string `yaml:"share_of"`
	Oldest     string `yaml:"oldest"`
	SampleSize string `yaml:"sample_size"`
	// OnlyIf names a figure of the report: where that is 0, the line is left out.
	OnlyIf   string `yaml:"only_if"`
	Strong   bool   `yaml:"strong"`    // in bold
	SameLine bool   `yaml:"same_line"` // behind the line before
	Builtin  bool   `yaml:"-"`         // may be omitted where nothing is configured for it
}

// DecodedOver is called once a line of the configuration was decoded over the builtin line of its name, and makes it the user's.
func (l *Line) DecodedOver() { l.Builtin = false }

// Ratio divides a figure by the sum of figures, by their names.
type Ratio struct {
	Part string   `yaml:"part"`
	Of   []string `yaml:"of"`
}

// List shows the parts of a figure, the largest first.
type List struct {
	Top  int    `yaml:"top"`
	Rest bool   `yaml:"rest"` // what is left is summed in a last part
	Of   string `yaml:"of"`   // the figure that says whether an empty list is one of nothing, or without data
	// With is what other figures say of each part, and Values what label values are called.
	With   []Beside     `yaml:"with"`
	Values []LabelValue `yaml:"values"`
}

// Beside is a figure that is shown behind each part of a list: its sample of the same labels, where it has one.
type Beside struct {
	Figure     string `yaml:"figure"`
	Title      Words  `yaml:"title"`
	Format     Format `yaml:"format"`
	SampleSize string `yaml:"sample_size"` // a figure of the same labels: how many values it was made of
}

// LabelValue is what a label's value is called.
type LabelValue struct {
	Value string `yaml:"value"`
	Title Words  `yaml:"title"`
}

// Format says how a value is written. The zero value is FormatNumber.
type Format string

// The formats.
const (
	FormatNumber   Format = "number"
	FormatCount    Format = "count"    // a number with a counting word
	FormatPercent  Format = "percent"  // of a ratio 0..1
	FormatDuration Format = "duration" // of seconds
	FormatAge      Format = "age"      // of a time in seconds since 1970
	FormatBytes    Format = "bytes"
)

// Formats are all of them.
var Formats = []Format{FormatNumber, FormatCount, FormatPercent, FormatDuration, FormatAge, FormatBytes}

// Words is a text in each language, or in one for all. As YAML it is a mapping from locale to text, or a text: the key of a
// builtin word, else the text itself.
type Words struct {
	Text string
	By   map[string]string // by locale
}

// UnmarshalYAML reads a text or a mapping.
func (w *Words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		w.Text = n.Value
		return nil
	}
	return n.Decode(&w.By)
}

// Empty says whether there is no text.
func (w Words) Empty() bool { return w.Text == "" && len(w.By) == 0 }

// In returns the text in a language, or else in English, or in the first language there is.
func (w Words) In(locale string) string {
	if len(w.By) == 0 {
		return w.Text
	}
	for _, l := range []string{locale, DefaultFallbackLocale} {
		if s, ok := w.By[l]; ok {
			return s
		}
	}
	var names []string
	for l := range w.By {
		names = append(names, l)
	}
	return w.By[slices.Min(names)]
}

// DefaultFallbackLocale is the language of a text that is not there in another one.
const DefaultFallbackLocale = "en"

// Target is what a value should be. The zero value means none. As YAML it is a text such as ">= 0.2".
type Target struct {
	Op    string // >=, <=, > or <
	Value float64
}

// UnmarshalYAML reads a text such as ">= 0.2".
func (t *Target) UnmarshalYAML(n *yaml.Node) error {
	parsed, err := ParseTarget(n.Value)
	*t = parsed
	return err
}

// ParseTarget reads a text such as ">= 0.2".
func ParseTarget(s string) (Target, error) {
	for _, op := range []string{">=", "<=", ">", "<"} {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(s), op); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil || v-v != 0 { // not a finite number
				return Target{}, fmt.Errorf("target %q: want a number behind %s", s, op)
			}
			return Target{op, v}, nil
		}
	}
	return Target{}, errors.New(`want a comparison such as ">= 0.2", with >=, <=, > or <`)
}

// Met says whether a value is as it should be. There must be a target.
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

// Package matcher parses matchers in Alertmanager's syntax: texts come in, matchers go out.
package matcher

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// Parse parses each text as UTF-8 matchers and, if that fails, as classic ones, like Alertmanager
// (https://prometheus.io/docs/alerting/latest/configuration/#matchers). An alert has to match all that are returned.
func Parse(texts ...string) (labels.Matchers, error) {
	var out labels.Matchers
	for _, text := range texts {
		some, err := parse.Matchers(text)
		if err != nil {
			classic, classicErr := labels.ParseMatchers(text)
			if classicErr != nil {
				return nil, fmt.Errorf("matcher %q: %w", text, err)
			}
			some = classic
		}
		out = append(out, some...)
	}
	return out, nil
}

// ParseStrict is Parse for matchers of our own configuration. It also refuses matchers that Alertmanager accepts but nobody intends: a
// text without a matcher, which would match every alert, and a value in single quotes, which would be part of the value.
func ParseStrict(texts ...string) (labels.Matchers, error) {
	var out labels.Matchers
	for _, text := range texts {
		some, err := Parse(text)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			return nil, fmt.Errorf("matcher %q is empty and would match every alert; write name=\"value\"", text)
		}
		for _, one := range some {
			rest, opened := strings.CutPrefix(one.Value, "'")
			inner, closed := strings.CutSuffix(rest, "'")
			if opened && closed && !strings.Contains(text, strconv.Quote(one.Value)) {
				return nil, fmt.Errorf("matcher %q: single quotes are a part of the value; write %s%s%q", text, one.Name, one.Type, inner)
			}
		}
		out = append(out, some...)
	}
	return out, nil
}

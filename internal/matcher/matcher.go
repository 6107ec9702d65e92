// Package matcher reads matchers in Alertmanager's syntax: texts come in, matchers go out.
package matcher

import (
	"fmt"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// Parse reads UTF-8 matchers, and classic ones where that fails, as Alertmanager does
// (https://prometheus.io/docs/alerting/latest/configuration/#matchers). All of them have to match.
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

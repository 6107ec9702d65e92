package reporter_test

import (
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestWordsInALanguage(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		words reporter.Words
		want  string // in zh-TW
		empty bool
	}{
		"one for all":            {reporter.Words{Text: "SLO"}, "SLO", false},
		"its own":                {reporter.Words{By: map[string]string{"en": "Level", "zh-TW": "水準"}}, "水準", false},
		"English for another":    {reporter.Words{By: map[string]string{"de": "Stufe", "en": "Level"}}, "Level", false},
		"the first for English":  {reporter.Words{By: map[string]string{"fr": "Niveau", "de": "Stufe"}}, "Stufe", false},
		"another for a blank":    {reporter.Words{By: map[string]string{"zh-TW": " ", "en": "Level"}}, "Level", false},
		"none":                   {reporter.Words{}, "", true},
		"blank in all languages": {reporter.Words{By: map[string]string{"zh-TW": " ", "en": ""}}, "", true},
	} {
		if got := tt.words.In("zh-TW"); got != tt.want || tt.words.Empty() != tt.empty {
			t.Errorf("%s: %q, empty %v; want %q, %v", name, got, tt.words.Empty(), tt.want, tt.empty)
		}
	}
}

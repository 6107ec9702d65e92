package chat

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	idMax    = 60 // characters of an incident's id, of a title and of a name in an answer
	titleMax = 100
	nameMax  = 40
)

// words are the texts of a chat's locale, with its zone.
type words struct {
	i18n.Words
	zone *time.Location
}

// words returns the texts in the locale of the chat, which was checked with the configuration.
func (a *accountWork) words(s scope) words {
	w, err := a.l.bundle.Words(s.locale(), i18n.Messages)
	if err != nil {
		w, _ = a.l.bundle.Words(reporter.DefaultLocale, i18n.Messages)
	}
	zone := a.cfg.Zone
	if zone == nil {
		zone = time.UTC
	}
	return words{w, zone}
}

func (w words) at(t time.Time) string { return t.In(w.zone).Format(i18n.Minute) }

// esc cuts and escapes untrusted text for a message.
func esc(s string, limit int) string { return markup.Escape(cut(s, limit)) }

// cut joins the lines of a text, and cuts it to limit characters.
func cut(s string, limit int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

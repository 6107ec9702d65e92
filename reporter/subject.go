package reporter

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Subject is the subject of a report's delivery: a report and its due time. As text it is "NAME@DUE", with DUE in RFC 3339, UTC,
// to the second.
type Subject struct {
	Report string
	Due    time.Time
}

// SubjectDueLen is the length of DUE in bytes.
const SubjectDueLen = len("2006-01-02T15:04:05Z")

func (s Subject) String() string { return s.Report + "@" + s.Due.UTC().Format(time.RFC3339) }

// ParseSubject reads "NAME@DUE". NAME may contain @.
func ParseSubject(text string) (Subject, error) {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return Subject{}, errors.New("report subject: want NAME@DUE, such as daily@2026-04-22T00:00:00Z")
	}
	due, err := time.Parse(time.RFC3339, text[at+1:])
	if err != nil {
		return Subject{}, fmt.Errorf("report subject: %w", err)
	}
	return Subject{Report: text[:at], Due: due}, nil
}

// SubjectRange returns bounds for the texts of a report's subjects with a due time before the given one: from <= text < to. The
// zero time means no bound.
func SubjectRange(report string, before time.Time) (from, to string) {
	from = report + "@"
	if before.IsZero() {
		return from, from + ":" // sorts after the digits that a due time begins with
	}
	return from, Subject{report, before}.String()
}

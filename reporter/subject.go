package reporter

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Subject is what the delivery of a report is about: the report as of one due time. As text it is "NAME@DUE", with DUE in
// RFC 3339, UTC, to the second.
type Subject struct {
	Report string
	Due    time.Time
}

// SubjectDueLen is the length of DUE.
const SubjectDueLen = len("2006-01-02T15:04:05Z")

func (s Subject) String() string { return s.Report + "@" + s.Due.UTC().Format(time.RFC3339) }

// ParseSubject reads the text of a subject. The report's name may hold @, its due time cannot.
func ParseSubject(text string) (Subject, error) {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return Subject{}, errors.New("report subject: want NAME@DUE")
	}
	due, err := time.Parse(time.RFC3339, text[at+1:])
	if err != nil {
		return Subject{}, fmt.Errorf("report subject: %w", err)
	}
	return Subject{Report: text[:at], Due: due}, nil
}

// SubjectRange returns between which texts those of a report's due times before that moment are: from included, to not. The
// zero time is no bound.
func SubjectRange(report string, before time.Time) (from, to string) {
	from = report + "@"
	if before.IsZero() {
		return from, from + ":" // which sorts behind the digits that a due time begins with
	}
	return from, Subject{report, before}.String()
}

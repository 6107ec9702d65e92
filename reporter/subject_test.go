package reporter_test

import (
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestSubject(t *testing.T) {
	t.Parallel()
	taipei := time.FixedZone("", 8*3600)
	due := time.Date(2026, 4, 22, 8, 0, 0, 0, taipei)
	s := reporter.Subject{Report: "a@b", Due: due}
	if got := s.String(); got != "a@b@2026-04-22T00:00:00Z" || len(got) != len("a@b@")+reporter.SubjectDueLen {
		t.Errorf("subject is %q", got)
	}
	got, err := reporter.ParseSubject(s.String())
	if err != nil || got.Report != "a@b" || !got.Due.Equal(due) {
		t.Errorf("parsed: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "daily", "daily@", "daily@yesterday", "daily@2026-04-22"} {
		if _, err := reporter.ParseSubject(bad); err == nil {
			t.Errorf("%q was parsed", bad)
		}
	}
	for name, tc := range map[string]struct {
		before time.Time
		text   string
		want   bool
	}{
		"without a bound":   {time.Time{}, s.String(), true},
		"before the bound":  {due.Add(time.Second), s.String(), true},
		"at the bound":      {due, s.String(), false},
		"of another report": {time.Time{}, "a@2026-04-22T00:00:00Z", false},
	} {
		if from, to := reporter.SubjectRange("a@b", tc.before); (tc.text >= from && tc.text < to) != tc.want {
			t.Errorf("%s: %q to %q", name, from, to)
		}
	}
}

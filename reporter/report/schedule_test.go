package report_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter/report"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func schedule(t *testing.T, expr string, z *time.Location) report.Schedule {
	t.Helper()
	s, err := report.ParseSchedule(expr, z)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDueTimes(t *testing.T) {
	t.Parallel()
	const layout = "2006-01-02T15:04:05Z07:00"
	tests := map[string]struct {
		expr, zone, after string
		want              []string
	}{
		"Taipei": {"0 8 * * *", "Asia/Taipei", "2026-04-21T07:59:59+08:00",
			[]string{"2026-04-21T08:00:00+08:00", "2026-04-22T08:00:00+08:00", "2026-04-23T08:00:00+08:00"}},
		"strictly after": {"0 8 * * *", "Asia/Taipei", "2026-04-21T08:00:00+08:00", []string{"2026-04-22T08:00:00+08:00"}},
		"over New Year":  {"0 8 * * *", "Asia/Taipei", "2026-12-31T08:00:00+08:00", []string{"2027-01-01T08:00:00+08:00"}},
		"daylight saving begins after eight": {"0 8 * * *", "America/New_York", "2026-03-06T12:00:00-05:00",
			[]string{"2026-03-07T08:00:00-05:00", "2026-03-08T08:00:00-04:00", "2026-03-09T08:00:00-04:00"}},
		"daylight saving ends": {"0 8 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T08:00:00+01:00", "2026-10-26T08:00:00+01:00"}},
		"skipped hour": {"30 2 * * *", "America/New_York", "2026-03-07T12:00:00-05:00",
			[]string{"2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"}},
		"repeated hour comes once": {"30 1 * * *", "America/New_York", "2026-10-31T12:00:00-04:00",
			[]string{"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"}},
		"half-hour zone": {"0 8 * * *", "Asia/Kolkata", "2026-04-21T00:00:00+05:30", []string{"2026-04-21T08:00:00+05:30"}},
		"half an hour of daylight saving": {"0 8 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30",
			[]string{"2026-10-04T08:00:00+11:00", "2026-10-05T08:00:00+11:00"}},
		"midnight that does not exist": {"0 0 * * *", "America/Santiago", "2026-09-05T12:00:00-04:00",
			[]string{"2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"}},
		"Mondays": {"0 8 * * mon", "Asia/Taipei", "2026-04-21T00:00:00+08:00", []string{"2026-04-27T08:00:00+08:00"}},
		"the first, and Mondays too": {"0 8 1 * 1", "Asia/Taipei", "2026-04-28T00:00:00+08:00",
			[]string{"2026-05-01T08:00:00+08:00", "2026-05-04T08:00:00+08:00"}},
		"leap day": {"0 8 29 2 *", "Asia/Taipei", "2026-04-21T00:00:00+08:00", []string{"2028-02-29T08:00:00+08:00"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := zone(t, tt.zone)
			s := schedule(t, tt.expr, z)
			at, err := time.Parse(layout, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range tt.want {
				at, _ = s.Next(at)
				got = append(got, at.In(z).Format(layout))
				if latest, ok := s.Latest(at, 0); !ok || !latest.Equal(at) {
					t.Errorf("Latest at %v is %v, want the due time itself", at, latest)
				}
				if latest, ok := s.Latest(at.Add(time.Minute), time.Hour); !ok || !latest.Equal(at) {
					t.Errorf("Latest after %v is %v", at, latest)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryDayOfFourYearsIsDueOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Asia/Taipei", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"} {
		for _, expr := range []string{"0 8 * * *", "30 2 * * *", "15 0 * * *"} {
			z := zone(t, name)
			s := schedule(t, expr, z)
			at := time.Date(2026, 1, 1, 12, 0, 0, 0, z)
			for day := 2; day < 4*365; day++ {
				at, _ = s.Next(at)
				want := time.Date(2026, 1, day, 12, 0, 0, 0, z).Format(time.DateOnly)
				if got := at.In(z).Format(time.DateOnly); got != want {
					t.Fatalf("%s in %s: due on %v, want once on %s", expr, name, at.In(z), want)
				}
			}
		}
	}
}

func TestLatestIsNoOlderThanItMayBe(t *testing.T) {
	t.Parallel()
	z := zone(t, "Asia/Taipei")
	s := schedule(t, "0 8 * * *", z)
	due := time.Date(2026, 4, 22, 8, 0, 0, 0, z)
	for _, tt := range []struct {
		at   time.Time
		want bool
	}{
		{due.Add(-time.Nanosecond), false},
		{due, true},
		{due.Add(12 * time.Hour), true},
		{due.Add(12*time.Hour + time.Nanosecond), false},
	} {
		if got, ok := s.Latest(tt.at, 12*time.Hour); ok != tt.want || (ok && !got.Equal(due)) {
			t.Errorf("at %v: %v %v, want %v", tt.at, got, ok, tt.want)
		}
	}
}

func TestBadSchedules(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{
		"", "8", "0 8 * *", "0 0 8 * * *", "61 8 * * *", "@every 1h", "CRON_TZ=UTC 0 8 * * *", "0 8 30 2 *", "a b c d e",
	} {
		if _, err := report.ParseSchedule(expr, time.UTC); err == nil {
			t.Errorf("%q is taken", expr)
		}
	}
}

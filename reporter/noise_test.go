package reporter_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestWorkingHours(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	week := []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	tests := map[string]struct {
		hours        reporter.WorkingHours
		since, until string
		want         string
	}{
		"none": {reporter.WorkingHours{}, "2026-04-20T00:00:00Z", "2026-04-27T00:00:00Z", ""},
		"from Friday to Monday": {
			reporter.WorkingHours{Days: week, From: 9 * time.Hour, To: 18 * time.Hour}, "2026-04-24T12:00:00Z", "2026-04-27T10:00:00Z",
			"04-24T09:00Z 04-24T18:00Z, 04-27T09:00Z 04-27T18:00Z",
		},
		"over midnight, of the day on which they begin": {
			reporter.WorkingHours{Days: []time.Weekday{time.Friday}, From: 22 * time.Hour, To: 6 * time.Hour}, "2026-04-25T00:00:00Z",
			"2026-04-26T00:00:00Z", "04-24T22:00Z 04-25T06:00Z",
		},
		"the whole day": {
			reporter.WorkingHours{Days: []time.Weekday{time.Saturday}, To: 24 * time.Hour}, "2026-04-20T00:00:00Z", "2026-04-27T00:00:00Z",
			"04-25T00:00Z 04-26T00:00Z",
		},
		"a day of 23 hours": {
			reporter.WorkingHours{Days: []time.Weekday{time.Saturday, time.Sunday}, From: time.Hour, To: 4 * time.Hour, Zone: berlin},
			"2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z", "03-28T01:00+01:00 03-28T04:00+01:00, 03-29T01:00+01:00 03-29T04:00+02:00",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := func(s string) time.Time {
				moment, err := time.Parse(time.RFC3339, s)
				if err != nil {
					t.Fatal(err)
				}
				return moment
			}
			var got []string
			for _, p := range tt.hours.Between(at(tt.since), at(tt.until)) {
				got = append(got, p.Since.Format("01-02T15:04Z07:00")+" "+p.Until.Format("01-02T15:04Z07:00"))
			}
			if all := strings.Join(got, ", "); all != tt.want {
				t.Errorf("hours are %q, want %q", all, tt.want)
			}
		})
	}
}

func TestNoiseCandidates(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		row  reporter.NoiseRow
		want string
	}{
		"two of two flap, which is a coincidence": {reporter.NoiseRow{Alerts: 1, Episodes: 2, Flaps: 2, Ended: 2, Short: 2}, "[]"},
		"half of them flap":                       {reporter.NoiseRow{Alerts: 1, Episodes: 4, Flaps: 2, Ended: 4, Short: 1}, "[{flapping 0.5}]"},
		"few are known one by one":                {reporter.NoiseRow{Alerts: 1, Episodes: 900, Folded: 898, Flaps: 2, Ended: 900, Short: 2}, "[]"},
		"short and at night": {
			reporter.NoiseRow{Alerts: 1, Episodes: 10, OffHours: 9, Ended: 8, Short: 6}, "[{off_hours 0.9} {short 0.75}]",
		},
		"ten alerts fire for a tenth of the week each": {reporter.NoiseRow{Alerts: 10, Episodes: 10, Firing: 168 * time.Hour}, "[]"},
		"one fires nearly all week":                    {reporter.NoiseRow{Alerts: 1, Episodes: 3, Firing: 126 * time.Hour}, "[{standing 0.75}]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fmt.Sprint(tt.row.Candidate(reporter.NoiseWindow)); got != tt.want {
				t.Errorf("reasons are %s, want %s", got, tt.want)
			}
		})
	}
}

// Shares and means need at least three values.
func TestAcknowledgedOfFew(t *testing.T) {
	t.Parallel()
	few := reporter.NoiseRow{Episodes: 2, Acknowledged: 2, AcknowledgedIncidents: 2, ToAcknowledge: time.Hour}
	if _, known := few.AcknowledgedShare(); known {
		t.Error("a share of two episodes")
	}
	if _, known := few.MeanAcknowledgement(); known {
		t.Error("a mean of two incidents")
	}
	enough := reporter.NoiseRow{Episodes: 4, Acknowledged: 3, AcknowledgedIncidents: 3, ToAcknowledge: time.Hour}
	if share, known := enough.AcknowledgedShare(); !known || share != 0.75 {
		t.Error(share, known)
	}
	if mean, known := enough.MeanAcknowledgement(); !known || mean != 20*time.Minute {
		t.Error(mean, known)
	}
}

package reporter_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Documents have the acknowledgement of an incident, and notes if they are about one incident.
func TestDocumentsOfWhatPeopleDid(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 4, 22, 9, 0, 0, 0, time.FixedZone("", 8*3600))
	ack := func(id int64, name, text string) reporter.Entry {
		return reporter.Entry{
			ID: id, Kind: reporter.EntryAcknowledgement, Author: name, Text: text, Supersedes: id - 1, WrittenAt: at.Add(time.Duration(id) * time.Minute),
		}
	}
	for name, tc := range map[string]struct {
		entries []reporter.Entry
		want    string
	}{
		"nobody":       {nil, `null`},
		"notes only":   {[]reporter.Entry{{ID: 1, Kind: reporter.EntryNote, Text: "x", WrittenAt: at}}, `null`},
		"acknowledged": {[]reporter.Entry{ack(1, "王小明", "acknowledged")}, `{"by":"王小明","at":"2026-04-22T01:01:00Z","first_by":"王小明","first_at":"2026-04-22T01:01:00Z"}`},
		"released":     {[]reporter.Entry{ack(1, "ann", "acknowledged"), ack(2, "bob", "")}, `{"by":"","at":null,"first_by":"ann","first_at":"2026-04-22T01:01:00Z"}`},
	} {
		row := reporter.IncidentRow{Incident: reporter.Incident{ID: "I"}}.Document("", tc.entries)
		of := reporter.Postmortem{Acknowledgement: reporter.AcknowledgementOf(tc.entries)}.Document()
		for kind, d := range map[string]reporter.IncidentDocument{"list": row, "postmortem": of} {
			got, err := json.Marshal(d.Acknowledgement)
			if err != nil || string(got) != tc.want {
				t.Errorf("%s, %s: %s, %v", name, kind, got, err)
			}
			if _, is := d.Written[reporter.EntryAcknowledgement]; is {
				t.Errorf("%s, %s: an acknowledgement is no text of a person", name, kind)
			}
		}
	}
	var notes []reporter.Entry
	for n := range 60 {
		notes = append(notes, reporter.Entry{ID: int64(n + 1), Kind: reporter.EntryNote, Author: "ann", Text: fmt.Sprint(n), WrittenAt: at})
	}
	d := reporter.Postmortem{PeopleNotes: notes}.Document()
	want := reporter.TextDocument{Text: "10", Author: "ann", WrittenAt: at.UTC()}
	if diff := cmp.Diff(want, d.Notes[0]); diff != "" || len(d.Notes) != 50 {
		t.Error(len(d.Notes), diff)
	}
}

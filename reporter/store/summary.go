package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// titleMax and wordMax bound the characters of a summary, some of which stand in indices.
	titleMax = 500
	wordMax  = 100
	// searchedAlerts is how many of an incident's first alerts can be found by their text, and searchedBytes how much of it.
	searchedAlerts = 20
	searchedBytes  = 2000
)

// summary is what lists show of an incident and filter it by: it follows from alerts, which lists need not read.
type summary struct {
	title    string
	severity reporter.Severity
	team     string
}

// summarize is the summary of an incident. Of one that is loaded in part, an alert counts only if it is more severe than those
// that the summary so far was made of.
func summarize(in reporter.Incident, was summary) summary {
	now := summary{storable(in.Title(), titleMax), reporter.Severity(storable(string(in.Severity()), wordMax)), storable(in.Team(), wordMax)}
	if !in.Selected || was == (summary{}) || now.severity.Rank() < was.severity.Rank() {
		return now
	}
	if was.team == "" {
		was.team = now.team
	}
	return was
}

// storable is the first characters of a text, at most limit, without what PostgreSQL does not store.
func storable(s string, limit int) string {
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	}
	if len(s) <= limit {
		return s
	}
	n := 0
	for at := range s {
		if n++; n > limit {
			return s[:at]
		}
	}
	return s
}

// searchText is what an incident is found by, in lower case: a line each for its id, its group labels, and the titles,
// labels and descriptions of its first alerts.
func searchText(in reporter.Incident) string {
	var b strings.Builder
	seen := map[string]bool{}
	add := func(line string) {
		line = storable(strings.ToLower(line), searchedBytes)
		if line == "" || seen[line] || b.Len()+len(line) >= searchedBytes {
			return
		}
		seen[line] = true
		b.WriteString(line)
		b.WriteByte('\n')
	}
	pairs := func(m map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			add(k + "=" + m[k])
		}
	}
	add(in.ID)
	pairs(in.GroupLabels)
	alerts := in.Alerts[:min(len(in.Alerts), searchedAlerts)]
	for _, a := range alerts {
		add(a.Title())
		pairs(a.Labels)
	}
	for _, a := range alerts {
		add(a.Description())
	}
	return b.String()
}

// textTable holds what incidents are found by, apart from them: a search reads all of it.
var textTable = table{"incident_texts", columns("incident_id"), columns("text")}

// summariesAtOnce is how many incidents a migration reads at a time.
const summariesAtOnce = 500

// summarizeAll fills in the summaries and the texts of incidents that were stored without.
func summarizeAll(ctx context.Context, q querier) error {
	for last := ""; ; {
		ids, err := texts(ctx, q, `SELECT id FROM incidents WHERE id > $1 ORDER BY id LIMIT $2`, last, summariesAtOnce)
		if err != nil || len(ids) == 0 {
			return err
		}
		text := q.upsert(textTable)
		for _, id := range ids {
			in, err := forSummary(ctx, q, id)
			if err != nil {
				return err
			}
			sum := summarize(in, summary{})
			_, err = q.exec(ctx, `UPDATE incidents SET title = $1, severity = $2, team = $3 WHERE id = $4`,
				sum.title, string(sum.severity), sum.team, id)
			if err == nil {
				err = text.add(ctx, id, searchText(in))
			}
			if err != nil {
				return fmt.Errorf("incident %s: %w", id, err)
			}
		}
		if err := text.end(ctx); err != nil {
			return fmt.Errorf("texts: %w", err)
		}
		last = ids[len(ids)-1]
	}
}

// forSummary reads what the summary of an incident needs: it is used by the migration that adds the columns, before any
// later one.
func forSummary(ctx context.Context, q querier, id string) (reporter.Incident, error) {
	in := reporter.Incident{ID: id}
	var group string
	if err := q.row(ctx, `SELECT group_labels FROM incidents WHERE id = $1`, id).Scan(&group); err != nil {
		return in, fmt.Errorf("incident %s: %w", id, err)
	}
	rows, err := q.query(ctx, `SELECT labels, annotations FROM alerts WHERE incident_id = $1 ORDER BY starts_at, fingerprint`, id)
	if err != nil {
		return in, fmt.Errorf("alerts of %s: %w", id, err)
	}
	defer rows.Close()
	if err := json.Unmarshal([]byte(group), &in.GroupLabels); err != nil {
		return in, fmt.Errorf("incident %s: %w", id, err)
	}
	for rows.Next() {
		var labels, annotations string
		if err := rows.Scan(&labels, &annotations); err != nil {
			return in, fmt.Errorf("alerts of %s: %w", id, err)
		}
		var a reporter.Alert
		if err := json.Unmarshal([]byte(labels), &a.Labels); err != nil {
			return in, fmt.Errorf("alerts of %s: %w", id, err)
		}
		if err := json.Unmarshal([]byte(annotations), &a.Annotations); err != nil {
			return in, fmt.Errorf("alerts of %s: %w", id, err)
		}
		in.Alerts = append(in.Alerts, a)
	}
	if err := rows.Err(); err != nil {
		return in, fmt.Errorf("alerts of %s: %w", id, err)
	}
	return in, nil
}

package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func firing() *reporter.Incident {
	in := resolved("A")
	in.State, in.EndedAt, in.CloseReason = reporter.IncidentOpen, time.Time{}, ""
	return &in
}

// post sends a form as a user, "" for nobody, and returns the page, or where it leads.
func post(w world, user, path string, form url.Values) (code int, body string) {
	h, _ := pages(w, w)
	r, rec := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode())), httptest.NewRecorder()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		r.SetBasicAuth(user, "x")
	}
	h.ServeHTTP(rec, r)
	if rec.Code == http.StatusSeeOther {
		return rec.Code, rec.Header().Get("Location")
	}
	return rec.Code, rec.Body.String()
}

func TestAcknowledgeOnThePage(t *testing.T) {
	t.Parallel()
	w := world{entries: &[]reporter.Entry{}, incident: firing(), locale: "en"}
	shows := func(when string, want, not []string) {
		t.Helper()
		page := serve(w, "/incidents/A").Body.String()
		for _, s := range want {
			if !strings.Contains(page, s) {
				t.Errorf("%s the page does not show %q: %s", when, s, content(page))
			}
		}
		for _, s := range not {
			if strings.Contains(page, s) {
				t.Errorf("%s the page shows %q", when, s)
			}
		}
	}
	acknowledge, release := `action="/incidents/A/acknowledge"`, `action="/incidents/A/release"`
	shows("at first", []string{"Nobody takes care of it yet.", acknowledge}, []string{release, "✋ sre", "MTTA"})
	if code, _ := post(w, "", "/incidents/A/acknowledge", nil); code != http.StatusUnauthorized || len(*w.entries) != 0 {
		t.Errorf("without credentials: %d", code)
	}
	if code, to := post(w, "sre", "/incidents/A/acknowledge", nil); code != 303 || to != "/incidents/A?done=acknowledged" {
		t.Fatalf("acknowledge: %d %s", code, to)
	}
	shows("then", []string{"✋ sre", release, "MTTA 4m", "sre acknowledged", "History (1)"}, []string{acknowledge, "Nobody takes care"})
	if code, to := post(w, "sre", "/incidents/A/acknowledge", nil); code != 303 || to != "/incidents/A?done=acknowledged_before" {
		t.Errorf("the second: %d %s", code, to)
	}
	if code, to := post(w, "sre", "/incidents/A/release", nil); code != 303 || to != "/incidents/A?done=released" {
		t.Errorf("release: %d %s", code, to)
	}
	shows("released", []string{acknowledge, "sre released it", "First:", "MTTA 4m"}, []string{release, "✋ sre"})
	if code, to := post(w, "sre", "/incidents/A/release", nil); code != 303 || to != "/incidents/A?done=not_acknowledged" {
		t.Errorf("release again: %d %s", code, to)
	}
	history := serve(w, "/incidents/A/history").Body.String()
	for _, s := range []string{"Acknowledgement", "acknowledged", "released", "sre"} {
		if !strings.Contains(history, s) {
			t.Errorf("the history does not show %q", s)
		}
	}
	for done, says := range map[string]string{
		"acknowledged": "Acknowledged.", "released": "Released.", "acknowledged_before": "Somebody had", "not_acknowledged": "Nobody had", "note": "The note is saved.",
	} {
		if page := serve(w, "/incidents/A?done="+done).Body.String(); !strings.Contains(page, says) {
			t.Errorf("done=%s does not say %q", done, says)
		}
	}
	*w.entries = append(*w.entries, reporter.Entry{
		ID: 9, Kind: reporter.EntryAcknowledgement, Text: reporter.EntryAcknowledged, Author: "<i>bob</i>", AuthorKind: reporter.AuthorTelegram, WrittenAt: day,
	})
	shows("by a person of a chat", []string{"✋ &lt;i&gt;bob&lt;/i&gt;", release}, []string{"<i>bob"})
	w.incident = nil // it is over
	shows("at the end", nil, []string{acknowledge, release})
	for refusal, want := range map[error]int{
		reporter.ErrResolved: 409, reporter.ErrTooMany: 409, reporter.ErrNotFound: 404, errors.New("disk at /secret"): 500,
	} {
		w.refusal = fmt.Errorf("incident A: %w", refusal)
		for _, action := range []string{"acknowledge", "release"} {
			if code, body := post(w, "sre", "/incidents/A/"+action, nil); code != want || strings.Contains(body, "/secret") {
				t.Errorf("%s, %v: %d, want %d", action, refusal, code, want)
			}
		}
	}
	if code, _ := post(w, "sre", "/incidents/gone/acknowledge", nil); code != 404 {
		t.Errorf("of no incident: %d", code)
	}
	if code, _ := post(w, "sre", "/incidents/A/nothing", nil); code != 404 && code != 405 {
		t.Errorf("another action: %d", code)
	}
}

func TestNotesOnThePage(t *testing.T) {
	t.Parallel()
	w := world{entries: &[]reporter.Entry{}, locale: "en"}
	note := func(text string) (int, string) {
		return post(w, "sre", "/incidents/A/note", url.Values{"note": {text}})
	}
	if code, _ := post(w, "", "/incidents/A/note", url.Values{"note": {"x"}}); code != 401 || len(*w.entries) != 0 {
		t.Errorf("without credentials: %d", code)
	}
	if code, to := note("the <script>alert(1)</script>\r\n  log {{.}}\x1b[2J \u202edb"); code != 303 || to != "/incidents/A?done=note#written" {
		t.Fatalf("note: %d %s", code, to)
	}
	e := (*w.entries)[0]
	if e.Text != "the <script>alert(1)</script>\n  log {{.}}[2J db" || e.Author != "sre" || e.AuthorKind != reporter.AuthorPage || e.Kind != reporter.EntryNote || !e.WrittenAt.Equal(day) {
		t.Errorf("stored %+v", e)
	}
	if code, to := note("\r\n \t"); code != 303 || to != "/incidents/A?done=unchanged#written" || len(*w.entries) != 1 {
		t.Errorf("no text: %d %s", code, to)
	}
	if code, _ := note(strings.Repeat("磁", reporter.EntryMax)); code != 303 || len(*w.entries) != 2 {
		t.Errorf("the longest: %d", code)
	}
	long := strings.Repeat("磁", reporter.EntryMax+1)
	if code, body := note(long); code != 409 || !strings.Contains(body, "at most 4000 characters") || !strings.Contains(body, long) ||
		!strings.Contains(body, `action="/incidents/A/note"`) {
		t.Errorf("too long: %d, or what was typed is lost", code)
	}
	if code, _ := note("\xff"); code != 400 {
		t.Errorf("no text: %d", code)
	}
	if code, _ := note(strings.Repeat("x", 1<<20)); code != 413 {
		t.Errorf("a megabyte: %d", code)
	}
	page := serve(w, "/incidents/A").Body.String()
	for _, s := range []string{"the &lt;script&gt;alert(1)&lt;/script&gt;", `<li class="person">`, "sre: the &lt;script&gt;", `action="/incidents/A/note"`} {
		if !strings.Contains(page, s) {
			t.Errorf("the page does not show %q", s)
		}
	}
	if strings.Contains(page, "<script") {
		t.Error("the page has a script")
	}
	w.refusal = reporter.ErrTooMany
	if code, body := note("one more"); code != 409 || !strings.Contains(body, "one more") {
		t.Errorf("too many: %d %s", code, content(body))
	}
}

// The timeline has the events of people between those of alerts, up to a limit.
func TestPeopleInTheTimeline(t *testing.T) {
	t.Parallel()
	w := world{entries: &[]reporter.Entry{}, locale: "en"}
	for n := range 40 {
		*w.entries = append(*w.entries, reporter.Entry{
			ID: int64(n + 1), Incident: "A", Kind: reporter.EntryNote, Author: "sre", Text: fmt.Sprint("note ", n, " ", strings.Repeat("磁 ", 2000)),
			WrittenAt: day.Add(time.Duration(n-5) * time.Minute),
		})
	}
	page := serve(w, "/incidents/A").Body.String()
	_, page, _ = strings.Cut(page, `<ol class="timeline">`)
	timeline, _, _ := strings.Cut(page, "</ol>")
	var at []int
	for _, s := range []string{"10 more", "sre: note 10 ", "sre: note 39 "} {
		at = append(at, strings.Index(timeline, s))
	}
	if at[0] < 0 || !slices.IsSorted(at) || strings.Contains(timeline, "note 9 ") || len(timeline) > 40*1000 {
		t.Errorf("%v in %d bytes: %.3000s", at, len(timeline), timeline)
	}
	if !strings.Contains(timeline, "&lt;alert&gt; 0") {
		t.Error("the alert is not in the timeline")
	}
}

// A presumed end of an alert is marked.
func TestPresumedEndsInTheTimeline(t *testing.T) {
	t.Parallel()
	w := world{ends: []reporter.TimelineEvent{{At: day, Alert: "known"}, {At: day, Alert: "presumed", About: true}}}
	page := serve(w, "/incidents/A").Body.String()
	for _, s := range []string{`<li class="ends">≈ <time`, `<li class="ends"><time`} {
		if strings.Count(page, s) != 1 {
			t.Errorf("%q is not once in the timeline", s)
		}
	}
}

func TestListsShowWhoTakesCare(t *testing.T) {
	t.Parallel()
	r := row(*firing(), 1)
	r.Acknowledgement = reporter.Acknowledgement{By: reporter.Person{Name: "<b>ann</b>"}, Since: day, First: day}
	w := world{incidents: []reporter.IncidentRow{r}, locale: "en"}
	for _, path := range []string{"/incidents", "/"} {
		if page := serve(w, path).Body.String(); !strings.Contains(page, "✋ &lt;b&gt;ann&lt;/b&gt;") || strings.Contains(page, "<b>ann") {
			t.Errorf("%s does not show who takes care", path)
		}
	}
}

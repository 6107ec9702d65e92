package web_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// desk is a person at a browser.
type desk struct {
	t    *testing.T
	w    world
	user string
	form url.Values // as the browser shows it
}

var (
	inputs = regexp.MustCompile(`<input (?:type="hidden" )?name="([a-z_]+)" value="([^"]*)"`)
	areas  = regexp.MustCompile(`(?s)<textarea name="([a-z]+)"[^>]*>\n(.*?)</textarea>`)
)

func (d *desk) read(r *httptest.ResponseRecorder) string {
	body := r.Body.String()
	d.form = url.Values{}
	for _, m := range append(inputs.FindAllStringSubmatch(body, -1), areas.FindAllStringSubmatch(body, -1)...) {
		d.form.Set(m[1], strings.ReplaceAll(html.UnescapeString(m[2]), "\n", "\r\n"))
	}
	return body
}

func (d *desk) open() string {
	d.t.Helper()
	h, _ := pages(d.w, d.w)
	req, rec := httptest.NewRequest(http.MethodGet, "/incidents/A/edit", nil), httptest.NewRecorder()
	req.SetBasicAuth(d.user, "x")
	h.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		d.t.Fatalf("edit: %d", rec.Code)
	}
	return d.read(rec)
}

func (d *desk) save() (code int, body string) {
	d.t.Helper()
	h, _ := pages(d.w, d.w)
	req, rec := httptest.NewRequest(http.MethodPost, "/incidents/A/edit", strings.NewReader(d.form.Encode())), httptest.NewRecorder()
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(d.user, "x")
	h.ServeHTTP(rec, req)
	if rec.Code == http.StatusSeeOther {
		return rec.Code, rec.Header().Get("Location")
	}
	return rec.Code, d.read(rec)
}

func TestTwoEditors(t *testing.T) {
	t.Parallel()
	w := world{entries: &[]reporter.Entry{}}
	one, two := &desk{t: t, w: w, user: "sre"}, &desk{t: t, w: w, user: "sre"}
	for _, d := range []*desk{one, two} {
		d.open()
		if len(d.form) != 10 || d.form.Get("base_cause") != "0" {
			t.Fatalf("the form has %v", d.form)
		}
	}
	one.form.Set("cause", "the <script> was full\r\nas ever\x1b[2J")
	one.form.Set("owner", " 王小明\r\n ")
	if code, to := one.save(); code != 303 || to != "/incidents/A?done=edit#written" {
		t.Fatalf("save: %d %s", code, to)
	}
	texts := func() (out []string) {
		for _, e := range *w.entries {
			out = append(out, fmt.Sprint(e.ID, " ", e.Kind, " ", e.Text, " ", e.Supersedes, " ", e.Author, " ", e.AuthorKind, " ", e.Incident, " ", e.WrittenAt.Equal(day)))
		}
		return out
	}
	want := []string{"1 owner 王小明 0 sre page A true", "2 cause the <script> was full\nas ever[2J 0 sre page A true"}
	if got := texts(); !slices.Equal(got, want) {
		t.Fatalf("stored %q", got)
	}
	// The second author has the old form, and changes the first author's section and another one.
	mine := strings.Repeat("my own words & \"quotes\"\r\n", 20)
	two.form.Set("cause", mine)
	two.form.Set("impact", "nobody could pay")
	code, body := two.save()
	if code != 409 || !strings.Contains(body, "Somebody else has changed") || !strings.Contains(body, "Written meanwhile by sre") ||
		!strings.Contains(body, "<pre>the &lt;script&gt; was full") {
		t.Fatalf("conflict: %d %s", code, content(body))
	}
	if got := texts(); !slices.Equal(got, want) {
		t.Errorf("a conflict stored %q", got)
	}
	if two.form.Get("cause") != strings.TrimSpace(mine) || two.form.Get("impact") != "nobody could pay" || two.form.Get("owner") != "王小明" {
		t.Errorf("what was typed is lost: %q", two.form)
	}
	one.open()
	// After the second author has seen the other version, saving replaces it.
	if code, body := two.save(); code != 303 {
		t.Fatalf("save again: %d %s", code, content(body))
	}
	if got := texts()[2:]; len(got) != 2 || !strings.HasPrefix(got[0], "3 impact nobody could pay 0") || !strings.Contains(got[1], `"quotes" 2 sre`) {
		t.Errorf("stored %q", got)
	}
	// A change of another section is no conflict, and neither is the same text.
	one.form.Set("lessons", "rotate")
	one.form.Set("impact", "nobody could pay")
	if code, body := one.save(); code != 303 {
		t.Errorf("another section: %d %s", code, content(body))
	}
	one.open()
	if code, to := one.save(); code != 303 || to != "/incidents/A?done=unchanged#written" || len(*w.entries) != 5 {
		t.Errorf("nothing changed: %d %s, %d entries", code, to, len(*w.entries))
	}
	one.form.Set("lessons", "")
	if code, _ := one.save(); code != 303 || (*w.entries)[5].Text != "" || (*w.entries)[5].Supersedes != 5 {
		t.Errorf("removal: %d %+v", code, *w.entries)
	}
	for path, says := range map[string][]string{
		"/incidents/A":                      {"nobody could pay", "my own words &amp; &#34;quotes&#34;", "History</a>", "(6)", "sre, 2026-04-22 08:00:00", "Owner"},
		"/incidents/A/history":              {"the &lt;script&gt; was full", "removed", "Lessons", "rotate", "nobody could pay"},
		"/incidents/A/history?before=2":     {"王小明"},
		"/incidents/A?done=edit":            {"Saved."},
		"/incidents/A?done=unchanged":       {"Nothing was changed."},
		"/incidents/A/history?before=words": {"not found."},
	} {
		page := serve(w, path).Body.String()
		for _, s := range says {
			if !strings.Contains(page, strings.Replace(s, "History</a>", "History (6)</a>", 1)) && s != "(6)" {
				t.Errorf("%s does not say %q: %s", path, s, content(page))
			}
		}
		if strings.Contains(page, "<script>") {
			t.Errorf("%s shows markup of people", path)
		}
	}
	if page := serve(w, "/incidents/A").Body.String(); strings.Contains(page, "rotate") {
		t.Error("the page shows what was removed")
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		form    url.Values
		refusal error
		code    int
		says    string
	}{
		"too long a text":         {url.Values{"cause": {strings.Repeat("磁", 4001)}}, nil, 409, "Root cause: at most 4000 characters"},
		"too long a name":         {url.Values{"owner": {strings.Repeat("x", 101)}}, nil, 409, "Owner: at most 100 characters"},
		"the longest":             {url.Values{"cause": {strings.Repeat("磁", 4000)}, "owner": {strings.Repeat("磁", 100)}}, nil, 303, ""},
		"no text":                 {url.Values{"cause": {"\xff"}}, nil, 400, "not valid"},
		"a version of no number":  {url.Values{"cause": {"x"}, "base_cause": {"x"}}, nil, 400, ""},
		"a version that is gone":  {url.Values{"cause": {"x"}, "base_cause": {"77"}}, nil, 409, "Somebody else has changed"},
		"a machine's fact":        {url.Values{"severity": {"info"}, "started_at": {"0"}, "title": {"x"}}, nil, 303, ""},
		"a megabyte":              {url.Values{"cause": {strings.Repeat("x", 1<<20)}}, nil, 413, "too large"},
		"too many versions":       {url.Values{"cause": {"x"}}, reporter.ErrTooMany, 409, "limit of versions"},
		"a race without end":      {url.Values{"cause": {"x"}}, reporter.ErrConflict, 503, ""},
		"trouble":                 {url.Values{"cause": {"x"}}, fmt.Errorf("disk at /secret"), 500, ""},
		"of an incident gone now": {url.Values{"cause": {"x"}}, reporter.ErrNotFound, 404, ""},
	} {
		w := world{entries: &[]reporter.Entry{}, refusal: tc.refusal}
		if name == "a version that is gone" {
			*w.entries = []reporter.Entry{{ID: 1, Kind: reporter.EntryCause, Text: "before"}}
		}
		d := &desk{t: t, w: w, user: "sre", form: tc.form}
		typed := tc.form.Get("cause")
		code, body := d.save()
		if code != tc.code || !strings.Contains(body, tc.says) || strings.Contains(body, "/secret") {
			t.Errorf("%s: %d %s", name, code, content(body))
		}
		if code == 409 && d.form.Get("cause") != typed {
			t.Errorf("%s: what was typed is lost", name)
		}
		if name == "a machine's fact" && len(*w.entries) != 0 {
			t.Errorf("%s was edited: %+v", name, *w.entries)
		}
	}
}

// The form and the saving need credentials, whoever may read the pages.
func TestEditsNeedCredentials(t *testing.T) {
	t.Parallel()
	w := world{entries: &[]reporter.Entry{}, protected: false}
	h, _ := pages(w, w)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r := httptest.NewRequest(method, "/incidents/A/edit", strings.NewReader("cause=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != http.StatusUnauthorized || len(*w.entries) != 0 {
			t.Errorf("%s without credentials: %d, %d entries", method, rec.Code, len(*w.entries))
		}
	}
}

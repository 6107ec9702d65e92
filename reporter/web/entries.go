package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// formBytes is the most bytes of a form: five texts of reporter.EntryMax characters, of nine bytes each when they are encoded.
const formBytes = 256 << 10

// writtenRow is an entry for templates.
type writtenRow struct {
	reporter.Entry
	P    *page
	Word string // for its kind
}

// By writes the author and the time.
func (w writtenRow) By() string {
	if at := w.P.At(w.WrittenAt); at != nil {
		return w.P.T("version_by", w.Author, at.Text)
	}
	return w.Author
}

func (v *page) writtenRows(entries ...reporter.Entry) []writtenRow {
	var out []writtenRow
	for _, e := range entries {
		if e.Kind == reporter.EntryAcknowledgement { // its text is not written by a person
			word := "acknowledged"
			if e.Text == "" {
				word = "released"
			}
			e.Text = v.T(word)
		}
		out = append(out, writtenRow{e, v, v.T(e.Kind.Word())})
	}
	return out
}

// writtenBody holds the sections and notes of an incident on its page.
type writtenBody struct {
	Sections, Notes []writtenRow
	Edit, History   string // paths
	Note            string // path that the form of a note is posted to
	NoteMax         int
	Versions        int
}

func (v *page) written(path string, entries []reporter.Entry) writtenBody {
	sections, notes := reporter.Current(entries)
	out := writtenBody{
		Edit: path + "/edit", History: path + "/history", Note: path + "/note", NoteMax: reporter.EntryNote.Max(),
		Versions: len(entries), Notes: v.writtenRows(notes...),
	}
	for _, kind := range reporter.Sections() {
		if e := sections[kind]; e.Text != "" {
			out.Sections = append(out.Sections, v.writtenRows(e)...)
		}
	}
	return out
}

type historyBody struct {
	ID, Path string
	Entries  []writtenRow // the latest first
	Next     string
}

// historyBytes is the most text of entries on one page.
const historyBytes = 24 << 10

// versions shows all entries of an incident, page by page.
func (p *Pages) versions(w http.ResponseWriter, r *http.Request) {
	in, entries, err := p.writings(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v := p.page("incidents", "")
	v.Title = v.T("history_of", in.ID)
	body := historyBody{ID: in.ID, Path: v.IncidentPath(in.ID)}
	slices.Reverse(entries)
	if s := r.URL.Query().Get("before"); s != "" {
		before, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			p.refuse(w, r, http.StatusBadRequest, "bad_page")
			return
		}
		entries = slices.DeleteFunc(entries, func(e reporter.Entry) bool { return e.ID >= before })
	}
	size := 0
	for n, e := range entries { // as many as fit, and at least one
		if size += len(e.Text); n > 0 && (n >= listed || size > historyBytes) {
			body.Next = address(body.Path+"/history", "before", strconv.FormatInt(entries[n-1].ID, 10))
			break
		}
		body.Entries = append(body.Entries, v.writtenRows(e)...)
	}
	v.Body = body
	p.show(w, r, "history.html", v)
}

// writings reads the incident of the path and its entries.
func (p *Pages) writings(r *http.Request) (reporter.Incident, []reporter.Entry, error) {
	in, err := p.theIncident(r)
	if err != nil {
		return in, nil, err
	}
	entries, err := p.cfg.Store.Entries(r.Context(), in.ID)
	return in, entries, err
}

// field is one section of the form.
type field struct {
	Kind  reporter.EntryKind
	Word  string
	Text  string      // content of the field
	Base  int64       // id of the version that the text was edited from; 0 means none
	Line  bool        // a single line
	Max   int         // characters
	Other *writtenRow // version that another author wrote in the meantime; nil means none
}

type editBody struct {
	ID, Path, Fault string
	Action          string // path that the form is posted to
	Fields          []field
}

func (v *page) editBody(in reporter.Incident, sections map[reporter.EntryKind]reporter.Entry) editBody {
	body := editBody{ID: in.ID, Path: v.IncidentPath(in.ID), Action: v.IncidentPath(in.ID) + "/edit"}
	for _, kind := range reporter.Sections() {
		e := sections[kind]
		f := field{
			Kind: kind, Word: v.T(kind.Word()), Text: e.Text, Base: e.ID, Line: kind == reporter.EntryOwner, Max: kind.Max(),
		}
		body.Fields = append(body.Fields, f)
	}
	return body
}

// edit shows the form of the sections.
func (p *Pages) edit(w http.ResponseWriter, r *http.Request) {
	in, entries, err := p.writings(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v := p.page("incidents", "")
	v.Title = v.T("edit_title", in.ID)
	sections, _ := reporter.Current(entries)
	v.Body = v.editBody(in, sections)
	p.show(w, r, "edit.html", v)
}

// save stores the form. If another author has changed one of the sections in the meantime, nothing is saved, and the form is shown again
// with both texts.
func (p *Pages) save(w http.ResponseWriter, r *http.Request) {
	if !p.parseForm(w, r) {
		return
	}
	for range 3 { // again if a version was written between the reading and the writing
		in, entries, err := p.writings(r)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		v := p.page("incidents", "")
		v.Title = v.T("edit_title", in.ID)
		body, changed, bad := v.typed(in, entries, r)
		switch {
		case bad != nil:
			p.refuse(w, r, http.StatusBadRequest, bad.key, bad.args...)
			return
		case body.Fault != "":
			v.Body = body
			p.write(w, r, http.StatusConflict, "edit.html", v)
			return
		case len(changed) == 0:
			http.Redirect(w, r, body.Path+"?done=unchanged#written", http.StatusSeeOther)
			return
		}
		for n := range changed {
			changed[n].Incident, changed[n].AuthorKind, changed[n].Author = in.ID, reporter.AuthorPage, author(r)
			changed[n].WrittenAt = p.cfg.Now().UTC()
		}
		_, err = p.cfg.Store.Write(r.Context(), changed...)
		switch {
		case errors.Is(err, reporter.ErrConflict):
			continue
		case errors.Is(err, reporter.ErrTooMany):
			body.Fault = v.T("too_many_entries")
			v.Body = body
			p.write(w, r, http.StatusConflict, "edit.html", v)
			return
		case err != nil:
			p.fail(w, r, err)
			return
		}
		p.cfg.Log.Info("incident edited by hand", "incident", in.ID, "sections", len(changed), "user", author(r), "from", r.RemoteAddr)
		http.Redirect(w, r, body.Path+"?done=edit#written", http.StatusSeeOther)
		return
	}
	p.fail(w, r, fmt.Errorf("edit: %w", reporter.ErrBusy))
}

// parseForm parses a form; false if it was refused, which has been answered then.
func (p *Pages) parseForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, formBytes)
	err := r.ParseForm()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		p.refuse(w, r, http.StatusRequestEntityTooLarge, "too_large")
	case err != nil:
		p.refuse(w, r, http.StatusBadRequest, "bad_text", formBytes)
	}
	return err == nil
}

// typed compares the form with the stored entries. It returns the form to show again, with Fault set if something is wrong, and the
// entries to write.
func (v *page) typed(
	in reporter.Incident, entries []reporter.Entry, r *http.Request,
) (body editBody, changed []reporter.Entry, bad *badRequest) {
	sections, _ := reporter.Current(entries)
	body = v.editBody(in, sections)
	for n := range body.Fields {
		f := &body.Fields[n]
		if !r.PostForm.Has(string(f.Kind)) { // the form is of another version of the program, without this field
			continue
		}
		given := r.PostForm.Get(string(f.Kind))
		if !storable(given) {
			return body, nil, &badRequest{"bad_text", []any{f.Max}}
		}
		base, err := strconv.ParseInt(cmp.Or(r.PostForm.Get("base_"+string(f.Kind)), "0"), 10, 64)
		if err != nil {
			return body, nil, &badRequest{"bad_page", nil}
		}
		was := ""
		for _, e := range entries {
			if e.ID == base && e.Kind == f.Kind {
				was = e.Text
			}
		}
		text := f.Kind.Tidy(given)
		current := sections[f.Kind]
		if text == was || text == current.Text {
			continue // not changed: the form shows the latest version
		}
		f.Text = text
		if base != current.ID {
			other := v.writtenRows(current)[0]
			f.Other = &other
			body.Fault = v.T("conflict")
			continue
		}
		if utf8.RuneCountInString(text) > f.Max {
			body.Fault = cmp.Or(body.Fault, v.T("too_long", f.Word, f.Max))
		}
		changed = append(changed, reporter.Entry{Kind: f.Kind, Text: text, Supersedes: current.ID})
	}
	return body, changed, nil
}

// author returns the name of the sender of an authenticated request: the user, the common name of a client certificate, or "token".
func author(r *http.Request) string {
	name, _, _ := r.BasicAuth()
	if name == "" && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		name = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	return cmp.Or(safetext.Line(name, reporter.EntryOwnerMax), "token")
}

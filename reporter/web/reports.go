package web

import (
	"errors"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// duesListed is the number of due times of a report on one page.
const duesListed = 20

type reportsBody struct{ Reports []reportRow }

type reportRow struct {
	Plan
	Last *dueRow
}

func (p *Pages) reports(w http.ResponseWriter, r *http.Request) {
	v := p.page("reports", "reports")
	rows, err := p.reportRows(r, v)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v.Body = reportsBody{rows}
	p.show(w, r, "reports.html", v)
}

func (p *Pages) reportRows(r *http.Request, v *page) ([]reportRow, error) {
	var rows []reportRow
	for _, plan := range p.cfg.Status.Reports() {
		row := reportRow{Plan: plan}
		ds, err := p.cfg.Store.ReportDeliveries(r.Context(), plan.Name, time.Time{}, 1)
		if err != nil {
			return nil, err
		}
		if dues := v.dues(ds); len(dues) > 0 {
			row.Last = &dues[0]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// dueRow is one due time of a report with its deliveries.
type dueRow struct {
	Due        time.Time
	Path       string
	Deliveries []deliveryRow
}

// dues groups deliveries by due time. They are ordered by due time, the latest first.
func (v *page) dues(ds []reporter.Delivery) []dueRow {
	var out []dueRow
	for _, d := range v.deliveryRows(ds, acting{}) {
		s, err := reporter.ParseSubject(d.D.Subject)
		if err != nil {
			continue
		}
		if len(out) == 0 || !out[len(out)-1].Due.Equal(s.Due) {
			out = append(out, dueRow{Due: s.Due, Path: v.ReportPath(s.Report, s.Due)})
		}
		last := &out[len(out)-1]
		last.Deliveries = append(last.Deliveries, d)
	}
	return out
}

// sentText is a sent text with the deliveries that have it.
type sentText struct {
	Text       template.HTML
	Deliveries []deliveryRow
}

// noData holds figures that have no data for the same reason.
type noData struct {
	Reason  string
	Figures []reporter.Figure
}

// earlier reports whether a figure without data is an earlier value, for a comparison. In the first days it is normal that these have
// no data.
func earlier(f reporter.Figure, at time.Time) bool {
	return f.Reason == reporter.EmptyResult && f.At.Before(at.Add(-time.Minute))
}

type figureRow struct {
	reporter.Figure
	Value string
}

type reportBody struct {
	Name       string
	At         time.Time
	AtInput    string // of a datetime-local field
	Asked      bool   // the request has a time
	Sent       []sentText
	Waiting    []deliveryRow // of that due time, not composed yet
	Text       template.HTML
	Same       bool   // Text was sent in one of Sent
	Fault      string // why there is no Text
	Picture    *image // nil means none
	NoPicture  bool   // drawing it failed
	NoData     []noData
	Lost       int               // number of figures in NoData
	NotYet     []reporter.Figure // earlier values without data
	Figures    []figureRow
	Dues       []dueRow
	Older      string // path of the next page of Dues; "" means none
	Newest     string // path of the first page of Dues; "" on that page
	Configured bool
}

func (p *Pages) report(w http.ResponseWriter, r *http.Request) {
	v := p.page("reports", "")
	name, q := r.PathValue("name"), r.URL.Query()
	if !storable(name) {
		p.fail(w, r, reporter.ErrNotFound)
		return
	}
	zone := v.Zone
	for _, plan := range p.cfg.Status.Reports() {
		if z, err := time.LoadLocation(plan.Zone); err == nil && plan.Name == name {
			zone = z
		}
	}
	body := reportBody{Name: name, At: p.cfg.Now(), Asked: q.Get("at") != ""}
	var before time.Time
	for key, into := range map[string]*time.Time{"at": &body.At, "before": &before} {
		if s := q.Get(key); s != "" {
			t, err := parseTime(s, zone)
			if err != nil {
				p.refuse(w, r, http.StatusBadRequest, "bad_time", key)
				return
			}
			*into = t
		}
	}
	body.AtInput = body.At.In(zone).Format("2006-01-02T15:04")
	if err := p.history(r, v, &body, before); err != nil {
		p.fail(w, r, err)
		return
	}
	if err := p.preview(r, v, &body); err != nil {
		p.fail(w, r, err)
		return
	}
	v.Title = name
	v.Body = body
	p.show(w, r, "report.html", v)
}

// parseTime reads RFC 3339, also with a space for the plus sign of the zone, which is not encoded in some links, or the format of a
// datetime-local field.
func parseTime(s string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Parse(time.RFC3339, strings.Replace(s, " ", "+", 1))
}

// history fills in the list of due times, and the sent texts of the requested one.
func (p *Pages) history(r *http.Request, v *page, body *reportBody, before time.Time) error {
	ds, err := p.cfg.Store.ReportDeliveries(r.Context(), body.Name, before, duesListed+1)
	if err != nil {
		return err
	}
	body.Dues = v.dues(ds)
	home := v.ReportHome(body.Name)
	if len(body.Dues) > duesListed {
		body.Dues = body.Dues[:duesListed]
		body.Older = address(home, "before", body.Dues[duesListed-1].Due.Format(time.RFC3339)) + "#past"
	}
	if !before.IsZero() {
		body.Newest = home + "#past"
	}
	if !body.Asked {
		return nil
	}
	of, err := p.cfg.Store.ListDeliveries(r.Context(), reporter.DeliveryFilter{
		Kind: reporter.DeliveryReport, Subject: reporter.Subject{Report: body.Name, Due: body.At}.String(), Limit: 2 * listed,
	})
	if err != nil {
		return err
	}
	slices.Reverse(of)
	for _, d := range v.deliveryRows(of, acting{}) {
		if d.D.Message == nil {
			body.Waiting = append(body.Waiting, d)
			continue
		}
		text := markup(d.D.Message.Whole())
		n := slices.IndexFunc(body.Sent, func(s sentText) bool { return s.Text == text })
		if n < 0 {
			n = len(body.Sent)
			body.Sent = append(body.Sent, sentText{Text: text})
		}
		body.Sent[n].Deliveries = append(body.Sent[n].Deliveries, d)
	}
	return nil
}

// preview fills in the report as it is evaluated now. If that fails, the page still shows what was sent.
func (p *Pages) preview(r *http.Request, v *page, body *reportBody) error {
	rep, msg, err := p.cfg.Texts.Report(r.Context(), body.Name, body.At)
	body.Configured = !errors.Is(err, reporter.ErrNotFound)
	switch {
	case err == nil:
	case len(body.Dues) == 0 && len(body.Sent) == 0:
		return fmt.Errorf("report: %w", err)
	case !body.Configured:
		body.Fault = v.T("report_gone")
		return nil
	case r.Context().Err() != nil:
		return r.Context().Err()
	default:
		p.cfg.Log.Error("report was not evaluated for its page", "report", body.Name, "err", err)
		body.Fault = v.T("failed")
		return nil
	}
	body.Text = markup(msg.Whole())
	body.Same = slices.ContainsFunc(body.Sent, func(s sentText) bool { return s.Text == body.Text })
	body.Picture, body.NoPicture = p.drawImage(r, func(d Pictures) (reporter.Picture, error) {
		return d.ReportPicture(r.Context(), body.Name, body.At)
	})
	for _, key := range slices.Sorted(maps.Keys(rep.Figures)) {
		f := rep.Figures[key]
		value, ok := f.Value()
		if !ok && earlier(f, rep.Due) {
			body.NotYet = append(body.NotYet, f)
			continue
		}
		if !ok {
			n := slices.IndexFunc(body.NoData, func(d noData) bool { return d.Reason == f.Reason })
			if n < 0 {
				n = len(body.NoData)
				body.NoData = append(body.NoData, noData{Reason: f.Reason})
			}
			body.NoData[n].Figures = append(body.NoData[n].Figures, f)
			body.Lost++
			continue
		}
		body.Figures = append(body.Figures, figureRow{f, number(value)})
	}
	return nil
}

// number writes a figure with six significant digits, or more before the decimal point, to compare it with other tools.
func number(x float64) string {
	if math.Abs(x) >= 1e5 && math.Abs(x) < 1e15 {
		return i18n.Number(x)
	}
	return strconv.FormatFloat(x, 'g', 6, 64)
}

func (p *Pages) reportPicture(w http.ResponseWriter, r *http.Request) {
	at := p.cfg.Now()
	if s := r.URL.Query().Get("at"); s != "" {
		var err error
		if at, err = parseTime(s, p.cfg.Settings().Zone); err != nil {
			p.refuse(w, r, http.StatusBadRequest, "bad_time", "at")
			return
		}
	}
	p.servePicture(w, r, func(d Pictures) (reporter.Picture, error) {
		return d.ReportPicture(r.Context(), r.PathValue("name"), at)
	})
}

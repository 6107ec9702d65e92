package web

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// deliveryStates are the states that a list can be filtered by, in the order of their tabs.
var deliveryStates = []reporter.DeliveryState{
	reporter.DeliveryPending, reporter.DeliverySent, reporter.DeliveryGivenUp, reporter.DeliveryCancelled,
	reporter.DeliveryMerged,
}

// deliveryRow is one delivery of a list.
type deliveryRow struct {
	P         *page
	D         reporter.Delivery
	What      string // title
	Of        string // address of the page of its subject; "" means none
	Why       string // why it was not sent, or waits, in words; "" if it was sent, or has not failed
	Sent, All int    // parts; All is 0 until it is composed
	Acting    acting
}

// Stuck reports whether the delivery waits after a failed attempt.
func (d deliveryRow) Stuck() bool {
	return d.D.State == reporter.DeliveryPending && d.D.Attempts > 0 && d.D.NextAttempt.After(d.P.now)
}

// CanRetry reports whether the delivery can be retried here.
func (d deliveryRow) CanRetry() bool { return d.D.State != reporter.DeliverySent && !d.Acting.Listed }

// CanCancel reports whether the delivery can be cancelled.
func (d deliveryRow) CanCancel() bool { return d.D.State == reporter.DeliveryPending }

func (v *page) deliveryRows(ds []reporter.Delivery, a acting) []deliveryRow {
	out := make([]deliveryRow, 0, len(ds))
	for _, d := range ds {
		row := deliveryRow{P: v, D: d, All: len(d.Parts), Acting: a}
		if d.State != reporter.DeliverySent && d.State != reporter.DeliveryMerged {
			row.Why = v.Why(string(d.Reason), d.LastError)
		}
		for _, part := range d.Parts {
			if !part.SentAt.IsZero() && !part.Uncertain && !part.Dropped {
				row.Sent++
			}
		}
		switch d.Kind {
		case reporter.DeliveryReport:
			row.What = d.Subject
			if s, err := reporter.ParseSubject(d.Subject); err == nil {
				row.What = v.T("report_of", s.Report, s.Due.In(v.Zone).Format(i18n.Minute))
				row.Of = v.ReportPath(s.Report, s.Due)
			}
		case reporter.DeliveryPostmortem:
			row.What, row.Of = v.T("postmortem_of", d.Subject), v.IncidentPath(d.Subject)
		case reporter.DeliveryFiring:
			row.What, row.Of = v.T("firing_of", d.Subject), v.IncidentPath(d.Subject)
		case reporter.DeliveryDigest, reporter.DeliveryFiringDigest, reporter.DeliveryHeartbeatsMissing, reporter.DeliveryHeartbeatsReturned:
			row.What = v.T("digest_of", d.Subject)
		case reporter.DeliveryHeartbeatMissing:
			row.What, row.Of = v.T("heartbeat_missing_of", d.Subject), "/sources#heartbeats"
		case reporter.DeliveryHeartbeatReturned:
			row.What, row.Of = v.T("heartbeat_returned_of", d.Subject), "/sources#heartbeats"
		case reporter.DeliveryNotice:
			if d.Subject == reporter.SubjectFailures {
				row.What = v.T("notice_of_failures")
				break
			}
			of := strings.TrimSuffix(d.Subject, reporter.NoticeOfStop)
			row.What = v.T("notice_of", of)
			if _, err := strconv.ParseInt(of, 10, 64); err == nil {
				row.Of = "/deliveries/" + of
			}
		}
		if d.Message != nil && d.Message.Title != "" {
			row.What = d.Message.Title
		}
		row.What = cmp.Or(row.What, string(d.Kind)+" "+d.Subject)
		out = append(out, row)
	}
	return out
}

type deliveriesBody struct {
	Rows            []deliveryRow
	States          []reporter.DeliveryState
	State, Receiver string
	Receivers       []string
	First, Next     string
	Acting          acting
	Done            string // result of the last action; "" means none
	Causes          []causeRow
}

// causeRow is a cause by which deliveries are not sent.
type causeRow struct {
	reporter.DeliveryCause
	Word string
	Path string // of the list of its deliveries
}

func (v *page) causeRows(causes []reporter.DeliveryCause) []causeRow {
	var out []causeRow
	for _, c := range causes {
		row := causeRow{DeliveryCause: c, Path: address("/deliveries", "state", string(c.State), "receiver", c.Receiver)}
		if c.Reason != reporter.ReasonNone {
			row.Word = v.T("reason_" + string(c.Reason))
		}
		out = append(out, row)
	}
	return out
}

// retryCause retries all deliveries of a cause.
func (p *Pages) retryCause(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, formBytes)
	latest, err := strconv.ParseInt(r.PostFormValue("latest"), 10, 64)
	c := reporter.DeliveryCause{
		Receiver: r.PostFormValue("receiver"), State: reporter.DeliveryState(r.PostFormValue("state")),
		Reason: reporter.Reason(r.PostFormValue("reason")), Latest: latest,
	}
	if err != nil || !storable(c.Receiver+string(c.State)+string(c.Reason)) {
		p.refuse(w, r, http.StatusBadRequest, "bad_text", longestFilter)
		return
	}
	n, err := p.cfg.Store.RetryCause(r.Context(), c, p.cfg.Now())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.cfg.Log.Info("deliveries retried by hand", "count", n, "receiver", c.Receiver, "reason", c.Reason, "user", author(r),
		"from", r.RemoteAddr)
	http.Redirect(w, r, address("/deliveries", "receiver", c.Receiver, "done", "retry_all", "count", strconv.Itoa(n)), http.StatusSeeOther)
}

func (p *Pages) deliveries(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := reporter.DeliveryFilter{
		State: reporter.DeliveryState(q.Get("state")), Receiver: q.Get("receiver"), Limit: listed + 1,
	}
	if f.State != "" && !slices.Contains(deliveryStates, f.State) {
		p.refuse(w, r, http.StatusBadRequest, "bad_state", q.Get("state"))
		return
	}
	if !storable(f.Receiver) {
		p.refuse(w, r, http.StatusBadRequest, "bad_text", longestFilter)
		return
	}
	if s := q.Get("before"); s != "" {
		var err error
		if f.Before, err = strconv.ParseInt(s, 10, 64); err != nil || f.Before < 1 {
			p.refuse(w, r, http.StatusBadRequest, "bad_page")
			return
		}
	}
	list, err := p.cfg.Store.ListDeliveries(r.Context(), f)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v := p.page("deliveries", "deliveries")
	body := deliveriesBody{
		States: deliveryStates, State: string(f.State), Receiver: f.Receiver,
		Acting: p.acting(r, address("/deliveries", "state", string(f.State), "receiver", f.Receiver, "before", q.Get("before"))),
		Done:   v.done(q),
	}
	causes, err := p.cfg.Store.DeliveryCauses(r.Context())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	body.Causes = v.causeRows(slices.DeleteFunc(causes, func(c reporter.DeliveryCause) bool {
		return (f.Receiver != "" && c.Receiver != f.Receiver) || (f.State != "" && c.State != f.State)
	}))
	body.Acting.Listed = true
	for _, known := range p.cfg.Status.Receivers() {
		body.Receivers = append(body.Receivers, known.Name)
	}
	if f.Receiver != "" && !slices.Contains(body.Receivers, f.Receiver) {
		body.Receivers = append(body.Receivers, f.Receiver)
	}
	if f.Before > 0 {
		body.First = address("/deliveries", "state", body.State, "receiver", body.Receiver)
	}
	if len(list) > listed {
		list = list[:listed]
		body.Next = address("/deliveries", "state", body.State, "receiver", body.Receiver,
			"before", strconv.FormatInt(list[listed-1].ID, 10))
	}
	body.Rows = v.deliveryRows(list, body.Acting)
	v.Body = body
	p.show(w, r, "deliveries.html", v)
}

// done returns the words for the result of an action, which the redirect after it has in its query; "" for none.
func (v *page) done(q url.Values) string {
	switch q.Get("done") {
	case "edit":
		return v.T("saved")
	case "unchanged":
		return v.T("nothing_changed")
	case "acknowledged", "released", "acknowledged_before", "not_acknowledged", "note", "silenced", "unsilenced":
		return v.T("done_" + q.Get("done"))
	case "retry_all":
		n, err := strconv.Atoi(q.Get("count"))
		if err != nil {
			return ""
		}
		return v.T("retried_all", n)
	}
	id, err := strconv.ParseInt(q.Get("delivery"), 10, 64)
	if err != nil {
		return ""
	}
	switch q.Get("done") {
	case "retry":
		return v.T("retried", id)
	case "cancel":
		return v.T("cancelled_now", id)
	}
	return ""
}

type deliveryBody struct {
	Row    deliveryRow
	Text   template.HTML
	Parts  []partRow
	Done   string
	Acting acting
}

type partRow struct {
	reporter.Part
	Number int
}

func (p *Pages) delivery(w http.ResponseWriter, r *http.Request) {
	d, err := p.theDelivery(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v := p.page("deliveries", "")
	v.Title = v.T("delivery_number", d.ID)
	body := deliveryBody{Acting: p.acting(r, r.URL.EscapedPath()), Done: v.done(r.URL.Query())}
	body.Row = v.deliveryRows([]reporter.Delivery{d}, body.Acting)[0]
	if d.Message != nil {
		body.Text = markup(d.Message.Whole())
	}
	for n, part := range d.Parts {
		body.Parts = append(body.Parts, partRow{part, n + 1})
	}
	v.Body = body
	p.show(w, r, "delivery.html", v)
}

func (p *Pages) theDelivery(r *http.Request) (reporter.Delivery, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return reporter.Delivery{}, reporter.ErrNotFound
	}
	return p.cfg.Store.Delivery(r.Context(), id)
}

// acting describes the actions that a page offers.
type acting struct {
	Offered bool
	Listed  bool   // the page is a list, which offers retries by cause only
	Asks    bool   // actions need credentials, and the page did not
	Back    string // path of the page, for the redirect after an action
}

func (p *Pages) acting(r *http.Request, back string) acting {
	return acting{Offered: true, Asks: !p.cfg.Protected(r), Back: back}
}

// act retries or cancels a delivery, and redirects to the page of the button.
func (p *Pages) act(w http.ResponseWriter, r *http.Request) {
	action := r.PathValue("action")
	do, done := p.cfg.Store.RetryDelivery, "delivery retried by hand"
	switch action {
	case "retry":
	case "cancel":
		do, done = p.cfg.Store.CancelDelivery, "delivery cancelled by hand"
	default:
		p.fail(w, r, reporter.ErrNotFound)
		return
	}
	d, err := p.theDelivery(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if err := do(r.Context(), d.ID, p.cfg.Now()); err != nil {
		p.notDone(w, r, action, err)
		return
	}
	p.cfg.Log.Info(done, "delivery", d.ID, "subject", d.Subject, "receiver", d.Receiver, "user", author(r), "from", r.RemoteAddr)
	r.Body = http.MaxBytesReader(w, r.Body, formBytes)
	http.Redirect(w, r, backTo(r.PostFormValue("back"), action, d.ID), http.StatusSeeOther)
}

// notDone answers 409 if the delivery's state does not allow an action, and otherwise as fail does.
func (p *Pages) notDone(w http.ResponseWriter, r *http.Request, action string, err error) {
	if d, again := p.theDelivery(r); again == nil && !errors.Is(err, reporter.ErrNotFound) {
		row := deliveryRow{D: d}
		if (action == "retry" && !row.CanRetry()) || (action == "cancel" && !row.CanCancel()) {
			v := p.page("", "")
			p.refuse(w, r, http.StatusConflict, "not_possible", d.ID, v.T("state_"+string(d.State)))
			return
		}
	}
	p.fail(w, r, err)
}

// backTo returns the path to redirect to after an action, with its result: back if it is a path of this program, else the list.
func backTo(back, action string, id int64) string {
	u, err := url.Parse(back)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		u = &url.URL{Path: "/deliveries"}
	}
	q := u.Query()
	q.Set("done", action)
	q.Set("delivery", strconv.FormatInt(id, 10))
	return u.EscapedPath() + "?" + q.Encode() + "#d" + strconv.FormatInt(id, 10)
}

package render

import (
	"errors"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// labelsMax is the most labels of a heartbeat that are shown.
const labelsMax = 6

// heartbeatView is the data of heartbeat.tmpl.
type heartbeatView struct {
	Title, Level, ZoneName string
	Returned               bool
	Over                   bool        // all of them are received again
	Single                 *outageView // of the only heartbeat; nil if there are several
	Outages                []outageView
	More                   int    // outages that are not listed
	Links                  []Link // without a button
}

type outageView struct {
	Name, Level, Cluster, Labels, Reason, Seen, Period, Back, Duration string
}

// Heartbeats writes that heartbeats are missing, or that they are received again: details of a single one, or a list of many.
func (r *Renderer) Heartbeats(n reporter.HeartbeatNotice) (reporter.Message, error) {
	l, err := r.language(n.Locale)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("heartbeats: %w", err)
	}
	if len(n.Outages) == 0 {
		return reporter.Message{}, errors.New("heartbeats: no outage")
	}
	zone := r.zoneOr(n.Zone)
	outages := slices.Clone(n.Outages)
	slices.SortStableFunc(outages, func(a, b reporter.HeartbeatOutage) int { return a.Severity.Rank() - b.Severity.Rank() })
	v := heartbeatView{ZoneName: l.ZoneName(zone), Returned: n.Returned, Over: true}
	for _, o := range outages {
		v.Over = v.Over && !o.ReturnedAt.IsZero()
	}
	for _, o := range outages[:min(len(outages), digestMax)] {
		v.Outages = append(v.Outages, l.outageView(o, zone))
	}
	v.More = len(outages) - len(v.Outages)
	v.Level = v.Outages[0].Level
	title := l.T("heartbeat_missing")
	if v.Title = l.T("heartbeat_missing_many", len(outages)); n.Returned {
		title, v.Title = l.T("heartbeat_returned"), l.T("heartbeat_returned_many", len(outages))
	}
	var links []Link
	if r.externalURL != "" {
		if page := pageLink(l, "heartbeats", r.externalURL+"/sources#heartbeats"); page != nil {
			links = append(links, *page)
		}
	}
	if len(outages) == 1 {
		v.Single = &v.Outages[0]
		v.Title = title + ": " + v.Single.Name
		for _, link := range []reporter.Link{
			{Kind: "runbook", URL: outages[0].Annotations["runbook_url"]}, {Kind: "alertmanager", URL: outages[0].ExternalURL},
		} {
			if made, ok := newLink(l, link); ok {
				links = append(links, made)
			}
		}
	}
	m := reporter.Message{Title: v.Title, Buttons: buttons(links)}
	v.Links = slices.DeleteFunc(links, func(l Link) bool { return l.Button })
	if m.HTML, err = l.execute("heartbeat.tmpl", v); err != nil {
		return reporter.Message{}, err
	}
	if m.Summary = m.HTML; v.Single == nil {
		m.Summary = "<b>" + template.HTMLEscapeString(v.Title) + "</b>"
	}
	return m, nil
}

func (l language) outageView(o reporter.HeartbeatOutage, zone *time.Location) outageView {
	v := outageView{
		Name: cut(clean(o.Name()), shortMax), Level: strings.ToUpper(cut(clean(string(o.Severity)), shortMax)),
		Cluster: cut(clean(o.Cluster), shortMax), Seen: o.SeenAt.In(zone).Format(i18n.Minute),
		Reason: l.T("heartbeat_silent", l.Duration(o.MissingAfter)),
	}
	if o.Cause == reporter.HeartbeatResolved {
		v.Reason = l.T("heartbeat_resolved")
	}
	if !o.ReturnedAt.IsZero() {
		v.Back = o.ReturnedAt.In(zone).Format(i18n.Minute)
		v.Duration = l.Duration(o.Duration())
		v.Period = period(reporter.Incident{StartedAt: o.SeenAt, EndedAt: o.ReturnedAt}, zone)
	}
	labels := o.DistinctLabels()
	for n := range labels[:min(len(labels), labelsMax)] {
		labels[n] = cut(clean(labels[n]), shortMax)
	}
	v.Labels = strings.Join(labels[:min(len(labels), labelsMax)], ", ")
	if more := len(labels) - labelsMax; more > 0 {
		v.Labels += ", " + ellipsis + " " + l.T("more", more)
	}
	return v
}

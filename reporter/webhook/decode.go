package webhook

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// decoded is what is kept of a body.
type decoded struct {
	events    []reporter.AlertEvent
	grafana   bool
	cut       int            // alerts of which something was cut
	truncated uint64         // alerts beyond the limits of a webhook
	skipped   map[string]int // alerts that are none, by what is wrong
	first     string         // the first of them, for the log: its place and what is wrong
}

// Reasons to skip an alert, which are label values of a metric.
const (
	skipNotAlert = "not_an_alert" // it, its labels or its annotations have another JSON type
	skipStatus   = "status"       // neither firing nor resolved
	skipTime     = "time"         // startsAt or endsAt cannot be read, or there is no start
)

var skipReasons = []string{skipNotAlert, skipStatus, skipTime}

// errNotAlert is the fault of one alert: its JSON is well formed, and something has another type than it should.
var errNotAlert = errors.New("has another JSON type")

// decoder reads a body token by token, so that the memory it takes depends on what is kept and not on what is sent.
type decoder struct {
	json   *jsontext.Decoder
	depth  int
	limits Limits
	kept   int // bytes, by alertWeight
	cutNow bool
	lost   uint64            // a sum over the labels of the alert that were cut
	names  map[string]string // those of labels and rare fields so far: the alerts of a group have the same ones
}

// commonNames are those of fields that every webhook has: a body that has no others but a few labels takes little memory for names.
var commonNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		"alerts", "annotations", "commonAnnotations", "commonLabels", "endsAt", "externalURL", "fingerprint", "generatorURL", "groupKey",
		"groupLabels", "labels", "receiver", "startsAt", "status", "truncatedAlerts", "version",
	} {
		names[name] = name
	}
	return names
}()

// mostNames is how many other names are remembered.
const mostNames = 256

// newDecoder takes what encoding/json takes: of equal names the last counts, and bytes that are not UTF-8 become U+FFFD.
func newDecoder(body io.Reader, limits Limits) *decoder {
	return &decoder{
		json:   jsontext.NewDecoder(body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)),
		limits: limits, names: map[string]string{},
	}
}

// decode reads the body of a webhook. Fields that it does not know are skipped, as a later Alertmanager may send them. The
// error is a *refusal, or that of the reader; it never holds text of the body.
func decode(body io.Reader, limits Limits, cluster string, now time.Time) (*decoded, error) {
	d := newDecoder(body, limits)
	out := &decoded{skipped: map[string]int{}}
	var alerts []alert
	var msg Message
	msg.Data = &template.Data{}
	var org bool
	err := d.object(func(field string) error {
		switch field {
		case "alerts":
			alerts, *out = nil, decoded{skipped: map[string]int{}}
			d.kept = 0
			return d.alerts(&alerts, out)
		case "version":
			return d.text(&msg.Version, field, 32)
		case "groupKey":
			return d.key(&msg.GroupKey, field)
		case "receiver":
			return d.key(&msg.Receiver, field)
		case "status":
			return d.text(&msg.Status, field, 32)
		case "externalURL":
			return d.text(&msg.ExternalURL, field, d.limits.URLBytes)
		case "truncatedAlerts":
			return d.count(&msg.TruncatedAlerts, field)
		case "orgId":
			org = true
			return d.skip()
		case "groupLabels":
			labels, err := d.pairs(d.limits.Labels, d.limits.LabelBytes)
			if errors.Is(err, errNotAlert) {
				return bad("groupLabels is not an object of strings")
			}
			msg.GroupLabels = labels
			return err
		}
		return d.skip()
	})
	if err == nil {
		_, err = d.json.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			err = nil
		case err == nil:
			err = bad("there is something after the JSON object")
		}
	}
	if err != nil {
		return nil, fault(err, d.json.InputOffset())
	}
	out.grafana = msg.Version == versionGrafana && org
	if msg.Version != versionAlertmanager && !out.grafana {
		return nil, bad("version is %.20q, want %q (Alertmanager), or %q with an orgId (Grafana)",
			msg.Version, versionAlertmanager, versionGrafana)
	}
	if msg.GroupKey == "" {
		return nil, bad("groupKey is missing")
	}
	out.build(msg, alerts, cluster, now)
	return out, nil
}

// fault keeps text of the body out of the errors of the JSON decoder.
func fault(err error, at int64) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return bad("the body is not an Alertmanager webhook in JSON: it ends at byte %d", at)
	case errors.As(err, &syntax):
		return bad("the body is not an Alertmanager webhook in JSON: syntax error at byte %d", syntax.ByteOffset)
	}
	return err
}

// token reads the next token, and bounds the nesting. It is valid until the next one is read.
func (d *decoder) token() (jsontext.Token, error) {
	t, err := d.json.ReadToken()
	if err != nil {
		return t, err
	}
	switch t.Kind() {
	case '{', '[':
		if d.depth++; d.depth > maxDepth {
			return t, bad("the JSON is nested deeper than %d", maxDepth)
		}
	case '}', ']':
		d.depth--
	}
	return t, nil
}

// name reads the name of a field.
func (d *decoder) name() (string, error) {
	t, err := d.json.ReadToken()
	if err != nil {
		return "", err
	}
	if common, ok := commonNames[t.String()]; ok {
		return common, nil
	}
	if known, ok := d.names[t.String()]; ok {
		return known, nil
	}
	name := t.String()
	if len(d.names) < mostNames && len(name) <= nameBytes {
		d.names[name] = name
	}
	return name, nil
}

// skip reads the next value and forgets it.
func (d *decoder) skip() error {
	from := d.depth
	for {
		if _, err := d.token(); err != nil || d.depth <= from {
			return err
		}
	}
}

// rest skips what is left of the objects and arrays that were opened since the nesting was that deep.
func (d *decoder) rest(depth int) error {
	for d.depth > depth {
		if _, err := d.token(); err != nil {
			return err
		}
	}
	return nil
}

// object calls f with the name of each field of the body's object; f reads its value.
func (d *decoder) object(f func(field string) error) error {
	t, err := d.token()
	if err != nil {
		return err
	}
	if t.Kind() != '{' {
		return bad("the body is not an Alertmanager webhook in JSON: want an object")
	}
	return d.fields(f)
}

// fields is object after its brace.
func (d *decoder) fields(f func(field string) error) error {
	for d.json.PeekKind() == '"' {
		field, err := d.name()
		if err != nil {
			return err
		}
		if err := f(field); err != nil {
			return err
		}
	}
	_, err := d.token() // the brace, or what is wrong
	return err
}

// more says whether another element of an array follows; what is wrong instead is the next token's error.
func (d *decoder) more() bool {
	kind := d.json.PeekKind()
	return kind != ']' && kind != 0 // the kind of no token
}

// value reads a string; null is "". errNotAlert: it is something else, and has been skipped.
func (d *decoder) value() (string, error) {
	from := d.depth
	t, err := d.token()
	if err != nil {
		return "", err
	}
	switch t.Kind() {
	case '"':
		return t.String(), nil
	case 'n':
		return "", nil
	}
	if err := d.rest(from); err != nil {
		return "", err
	}
	return "", errNotAlert
}

// text reads a string of the envelope.
func (d *decoder) text(to *string, field string, limit int) error {
	s, err := d.value()
	if errors.Is(err, errNotAlert) {
		return bad("%s is not a string", field)
	}
	*to = clip(s, limit)
	return err
}

func (d *decoder) key(to *string, field string) error {
	s, err := d.value()
	if errors.Is(err, errNotAlert) {
		return bad("%s is not a string", field)
	}
	*to = identify(s, keyBytes)
	return err
}

func (d *decoder) count(to *uint64, field string) error {
	from := d.depth
	t, err := d.token()
	if err != nil {
		return err
	}
	*to = 0
	switch t.Kind() {
	case 'n':
		return nil
	case '0':
		if *to, err = strconv.ParseUint(t.String(), 10, 63); err != nil {
			return bad("%s is not a number of alerts", field)
		}
		return nil
	}
	return errors.Join(d.rest(from), bad("%s is not a number", field))
}

// pairs reads an object of strings, and keeps at most limit of them beside those that are always kept.
func (d *decoder) pairs(limit, bytes int) (map[string]string, error) {
	from := d.depth
	t, err := d.token()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	switch t.Kind() {
	case '{':
	case 'n':
		return out, nil
	default:
		if err := d.rest(from); err != nil {
			return nil, err
		}
		return nil, errNotAlert
	}
	var wrong error
	err = d.fields(func(name string) error {
		value, err := d.value()
		if errors.Is(err, errNotAlert) {
			wrong = err
			return nil
		}
		if err != nil {
			return err
		}
		name = identify(name, nameBytes)
		_, have := out[name]
		full := !have && len(out) >= limit && !d.always(name)
		if full || len(value) > bytes {
			sum := sha256.Sum256([]byte(name + "\x00" + value))
			d.lost += binary.BigEndian.Uint64(sum[:])
		}
		if full {
			d.cutNow = true
			return nil
		}
		out[name] = d.clip(value, bytes)
		return nil
	})
	if err == nil {
		err = wrong
	}
	return out, err
}

func (d *decoder) always(name string) bool {
	return name == model.AlertNameLabel || name == "severity" || slices.Contains(d.limits.Keep, name)
}

// clip notes that something of the alert was cut.
func (d *decoder) clip(s string, limit int) string {
	d.cutNow = d.cutNow || len(s) > limit
	return clip(s, limit)
}

// alerts reads the array of alerts.
func (d *decoder) alerts(to *[]alert, out *decoded) error {
	from := d.depth
	t, err := d.token()
	if err != nil || t.Kind() == 'n' {
		return err
	}
	if t.Kind() != '[' {
		return errors.Join(d.rest(from), bad("alerts is not an array"))
	}
	for n := 0; d.more(); n++ {
		if len(*to) >= d.limits.Alerts || d.kept >= keptBytes {
			out.truncated++
			if err := d.skip(); err != nil {
				return err
			}
			continue
		}
		d.cutNow = false
		a, reason, err := d.alert()
		if err != nil {
			return err
		}
		if reason == "" {
			reason = unusable(a)
		}
		if reason != "" {
			if out.skipped[reason]++; out.first == "" {
				out.first = fmt.Sprintf("alerts[%d]: %s", n, reason)
			}
			continue
		}
		if d.cutNow {
			out.cut++
		}
		d.kept += alertWeight(a)
		*to = append(*to, a)
	}
	_, err = d.token()
	return err
}

// alert reads one alert, or says why it is none.
func (d *decoder) alert() (a alert, reason string, err error) {
	from := d.depth
	t, err := d.token()
	if err != nil {
		return a, "", err
	}
	if t.Kind() != '{' {
		return a, skipNotAlert, d.rest(from)
	}
	text := func(to *string, limit int) error {
		s, err := d.value()
		*to = d.clip(s, limit)
		return err
	}
	moment := func(to *time.Time, unreadable *bool) error {
		s, err := d.value()
		if err != nil || s == "" {
			return err
		}
		var ok bool
		*to, ok = readTime(s)
		*unreadable = !ok
		return nil
	}
	var noStart, noEnd bool
	err = d.fields(func(field string) (err error) {
		switch field {
		case "status":
			err = text(&a.Status, 32)
		case "labels":
			var m map[string]string
			d.lost = 0
			m, err = d.pairs(d.limits.Labels, d.limits.LabelBytes)
			a.Labels, a.lost = m, d.lost
		case "annotations":
			var m map[string]string
			m, err = d.pairs(d.limits.Annotations, d.limits.AnnotationBytes)
			a.Annotations = m
		case "startsAt":
			err = moment(&a.StartsAt, &noStart)
		case "endsAt":
			err = moment(&a.EndsAt, &noEnd)
		case "fingerprint":
			var s string
			s, err = d.value()
			a.Fingerprint = identify(s, nameBytes)
		case "generatorURL":
			err = text(&a.GeneratorURL, d.limits.URLBytes)
		case "silenceURL":
			err = text(&a.silenceURL, d.limits.URLBytes)
		case "dashboardURL":
			err = text(&a.dashboardURL, d.limits.URLBytes)
		case "panelURL":
			err = text(&a.panelURL, d.limits.URLBytes)
		default:
			return d.skip()
		}
		if errors.Is(err, errNotAlert) {
			reason, err = skipNotAlert, nil
		}
		return err
	})
	if noEnd && statusOf(a.Status) == model.AlertFiring { // whose end means nothing
		noEnd = false
	}
	if reason == "" && (noStart || noEnd) {
		reason = skipTime
	}
	return a, reason, err
}

func readTime(s string) (time.Time, bool) {
	const longest = 64
	t, err := time.Parse(time.RFC3339, s[:min(len(s), longest)])
	return t, err == nil && len(s) <= longest
}

// statusOf takes a status in any case, as some senders write theirs.
func statusOf(s string) model.AlertStatus { return model.AlertStatus(strings.ToLower(s)) }

// unusable says why an alert cannot be taken; "" if it can.
func unusable(a alert) string {
	switch statusOf(a.Status) {
	case model.AlertFiring:
	case model.AlertResolved:
	default:
		return skipStatus
	}
	if unset(a.StartsAt) {
		return skipTime
	}
	return ""
}

// firstYear is that of the earliest alert. Senders that have no time give that of Go's zero or of the Unix epoch, in some zone. There is
// no last year: the journal cuts times that lie in the future.
const firstYear = 2000

func unset(t time.Time) bool { return t.Year() < firstYear }

// build makes the events. Each alert has its own status: the one at the top is "firing" while any alert of the group is.
func (out *decoded) build(m Message, alerts []alert, cluster string, now time.Time) {
	switch {
	case cluster != "":
	case out.grafana:
		cluster = reporter.ClusterGrafana
	default:
		cluster = reporter.ClusterDefault
	}
	out.events = make([]reporter.AlertEvent, 0, len(alerts))
	for _, a := range alerts {
		e := reporter.AlertEvent{
			Cluster: cluster, GroupKey: m.GroupKey, Receiver: m.Receiver, ExternalURL: m.ExternalURL, GroupLabels: m.GroupLabels,
			GroupResolved: statusOf(m.Status) == model.AlertResolved,
			Fingerprint:   a.Fingerprint, StartsAt: a.StartsAt, EndsAt: a.EndsAt,
			Labels: nonNil(a.Labels), Annotations: nonNil(a.Annotations), GeneratorURL: a.GeneratorURL, Links: a.links(),
			Truncated: m.TruncatedAlerts + out.truncated,
		}
		if statusOf(a.Status) == model.AlertFiring {
			e.Firing, e.EndsAt = true, time.Time{}
		} else if unset(e.EndsAt) {
			e.EndsAt = now
		}
		if e.Fingerprint == "" {
			e.Fingerprint = fingerprint(a)
		}
		out.events = append(out.events, e)
	}
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// fingerprint is Alertmanager's own, for senders that leave it out. Alerts that differ in what was cut of their labels stay distinct.
func fingerprint(a alert) string {
	set := make(model.LabelSet, len(a.Labels))
	for k, v := range maps.All(a.Labels) {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	if a.lost != 0 {
		return fmt.Sprintf("%s-%016x", set.Fingerprint(), a.lost)
	}
	return set.Fingerprint().String()
}

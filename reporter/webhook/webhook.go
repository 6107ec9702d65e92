// Package webhook is Alertmanager's door: its POSTs come in, and each is either refused with a reason, or handed on as
// alert events and answered when these are on the disk.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/semaphore"

	"github.com/awoooi/awoooi-reporter/internal/auth"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	defaultMaxBody = 10 << 20
	// bodiesAtOnce is how many bytes of bodies may be in work at one time, so that memory stays bounded; a body takes some
	// ten times its size until it is stored.
	bodiesAtOnce = 32 << 20
	// leastWeight is what even the smallest webhook counts for: it bounds how many are in work, here to 1024.
	leastWeight   = bodiesAtOnce >> 10
	acceptTimeout = 30 * time.Second
	bodyTimeout   = 20 * time.Second
	version       = "4" // of Alertmanager's webhook format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
)

// Sink takes the events of one webhook, all or none. When it returns nil they are kept; an error means: try again.
type Sink interface {
	Accept(ctx context.Context, events []reporter.AlertEvent) error
}

// Config says who may post. Without a token and a user the door is open; with both, either will do.
type Config struct {
	auth.Guard
	MaxBody int64 // bytes; default 10 MiB
}

// Handler is the door.
type Handler struct {
	cfg  atomic.Pointer[Config]
	sink Sink
	log  *slog.Logger
	room *semaphore.Weighted

	answers  *prometheus.CounterVec
	alerts   *prometheus.CounterVec
	last     prometheus.Gauge
	duration prometheus.Histogram
}

// New makes the door.
func New(c Config, sink Sink, log *slog.Logger, reg prometheus.Registerer) *Handler {
	h := &Handler{
		sink: sink, room: semaphore.NewWeighted(bodiesAtOnce), log: log,
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_webhooks_total", Help: "Webhooks received, by the status they were answered with.",
		}, []string{"code"}),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_webhook_alerts_total", Help: "Alerts in accepted webhooks, by status.",
		}, []string{"status"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "awoooi_reporter_webhook_last_timestamp_seconds", Help: "When the last webhook was accepted; 0 if none was.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "awoooi_reporter_webhook_duration_seconds", Help: "How long a webhook took to be answered.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	for _, code := range []int{200, 400, 401, 405, 413, 503} {
		h.answers.WithLabelValues(strconv.Itoa(code))
	}
	for _, status := range []model.AlertStatus{model.AlertFiring, model.AlertResolved} {
		h.alerts.WithLabelValues(string(status))
	}
	reg.MustRegister(h.answers, h.alerts, h.last, h.duration)
	h.SetConfig(c)
	return h
}

// SetConfig replaces who may post.
func (h *Handler) SetConfig(c Config) {
	if c.MaxBody <= 0 {
		c.MaxBody = defaultMaxBody
	}
	h.cfg.Store(&c)
}

// refusal is an answer other than 200, with its reason in one line.
type refusal struct {
	code   int
	reason string
}

func (r *refusal) Error() string { return r.reason }

func tooLarge(limit int64) error {
	return &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", limit)}
}

func bad(format string, a ...any) error {
	return &refusal{http.StatusBadRequest, fmt.Sprintf(format, a...)}
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	code, reason := http.StatusOK, "accepted"
	if err := h.take(w, r, start); err != nil {
		var refused *refusal
		if errors.As(err, &refused) {
			code, reason = refused.code, refused.reason
			h.log.Warn("webhook refused", "code", code, "reason", reason, "from", r.RemoteAddr)
		} else {
			// Alertmanager retries a 5xx, and what is wrong is not its business.
			code, reason = http.StatusServiceUnavailable, "the alerts cannot be stored now"
			h.log.Error("webhook not stored", "err", err)
			w.Header().Set("Retry-After", "5")
		}
	}
	h.answers.WithLabelValues(strconv.Itoa(code)).Inc()
	h.duration.Observe(time.Since(start).Seconds())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, reason)
}

func (h *Handler) take(w http.ResponseWriter, r *http.Request, now time.Time) error {
	cfg := h.cfg.Load()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &refusal{http.StatusMethodNotAllowed, "want POST"}
	}
	if !cfg.Admits(r) {
		auth.Ask(w.Header())
		return &refusal{http.StatusUnauthorized, "unauthorized"}
	}
	if r.ContentLength > cfg.MaxBody {
		return tooLarge(cfg.MaxBody)
	}
	weight := min(max(r.ContentLength, leastWeight), bodiesAtOnce)
	if r.ContentLength < 0 {
		weight = min(cfg.MaxBody, bodiesAtOnce)
	}
	if !h.room.TryAcquire(weight) {
		// Said at once, so that Alertmanager tries again rather than waits in a queue that grows.
		w.Header().Set("Retry-After", "1")
		return &refusal{http.StatusServiceUnavailable, "too many alerts at once, try again"}
	}
	defer h.room.Release(weight)
	// A client that dawdles must not keep the room that others need. Where the deadline cannot be set, the server's own holds.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cfg.MaxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return tooLarge(large.Limit)
		}
		return bad("the body could not be read")
	}
	events, err := decode(body, now.UTC())
	if err != nil {
		return err
	}
	if len(events) > 0 {
		// What has been read whole is stored, whether the client waits for that or not.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), acceptTimeout)
		defer cancel()
		if err := h.sink.Accept(ctx, events); err != nil {
			return err
		}
	}
	h.last.Set(float64(now.Unix()))
	for _, e := range events {
		if e.Firing {
			h.alerts.WithLabelValues(string(model.AlertFiring)).Inc()
		} else {
			h.alerts.WithLabelValues(string(model.AlertResolved)).Inc()
		}
	}
	return nil
}

// decode makes the events of a body. Fields that it does not know are left alone, as a later Alertmanager may send them.
func decode(body []byte, now time.Time) ([]reporter.AlertEvent, error) {
	var m webhook.Message
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, bad("the body is not an Alertmanager webhook in JSON: %s", jsonFault(err))
	}
	if m.Version != version {
		return nil, bad("webhook version is %.20q, want %q", m.Version, version)
	}
	if m.Data == nil || m.GroupKey == "" {
		return nil, bad("groupKey is missing")
	}
	hasNUL := bytes.Contains(body, []byte(`\u0000`))
	events := make([]reporter.AlertEvent, 0, len(m.Alerts))
	for n, a := range m.Alerts {
		e := reporter.AlertEvent{
			GroupKey: m.GroupKey, Receiver: m.Receiver, ExternalURL: m.ExternalURL, GroupLabels: m.GroupLabels,
			Fingerprint: a.Fingerprint, StartsAt: a.StartsAt, EndsAt: a.EndsAt,
			Labels: a.Labels, Annotations: a.Annotations, GeneratorURL: a.GeneratorURL,
			Truncated: m.TruncatedAlerts, ReceivedAt: now,
		}
		// Each alert's own status: the one at the top is "firing" while any alert of the group is.
		switch model.AlertStatus(a.Status) {
		case model.AlertFiring:
			e.Firing, e.EndsAt = true, time.Time{}
		case model.AlertResolved:
			if e.EndsAt.IsZero() {
				e.EndsAt = now
			}
		default:
			return nil, bad("alerts[%d].status is %.20q, want firing or resolved", n, a.Status)
		}
		if !sane(e.StartsAt) || (!e.EndsAt.IsZero() && !sane(e.EndsAt)) {
			return nil, bad("alerts[%d] has no sensible time", n)
		}
		if e.Fingerprint == "" {
			e.Fingerprint = fingerprint(a.Labels)
		}
		if hasNUL {
			withoutNUL(&e)
		}
		events = append(events, e)
	}
	return events, nil
}

// withoutNUL writes the character for what cannot be shown in place of NUL, which PostgreSQL's text does not take.
func withoutNUL(e *reporter.AlertEvent) {
	fix := func(s *string) { *s = strings.ReplaceAll(*s, "\x00", "\ufffd") }
	for _, s := range []*string{&e.GroupKey, &e.Receiver, &e.ExternalURL, &e.Fingerprint, &e.GeneratorURL} {
		fix(s)
	}
	for _, m := range []map[string]string{e.GroupLabels, e.Labels, e.Annotations} {
		for k, v := range m {
			delete(m, k)
			fix(&k)
			fix(&v)
			m[k] = v
		}
	}
}

// sane bounds times to what a journal in microseconds, and an incident of this century, can hold.
func sane(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 2200 }

// fingerprint is Alertmanager's own, for senders that leave it out.
func fingerprint(labels map[string]string) string {
	set := model.LabelSet{}
	for k, v := range labels {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	return set.Fingerprint().String()
}

// jsonFault says where the body is wrong, without echoing it.
func jsonFault(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("syntax error at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("%.60q cannot be a %s", kind.Field, kind.Value)
	}
	return "a value cannot be read"
}

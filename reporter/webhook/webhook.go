// Package webhook takes the POSTs of Alertmanager and Grafana: a request comes in, and alert events go out to the journal,
// or a refusal with its reason goes back.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"

	"github.com/awoooi/awoooi-reporter/internal/auth"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	defaultMaxBody = 10 << 20
	// bodiesAtOnce is how many bytes of bodies may be held at one time, so that memory stays bounded.
	bodiesAtOnce = 32 << 20
	// leastWeight is what even the smallest webhook counts for while it is being stored: it bounds how many are, to 1024.
	leastWeight   = bodiesAtOnce >> 10
	acceptTimeout = 30 * time.Second
	bodyTimeout   = 20 * time.Second
)

// Sink takes the events of one webhook, all or none. When it returns nil they are kept; an error means: try again.
type Sink interface {
	Accept(ctx context.Context, events []reporter.AlertEvent) error
}

// LoginArea is the webhook's among those of auth.Logins.
const LoginArea = "webhook"

// Config says who may post, and how much. Without a token and a user anyone may; with both, either is enough.
type Config struct {
	auth.Guard
	Logins  *auth.Logins // nil only compares credentials
	MaxBody int64        // bytes; default 10 MiB
	Limits  Limits
	// Clusters are the names that a path may have, each with who may post to it; an open guard is the general one.
	Clusters map[string]auth.Guard
}

// Handler answers the webhooks.
type Handler struct {
	cfg    atomic.Pointer[Config]
	sink   Sink
	log    *slog.Logger
	budget *budget

	answers   *prometheus.CounterVec
	alerts    *prometheus.CounterVec
	skipped   *prometheus.CounterVec
	cut       prometheus.Counter
	truncated prometheus.Counter
	last      prometheus.Gauge
	duration  prometheus.Histogram
}

// New makes a handler.
func New(c Config, sink Sink, log *slog.Logger, reg prometheus.Registerer) *Handler {
	h := &Handler{
		sink: sink, budget: newBudget(bodiesAtOnce), log: log,
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_webhooks_total", Help: "Webhooks received, by the status they were answered with.",
		}, []string{"code"}),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_webhook_alerts_total", Help: "Alerts in accepted webhooks, by status.",
		}, []string{"status"}),
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_webhook_alerts_skipped_total",
			Help: "Alerts in accepted webhooks that were skipped, by what is wrong with them.",
		}, []string{"reason"}),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awoooi_reporter_webhook_alerts_cut_total",
			Help: "Alerts in accepted webhooks of which something was cut, because it is beyond a limit of webhook.limits.",
		}),
		truncated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awoooi_reporter_webhook_alerts_truncated_total",
			Help: "Alerts that are beyond a limit of one webhook, and were left out.",
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "awoooi_reporter_webhook_last_timestamp_seconds", Help: "When the last webhook was accepted; 0 if none was.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "awoooi_reporter_webhook_duration_seconds", Help: "How long a webhook took to be answered.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	for _, code := range []int{200, 400, 401, 404, 405, 413, 415, 503} {
		h.answers.WithLabelValues(strconv.Itoa(code))
	}
	for _, status := range []model.AlertStatus{model.AlertFiring, model.AlertResolved} {
		h.alerts.WithLabelValues(string(status))
	}
	for _, reason := range skipReasons {
		h.skipped.WithLabelValues(reason)
	}
	reg.MustRegister(h.answers, h.alerts, h.skipped, h.cut, h.truncated, h.last, h.duration)
	h.SetConfig(c)
	return h
}

// SetConfig replaces who may post, and how much.
func (h *Handler) SetConfig(c Config) {
	if c.MaxBody <= 0 {
		c.MaxBody = defaultMaxBody
	}
	c.Limits = c.Limits.withDefaults()
	h.cfg.Store(&c)
}

// Last says when the last webhook was accepted by this process; zero if none was.
func (h *Handler) Last() time.Time {
	var m dto.Metric
	if err := h.last.Write(&m); err != nil || m.GetGauge().GetValue() == 0 {
		return time.Time{}
	}
	return time.Unix(int64(m.GetGauge().GetValue()), 0)
}

// refusal is an answer other than 200, with its reason in one line that holds no text of the body.
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
			// Alertmanager retries a 5xx; the cause is for our log only.
			code, reason = http.StatusServiceUnavailable, "the alerts cannot be stored now"
			h.log.Error("webhook not stored", "err", err)
			w.Header().Set("Retry-After", "5")
		}
		if errors.Is(err, errBusy) {
			w.Header().Set("Retry-After", "1")
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
	cluster, guard := r.PathValue("cluster"), cfg.Guard
	if cluster != "" {
		own, known := cfg.Clusters[cluster]
		if !known {
			return &refusal{http.StatusNotFound, "no cluster of that name is in alertmanagers"}
		}
		if !own.Open() {
			guard = own
		}
	}
	if v := cfg.Logins.Check(LoginArea, guard, r); v != auth.Admitted {
		// Alertmanager retries a 5xx only: alerts of its that share an address with wrong logins come later, and are not lost.
		code, reason := v.Refuse(w, http.StatusServiceUnavailable)
		return &refusal{code, reason}
	}
	// A browser sends this type to another site only after it has asked, which is never answered. Alertmanager and Grafana
	// send it, with or without a charset.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "want Content-Type: application/json"}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return &refusal{http.StatusUnsupportedMediaType, "want a body without Content-Encoding"}
	}
	if r.ContentLength > cfg.MaxBody {
		return tooLarge(cfg.MaxBody)
	}
	// A slow client must not hold a connection for long. Where the deadline cannot be set, the server's own holds.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body := &meteredBody{body: r.Body, limit: cfg.MaxBody, budget: h.budget}
	defer body.release()
	got, err := decode(body, cfg.Limits, cluster, now.UTC())
	if body.failed != nil {
		err = body.failed
	}
	if err != nil {
		return err
	}
	if less := leastWeight - body.read; less > 0 && !body.hold(less) {
		return errBusy
	}
	if len(got.events) > 0 {
		// What has been read whole is stored, whether the client waits for that or not.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), acceptTimeout)
		defer cancel()
		if err := h.sink.Accept(ctx, got.events); err != nil {
			return err
		}
	}
	h.count(got, now, r.RemoteAddr)
	return nil
}

// count notes an accepted webhook in metrics, and in the log what of it was not taken whole.
func (h *Handler) count(got *decoded, now time.Time, from string) {
	h.last.Set(float64(now.Unix()))
	for _, e := range got.events {
		status := model.AlertResolved
		if e.Firing {
			status = model.AlertFiring
		}
		h.alerts.WithLabelValues(string(status)).Inc()
	}
	skipped := 0
	for reason, n := range got.skipped {
		skipped += n
		h.skipped.WithLabelValues(reason).Add(float64(n))
	}
	h.cut.Add(float64(got.cut))
	h.truncated.Add(float64(got.truncated))
	if skipped > 0 {
		h.log.Warn("alerts were skipped", "alerts", skipped, "first", got.first, "from", from)
	}
	if got.cut > 0 {
		h.log.Warn("alerts were cut: they are beyond webhook.limits", "alerts", got.cut, "from", from)
	}
	if got.truncated > 0 {
		h.log.Warn("alerts were left out: they are beyond the limits of one webhook", "alerts", got.truncated, "from", from)
	}
}

package outbox

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Backlog counts what is pending.
type Backlog interface {
	// Pending counts pending deliveries by receiver, and returns since when the oldest that is due waits; zero if none is due.
	Pending(ctx context.Context) (byReceiver map[string]int, oldest time.Time, err error)
}

// The outcomes of sends and edits, in addition to the verdicts of a channel.
const (
	sentOutcome     = "sent"
	edited          = "edited"
	replacedOutcome = "replaced" // the message was deleted, and is sent again
	givenUp         = "given_up" // the message stays as it is
)

type metrics struct {
	sends      *prometheus.CounterVec
	edits      *prometheus.CounterVec
	deliveries *prometheus.CounterVec
	lastReport prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, o *Outbox) *metrics {
	m := &metrics{
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_sends_total",
			Help: "Sends of single parts, by outcome.",
		}, []string{"receiver", "outcome"}),
		edits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_edits_total",
			Help: "Edits of messages that were sent, by outcome.",
		}, []string{"receiver", "outcome"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_deliveries_total",
			Help: "Deliveries that ended, by kind and outcome.",
		}, []string{"kind", "outcome"}),
		lastReport: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "awoooi_reporter_report_last_sent_timestamp_seconds",
			Help: "When this process last delivered a report; 0 if it never did.",
		}),
	}
	m.deliveries.WithLabelValues(string(reporter.DeliveryPostmortem), string(reporter.DeliveryMerged))
	for _, kind := range []reporter.DeliveryKind{
		reporter.DeliveryFiring, reporter.DeliveryHeartbeatMissing, reporter.DeliveryHeartbeatReturned,
	} {
		m.deliveries.WithLabelValues(string(kind), string(reporter.DeliveryMerged))
	}
	for _, kind := range reporter.DeliveryKinds() {
		for _, state := range []reporter.DeliveryState{reporter.DeliverySent, reporter.DeliveryGivenUp} {
			m.deliveries.WithLabelValues(string(kind), string(state))
		}
	}
	reg.MustRegister(m.sends, m.edits, m.deliveries, m.lastReport, &collector{outbox: o})
	return m
}

func (m *metrics) initialise(receiver string) {
	for _, outcome := range append([]string{sentOutcome}, reporter.Verdicts()...) {
		m.sends.WithLabelValues(receiver, outcome)
	}
	for _, outcome := range append([]string{edited, replacedOutcome, givenUp}, reporter.Verdicts()...) {
		m.edits.WithLabelValues(receiver, outcome)
	}
}

func (m *metrics) sent(receiver, outcome string) { m.sends.WithLabelValues(receiver, outcome).Inc() }

func (m *metrics) edited(receiver, outcome string) { m.edits.WithLabelValues(receiver, outcome).Inc() }

func (m *metrics) merged(kind reporter.DeliveryKind, n int) {
	m.deliveries.WithLabelValues(string(kind), string(reporter.DeliveryMerged)).Add(float64(n))
}

func (m *metrics) delivered(d reporter.Delivery) {
	m.deliveries.WithLabelValues(string(d.Kind), string(d.State)).Inc()
	if d.Kind == reporter.DeliveryReport && d.State == reporter.DeliverySent {
		m.lastReport.Set(float64(d.FinishedAt.Unix()))
	}
}

// collector collects the current state at each scrape: the backlog and the suspended receivers.
type collector struct {
	outbox *Outbox
}

var (
	pendingDesc = prometheus.NewDesc("awoooi_reporter_deliveries_pending",
		"Deliveries that wait to be sent.", []string{"receiver"}, nil)
	oldestDesc = prometheus.NewDesc("awoooi_reporter_delivery_oldest_pending_timestamp_seconds",
		"Since when the oldest delivery that is due waits to be sent; absent if none is due.", nil, nil)
	stoppedDesc = prometheus.NewDesc("awoooi_reporter_receiver_stopped",
		"Whether the receiver refuses everything, as with a revoked token.", []string{"receiver"}, nil)
)

func (s *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- pendingDesc
	ch <- oldestDesc
	ch <- stoppedDesc
}

func (s *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s.outbox.mu.Lock()
	stopped := map[string]float64{}
	for r := range s.outbox.channels {
		stopped[r] = 0
	}
	s.outbox.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	refusing, err := s.outbox.Suspended(ctx)
	for r := range refusing {
		stopped[r] = 1
	}
	if err != nil {
		ch <- prometheus.NewInvalidMetric(stoppedDesc, err) // absent, rather than a made-up 0
	} else {
		for r, v := range stopped {
			gauge(stoppedDesc, v, r)
		}
	}
	pending, oldest, err := s.outbox.state.Pending(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(pendingDesc, err) // absent, rather than a made-up 0
		return
	}
	for r := range stopped {
		gauge(pendingDesc, float64(pending[r]), r)
		delete(pending, r)
	}
	for r, n := range pending { // of receivers that are no longer configured
		gauge(pendingDesc, float64(n), r)
	}
	if !oldest.IsZero() {
		gauge(oldestDesc, float64(oldest.Unix()))
	}
}

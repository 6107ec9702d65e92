package chat

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// What became of updates, as metrics show it.
const (
	resultDone    = "done"
	resultRefused = "refused" // its author may not, or it is about nothing that there is
	resultLimited = "limited"
	resultIgnored = "ignored" // not for us
)

type metrics struct {
	updates  *prometheus.CounterVec
	polls    *prometheus.CounterVec
	polling  *prometheus.GaugeVec
	lastPoll *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer, l *Listener) *metrics {
	m := &metrics{
		updates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_chat_updates_total",
			Help: "What people did in chats, by kind and what became of it.",
		}, []string{"kind", "result"}),
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_chat_polls_total",
			Help: "Polls for what people do in chats, by outcome; conflict: another program receives it.",
		}, []string{"account", "outcome"}),
		polling: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "awoooi_reporter_chat_polling",
			Help: "Whether this process receives what people do in the chats of the account; of several processes, one does.",
		}, []string{"account"}),
		lastPoll: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "awoooi_reporter_chat_last_poll_timestamp_seconds",
			Help: "When a poll of this process was last answered; 0 if none was.",
		}, []string{"account"}),
	}
	for _, kind := range []reporter.UpdateKind{
		reporter.UpdateTap, reporter.UpdateText, reporter.UpdateEdit, reporter.UpdateMoved, reporter.UpdateMember,
	} {
		for _, result := range []string{resultDone, resultRefused, resultLimited, resultIgnored, "failed"} {
			m.updates.WithLabelValues(string(kind), result)
		}
	}
	m.updates.WithLabelValues("other", "skipped")
	reg.MustRegister(m.updates, m.polls, m.polling, m.lastPoll, &waiting{l})
	return m
}

func (m *metrics) initialise(cfg Config) {
	for account := range cfg.Bots {
		m.polling.WithLabelValues(account)
		m.lastPoll.WithLabelValues(account)
		for _, outcome := range []string{"ok", "not_answered", "conflict", "wait", "account"} {
			m.polls.WithLabelValues(account, outcome)
		}
	}
}

// waiting collects how many updates wait at the moment of a scrape.
type waiting struct{ listener *Listener }

var waitingDesc = prometheus.NewDesc("awoooi_reporter_chat_updates_waiting",
	"What people did in chats and is stored, but not worked off.", nil, nil)

func (w *waiting) Describe(ch chan<- *prometheus.Desc) { ch <- waitingDesc }

func (w *waiting) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	n := 0
	cfg, _ := w.listener.config()
	for account := range cfg.Bots {
		waiting, err := w.listener.state.WaitingUpdates(ctx, account)
		if err != nil {
			ch <- prometheus.NewInvalidMetric(waitingDesc, err) // absent, rather than a made-up 0
			return
		}
		n += waiting
	}
	ch <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(n))
}

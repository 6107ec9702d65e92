package chat

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// The results of updates, as metrics show them.
const (
	resultDone    = "done"
	resultRefused = "refused" // its author may not act, or its subject does not exist
	resultLimited = "limited" // beyond the limit of texts
	resultIgnored = "ignored" // not addressed to this program
	resultFailed  = "failed"  // given up
	resultSkipped = "skipped" // not used, and not stored
)

// kindOther is the kind of updates that are not stored.
const kindOther = "other"

// The outcomes of polls, as metrics show them.
const (
	pollOK          = "ok"
	pollNotAnswered = "not_answered"
	pollConflict    = "conflict" // another program receives the updates
	pollWait        = "wait"
	pollAccount     = "account" // the account is refused
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
			Help: "Updates of chats (taps, texts and their edits), by kind and result.",
		}, []string{"kind", "result"}),
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_chat_polls_total",
			Help: "Polls for updates of chats, by outcome; conflict: another program receives them.",
		}, []string{"account", "outcome"}),
		polling: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "awoooi_reporter_chat_polling",
			Help: "Whether this process receives the updates of the account's chats; of several processes, one does.",
		}, []string{"account"}),
		lastPoll: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "awoooi_reporter_chat_last_poll_timestamp_seconds",
			Help: "When a poll of this process was last answered; 0 if none was.",
		}, []string{"account"}),
	}
	for _, kind := range []reporter.UpdateKind{
		reporter.UpdateTap, reporter.UpdateText, reporter.UpdateEdit, reporter.UpdateMoved, reporter.UpdateMember,
	} {
		for _, result := range []string{resultDone, resultRefused, resultLimited, resultIgnored, resultFailed} {
			m.updates.WithLabelValues(string(kind), result)
		}
	}
	m.updates.WithLabelValues(kindOther, resultSkipped)
	reg.MustRegister(m.updates, m.polls, m.polling, m.lastPoll, &waiting{l})
	return m
}

func (m *metrics) initialise(cfg Config) {
	for account := range cfg.Bots {
		m.polling.WithLabelValues(account)
		m.lastPoll.WithLabelValues(account)
		for _, outcome := range []string{pollOK, pollNotAnswered, pollConflict, pollWait, pollAccount} {
			m.polls.WithLabelValues(account, outcome)
		}
	}
}

// waiting collects the number of waiting updates at each scrape.
type waiting struct{ listener *Listener }

var waitingDesc = prometheus.NewDesc("awoooi_reporter_chat_updates_waiting",
	"Updates of chats that are stored and not processed yet.", nil, nil)

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

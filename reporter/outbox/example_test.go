package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// printer is a Channel that prints. It calls sent after each message.
type printer struct{ sent func() }

// Split makes one part, as there is no limit of length. It is called once for each delivery.
func (printer) Split(msg reporter.Message) []reporter.Part { return []reporter.Part{{HTML: msg.HTML}} }

// Send returns the channel's id of the message. The verdict of a *reporter.SendError decides what happens next; other errors are
// retried.
func (p printer) Send(_ context.Context, part reporter.Part, _ reporter.SendOptions) (string, error) {
	fmt.Println(part.HTML)
	p.sent()
	return "1", nil
}

// Chat returns the address, which several receivers may share, and the limits.
func (printer) Chat() reporter.Chat { return reporter.Chat{Account: "printer", Address: "stdout"} }

// Probe makes a harmless call, before a retry of a send with an unknown outcome.
func (printer) Probe(context.Context, string) error { return nil }

// greeting is a Composer: it makes the message of a delivery when it is attempted.
type greeting struct{}

func (greeting) Compose(_ context.Context, d reporter.Delivery) (reporter.Message, error) {
	return reporter.Message{HTML: "postmortem of <b>" + d.Subject + "</b>"}, nil
}

func (greeting) Minimal(d reporter.Delivery) reporter.Message {
	return reporter.Message{HTML: d.Subject}
}

func (greeting) Revise(context.Context, reporter.Delivery) (reporter.Message, error) {
	return reporter.Message{}, reporter.ErrObsolete
}

// A Channel splits messages and sends parts. The outbox stores, orders, limits and retries the sends, and gives them up.
func ExampleChannel() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	state, err := store.OpenSQLite(ctx, dir, log)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer state.Close()
	if _, err := state.Enqueue(ctx, reporter.NewDelivery(reporter.DeliveryPostmortem, "INC-1", "oncall", time.Now())); err != nil {
		fmt.Println(err)
		return
	}
	o := outbox.New(state, greeting{}, map[string]outbox.Channel{"oncall": printer{sent: cancel}},
		outbox.Config{}, log, prometheus.NewRegistry())
	if err := o.Run(ctx); err != nil && ctx.Err() == nil {
		fmt.Println(err)
	}
	// Output: postmortem of <b>INC-1</b>
}

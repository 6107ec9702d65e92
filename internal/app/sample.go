package app

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

//go:embed sample/*.json
var sampleFiles embed.FS

// sampleLead is how long before now the last event of the sample is, so that the figures as of now count all of it.
const sampleLead = 2 * time.Minute

// samplePart posts the bundled webhooks to this process's webhook, as Alertmanager would, and queues the reports as of the first
// scrape that includes them. Every sample alert is marked as one.
type samplePart struct {
	reporter *reporterPart
	addr     func() string
	stdout   io.Writer
	log      *slog.Logger
	now      func() time.Time
}

// run posts the sample once. An error is only logged, because the program works without the sample.
func (p *samplePart) run(ctx context.Context) error {
	if err := p.show(ctx); err != nil && ctx.Err() == nil {
		p.log.Error("sample was not posted", "err", err)
	}
	return nil
}

func (p *samplePart) prepare(*config.Config) (change, error) { return unchanged(), nil }

func (p *samplePart) close() {}

func (p *samplePart) show(ctx context.Context) error {
	base := "http://" + p.addr()
	fmt.Fprintf(p.stdout, "\nThis is a demonstration on SAMPLE alerts. Pages: %s/  Stop with Ctrl-C.\n\n", base)
	bodies, err := sampleWebhooks(p.now().Add(-sampleLead))
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 10 * time.Second}
	for _, body := range bodies {
		if err := p.post(ctx, client, base+webhookPath, body); err != nil {
			return err
		}
	}
	due, err := p.scrapedAfter(ctx, p.now())
	if err != nil {
		return err
	}
	var ds []reporter.Delivery
	for _, d := range p.reporter.content.Load().definitions {
		ds = append(ds, d.Deliveries(due, p.now())...)
	}
	_, err = p.reporter.store.Enqueue(ctx, ds...)
	return err
}

func (p *samplePart) post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "awoooi-reporter/sample")
	authorize(req, p.reporter.content.Load().cfg.Webhook)
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("sample: the webhook answered %s", resp.Status)
	}
	return nil
}

// scrapedAfter waits for a scrape that began after t, and returns a time at which its samples are the newest.
func (p *samplePart) scrapedAfter(ctx context.Context, t time.Time) (time.Time, error) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-tick.C:
		}
		now := p.now().Truncate(time.Second) // the precision of a due time
		// The end of the window is the start of the scrape.
		samples, err := p.reporter.content.Load().querier.Query(ctx, "max("+ownSeries+")", now)
		if err != nil {
			return time.Time{}, err
		}
		if len(samples) == 1 && samples[0].Value > float64(t.UnixMilli())/1000 {
			return now, nil
		}
	}
}

// sampleWebhooks returns the bodies of the webhooks in order, with all times moved so that the latest is end.
func sampleWebhooks(end time.Time) ([][]byte, error) {
	files, err := fs.Glob(sampleFiles, "sample/*.json")
	if err != nil {
		return nil, err
	}
	var messages []webhook.Message
	var last time.Time
	for _, file := range files {
		b, err := sampleFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var m webhook.Message
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		messages = append(messages, m)
		for _, alert := range m.Alerts {
			for _, t := range []time.Time{alert.StartsAt, alert.EndsAt} {
				if t.After(last) {
					last = t
				}
			}
		}
	}
	var bodies [][]byte
	for _, m := range messages {
		for n := range m.Alerts {
			alert := &m.Alerts[n]
			alert.StartsAt = alert.StartsAt.Add(end.Sub(last))
			if !alert.EndsAt.IsZero() { // a firing alert has no end
				alert.EndsAt = alert.EndsAt.Add(end.Sub(last))
			}
		}
		b, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, b)
	}
	return bodies, nil
}

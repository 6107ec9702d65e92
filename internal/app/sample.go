package app

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

//go:embed sample/*.json
var sampleFiles embed.FS

// sampleLead is how long before now the sample's last event is put, so that the figures as of now count all of it.
const sampleLead = 2 * time.Minute

// ShowSample posts the bundled webhooks to the program's own door, as Alertmanager would, and queues the daily report
// as of the first scrape that has seen them. Every sample alert says that it is one.
func (a *App) ShowSample(ctx context.Context, stdout io.Writer) {
	if err := a.trySample(ctx, stdout); err != nil && ctx.Err() == nil {
		a.log.Error("sample was not shown", "err", err)
	}
}

func (a *App) trySample(ctx context.Context, stdout io.Writer) error {
	base := "http://" + a.Addr()
	fmt.Fprintf(stdout, "\nThis is a demonstration on SAMPLE alerts. Pages: %s/  Stop with Ctrl-C.\n\n", base)
	bodies, err := sampleWebhooks(a.opts.Now().Add(-sampleLead))
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 10 * time.Second}
	for _, body := range bodies {
		if err := a.postSample(ctx, client, base+webhookPath, body); err != nil {
			return err
		}
	}
	due, err := a.scrapedAfter(ctx, a.opts.Now())
	if err != nil {
		return err
	}
	var ds []reporter.Delivery
	for _, d := range a.texts.reading.Load().definitions {
		for _, r := range d.Receivers {
			ds = append(ds, reporter.NewDelivery(reporter.DeliveryReport, reporter.Subject{Report: d.Name, Due: due}.String(), r, a.opts.Now()))
		}
	}
	if _, err := a.store.Enqueue(ctx, ds...); err != nil {
		return err
	}
	return nil
}

func (a *App) postSample(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "awoooi-reporter/sample")
	webhook := a.config().Webhook
	switch {
	case !webhook.BearerToken.Empty():
		req.Header.Set("Authorization", "Bearer "+webhook.BearerToken.Reveal())
	case webhook.Username != "":
		req.SetBasicAuth(webhook.Username, webhook.Password.Reveal())
	}
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

// scrapedAfter waits for a scrape that began after t, and returns a moment at which its samples hold.
func (a *App) scrapedAfter(ctx context.Context, t time.Time) (time.Time, error) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-tick.C:
		}
		now := a.opts.Now().Truncate(time.Second) // the precision of a due time
		// The window's end is taken at the begin of a scrape.
		samples, err := a.texts.reading.Load().querier.Query(ctx, "max(awoooi_collector_window_end_timestamp_seconds)", now)
		if err != nil {
			return time.Time{}, err
		}
		if len(samples) == 1 && samples[0].Value > float64(t.UnixMilli())/1000 {
			return now, nil
		}
	}
}

// sampleWebhooks returns the bodies in order, all times moved so that the last of them is end.
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
			if !alert.EndsAt.IsZero() { // A firing alert has no end.
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

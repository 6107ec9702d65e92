package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

// Reload takes a changed configuration, or keeps the old one whole and says why.
func (a *App) Reload() error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	err := a.tryReload()
	if err != nil {
		a.reloadGood.Set(0)
		return fmt.Errorf("configuration was not taken, the old one stays: %w", err)
	}
	a.reloadGood.Set(1)
	a.reloadStamp.Set(float64(a.opts.Now().Unix()))
	a.log.Info("configuration reloaded")
	return nil
}

// tryReload builds every new part before it swaps the first one, so that a fault in any of them changes nothing.
func (a *App) tryReload() (err error) {
	c, err := a.opts.Load()
	if err != nil {
		return err
	}
	if err := restartOnly(a.cfg, c); err != nil {
		return err
	}
	var swaps []func()
	var undo []func()
	defer func() {
		if err != nil {
			for _, f := range undo {
				f()
			}
		}
	}()
	if a.outbox != nil {
		r, err := newReading(c, a.store, a.embedded, a.log, a.opts.Now)
		if err != nil {
			return err
		}
		undo = append(undo, r.close)
		chans, err := channels(c, a.opts.Stdout, a.log)
		if err != nil {
			return err
		}
		rc, err := reconcileConfig(c)
		if err != nil {
			return err
		}
		swaps = append(swaps, func() {
			// The scheduler has been given these definitions before, in wireReporter or in the last reload; they parse.
			if err := a.scheduler.SetDefinitions(r.definitions); err != nil {
				a.log.Error("report schedules were not taken", "err", err)
			}
			old := a.texts.reading.Swap(r)
			old.close()
			a.outbox.SetConfig(outboxConfig(c, a.opts.Now))
			a.outbox.SetChannels(context.Background(), chans)
			a.journal.SetConfig(incidentConfig(c))
			a.reconcile.SetConfig(rc)
			a.webhook.SetConfig(webhookConfig(c, a.access.logins))
		})
	}
	if a.collector != nil {
		qs, err := queries(c, a.counts != nil, a.log)
		if err != nil {
			return err
		}
		ss, err := sources(c, a.counts)
		if err != nil {
			return err
		}
		swaps = append(swaps, func() { a.collector.Reload(collectorConfig(c, qs, ss)) })
	}
	for _, swap := range swaps {
		swap()
	}
	a.access.set(c)
	a.cfg = c
	return nil
}

// restartOnly refuses changes that a running process cannot take, by name, rather than ignoring them.
func restartOnly(old, c *config.Config) error {
	var errs []error
	changed := func(key string, is bool) {
		if is {
			errs = append(errs, fmt.Errorf("%s: a change needs a restart", key))
		}
	}
	changed("web.listen_addresses", fmt.Sprint(old.Web.ListenAddresses) != fmt.Sprint(c.Web.ListenAddresses))
	changed("web.config_file", old.Web.ConfigFile != c.Web.ConfigFile)
	changed("state.path", old.State.Path != c.State.Path)
	changed("state.dsn", old.State.DSN.Reveal() != c.State.DSN.Reveal())
	changed("log", old.Log != c.Log)
	changed("embedded", old.Embedded != c.Embedded)
	changed("prometheus.url: from or to the embedded database", (old.Prometheus.URL == "") != (c.Prometheus.URL == ""))
	return errors.Join(errs...)
}

func (a *App) handleReload(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		http.Error(w, "want POST or PUT", http.StatusMethodNotAllowed)
		return
	}
	if err := a.Reload(); err != nil {
		a.log.Error("reload failed", "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "configuration reloaded")
}

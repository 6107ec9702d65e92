package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

// Reload loads the configuration again and makes all parts use it. If it cannot be used, nothing changes, and the error says why.
func (a *App) Reload() error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	err := a.tryReload()
	if err != nil {
		a.reloadGood.Set(0)
		return fmt.Errorf("configuration not reloaded, the previous one stays in use: %w", err)
	}
	a.reloadGood.Set(1)
	a.reloadStamp.Set(float64(a.opts.Now().Unix()))
	a.log.Info("configuration reloaded")
	return nil
}

// tryReload prepares all parts before it commits the first one, so that an error of any of them changes nothing. It returns the
// errors of all parts.
func (a *App) tryReload() error {
	c, err := a.opts.Load()
	if err != nil {
		return err
	}
	if err := restartOnly(a.cfg, c); err != nil {
		return err
	}
	var prepared []change
	var errs []error
	for _, p := range a.parts {
		ch, err := p.prepare(c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		prepared = append(prepared, ch)
	}
	if err := errors.Join(errs...); err != nil {
		for _, ch := range prepared {
			ch.discard()
		}
		return err
	}
	for _, ch := range prepared {
		ch.commit()
	}
	a.cfg = c
	return nil
}

// restartOnly returns an error for each setting that has changed and needs a restart, so that no change is ignored silently.
func restartOnly(old, c *config.Config) error {
	var errs []error
	changed := func(key string, is bool) {
		if is {
			errs = append(errs, fmt.Errorf("%s: a change needs a restart of the program", key))
		}
	}
	changed("web.listen_addresses", fmt.Sprint(old.Web.ListenAddresses) != fmt.Sprint(c.Web.ListenAddresses))
	changed("web.config_file", old.Web.ConfigFile != c.Web.ConfigFile)
	changed("web.pprof", old.Web.Pprof != c.Web.Pprof)
	changed("state.path", old.State.Path != c.State.Path)
	changed("state.dsn", old.State.DSN.Reveal() != c.State.DSN.Reveal())
	changed("log", old.Log != c.Log)
	embedded := old.Prometheus.URL == ""
	changed("embedded", embedded && old.Embedded != c.Embedded)
	changed("prometheus.timeout (of the embedded database)", embedded && old.Prometheus.Timeout != c.Prometheus.Timeout)
	changed("prometheus.url (from or to the embedded database)", embedded != (c.Prometheus.URL == ""))
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

// ReloadOnHangup reloads at each SIGHUP until ctx ends or stop is called.
func (a *App) ReloadOnHangup(ctx context.Context) (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				if err := a.Reload(); err != nil {
					a.log.Error("reload failed", "err", err)
				}
			}
		}
	}()
	return func() { signal.Stop(hangup) }
}

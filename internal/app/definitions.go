package app

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/promexpr"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/render"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

// definitions returns the configured reports that are not disabled, complete and checked. The builtin report "daily" is among
// them unless a block of that name disables it.
func definitions(c *config.Config) ([]report.Definition, error) {
	configured := c.Reports
	if !slices.ContainsFunc(configured, func(d report.Definition) bool { return d.Name == "daily" }) {
		daily, err := report.Builtin("daily")
		if err != nil {
			return nil, err
		}
		configured = append([]report.Definition{daily}, configured...)
	}
	var out []report.Definition
	var errs []error
	for _, d := range configured {
		if d.Disabled {
			continue
		}
		d, err := definition(c, d)
		errs = append(errs, err)
		out = append(out, d)
	}
	return out, errors.Join(errs...)
}

func definition(c *config.Config, r report.Definition) (report.Definition, error) {
	d, err := r.Complete(report.Defaults{Product: c.Product, Locale: c.Locale, Zone: c.Zone, Receivers: c.PrimaryReceivers()})
	if err != nil {
		return d, fault.In("reports{"+r.Name+"}", err)
	}
	errs := []error{d.Validate()}
	for _, f := range d.Asked() {
		errs = append(errs, fault.In(d.Key(f.Name)+".expr", checkExpr(c, f.Expr)))
	}
	locale := d.Locale
	if r.Locale == "" {
		locale = i18n.Locales()[0] // the key locale is checked once, not for each report
	}
	errs = append(errs, checkTexts(locale, d.Template, render.CheckTemplate), checkWords(d))
	return d, fault.In("reports{"+d.Name+"}", errors.Join(errs...))
}

// checkWords refuses titles in unknown locales beside titles in known ones: they would never be shown.
func checkWords(d report.Definition) error {
	var errs []error
	check := func(key string, w reporter.Words) {
		locales := slices.Sorted(maps.Keys(w.By))
		if !slices.ContainsFunc(locales, func(l string) bool { return i18n.Check(l) == nil }) {
			return
		}
		for _, locale := range locales {
			errs = append(errs, fault.In(key+".title", i18n.Check(locale)))
		}
	}
	for _, s := range d.Sections {
		key := "sections{" + s.Name + "}"
		check(key, s.Title)
		for _, l := range s.Lines {
			check(key+".figures{"+l.Name+"}", l.Title)
		}
	}
	return errors.Join(errs...)
}

// checkExpr refuses an expression that is beyond the limits of promexpr, or is not PromQL, unless
// prometheus.extended_promql says that the server extends PromQL.
func checkExpr(c *config.Config, expr string) error {
	if strings.TrimSpace(expr) == "" {
		return nil
	}
	err := promexpr.CheckFigure(expr)
	switch {
	case err == nil, errors.Is(err, promexpr.ErrLimit):
		return err
	case c.Prometheus.ExtendedPromQL:
		return nil
	case c.Prometheus.URL != "":
		return &fault.Error{Text: err.Error(), Remedy: "if the server extends PromQL, set prometheus.extended_promql: true"}
	}
	return err
}

// checkTexts refuses an unknown locale, and a template file that check refuses.
func checkTexts(locale, template string, check func(file string) error) error {
	var errs []error
	if err := i18n.Check(locale); err != nil {
		errs = append(errs, fault.In("locale", err))
	}
	if template != "" {
		errs = append(errs, fault.In("template", check(template)))
	}
	return errors.Join(errs...)
}

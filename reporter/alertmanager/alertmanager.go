// Package alertmanager reads the alerts of Alertmanagers: URLs come in, fingerprints of known alerts go out.
package alertmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-openapi/runtime"
	openapi "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/client/general"
	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Config is one Alertmanager's API.
type Config struct {
	URL    string // without /api/v2
	Client *http.Client
}

// API reads from the members of one cluster.
type API struct {
	members []member
}

type member struct {
	url    string
	client *client.AlertmanagerAPI
	whole  *client.AlertmanagerAPI // reads alerts with all that they have
}

// New returns the API of the configured Alertmanagers; it connects at the first request. A URL without a host is an error.
func New(configs ...Config) (*API, error) {
	a := &API{}
	for _, c := range configs {
		u, err := url.Parse(c.URL)
		if err != nil || u.Host == "" {
			return nil, errors.New("alertmanager: the url has no host")
		}
		base := strings.TrimSuffix(u.Path, "/") + client.DefaultBasePath
		t := openapi.NewWithClient(u.Host, base, []string{u.Scheme}, c.Client)
		t.Consumers["text/plain"] = runtime.TextConsumer()
		t.Consumers["application/json"] = runtime.ConsumerFunc(consume)
		whole := openapi.NewWithClient(u.Host, base, []string{u.Scheme}, c.Client)
		a.members = append(a.members, member{
			url: u.Scheme + "://" + u.Host + u.Path, client: client.New(t, strfmt.Default), whole: client.New(whole, strfmt.Default),
		})
	}
	return a, nil
}

var (
	errNotAlertmanager = errors.New("the answer is not Alertmanager's")
	errTooLarge        = fmt.Errorf("the answer is larger than %d MiB", mostAnswer>>20)
)

// mostAnswer is how many bytes of an answer are read: those of a few hundred thousand alerts.
const mostAnswer = 512 << 20

// consume reads the JSON of an answer. Of alerts it gives the fingerprints only, as it reads them: whole, those of many clusters
// would take hundreds of megabytes at once.
func consume(body io.Reader, into any) error {
	limited := &io.LimitedReader{R: body, N: mostAnswer}
	var err error
	var syntax *jsontext.SyntacticError
	if give, ok := into.(func(string)); ok {
		err = fingerprints(limited, give)
	} else {
		err = json.NewDecoder(limited).Decode(into)
	}
	switch {
	case err != nil && limited.N <= 0:
		return errTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF): // which the client would take for an answer without alerts
		return errNotAlertmanager
	case errors.As(err, &syntax): // whose text has names of the answer
		return fmt.Errorf("%w: syntax error at byte %d", errNotAlertmanager, syntax.ByteOffset)
	}
	return err
}

// collect lets a request for alerts give their fingerprints, and nothing in its result. What was given of an answer that turns out to
// be none does not count.
func collect(give func(fingerprint string)) alert.ClientOption {
	return func(op *runtime.ClientOperation) {
		other := op.Reader
		op.Reader = runtime.ClientResponseReaderFunc(func(resp runtime.ClientResponse, c runtime.Consumer) (any, error) {
			if resp.Code() != http.StatusOK {
				return other.ReadResponse(resp, c)
			}
			return alert.NewGetAlertsOK(), c.Consume(resp.Body(), give)
		})
	}
}

// fingerprints reads an array of alerts.
func fingerprints(body io.Reader, give func(string)) error {
	in := jsontext.NewDecoder(body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	begin, err := in.ReadToken()
	if err != nil {
		return err
	}
	if begin.Kind() != '[' {
		return errNotAlertmanager
	}
	for in.PeekKind() == '{' {
		one, err := fingerprint(in)
		if err != nil {
			return err
		}
		give(one)
	}
	end, err := in.ReadToken()
	if err == nil && end.Kind() != ']' {
		err = errNotAlertmanager
	}
	return err
}

// fingerprint reads an alert, of which it keeps only that.
func fingerprint(in *jsontext.Decoder) (text string, err error) {
	if _, err := in.ReadToken(); err != nil {
		return "", err
	}
	known := false
	for in.PeekKind() == '"' {
		name, err := in.ReadToken()
		if err != nil {
			return "", err
		}
		if name.String() != "fingerprint" || in.PeekKind() != '"' {
			if err := in.SkipValue(); err != nil {
				return "", err
			}
			continue
		}
		value, err := in.ReadToken()
		if err != nil {
			return "", err
		}
		text, known = value.String(), true
	}
	if _, err := in.ReadToken(); err != nil { // its end, or what is wrong
		return "", err
	}
	if !known {
		return "", errNotAlertmanager
	}
	return text, nil
}

// Known returns the fingerprints of all alerts that any answering member of the cluster has, including silenced and inhibited
// ones, and the start time of the answering member that has been up for the longest. It is an error if none answers.
func (a *API) Known(ctx context.Context) (alerts *reporter.Fingerprints, since time.Time, err error) {
	type answer struct {
		alerts *reporter.Fingerprints
		since  time.Time
		err    error
	}
	answers := make(chan answer, len(a.members))
	for _, m := range a.members {
		go func() {
			alerts, since, err := m.known(ctx)
			answers <- answer{alerts, since, err}
		}()
	}
	var errs []error
	for range a.members {
		got := <-answers
		if got.err != nil {
			errs = append(errs, got.err)
			continue
		}
		if since.IsZero() || got.since.Before(since) {
			since = got.since
		}
		if alerts == nil {
			alerts = got.alerts
		} else {
			alerts.AddAll(got.alerts)
		}
	}
	if len(errs) == len(a.members) {
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return nil, time.Time{}, errors.Join(errs...)
	}
	return alerts, since, nil
}

// Listed returns how many alerts of a group any answering member has: those with these labels that go to that receiver, a regular
// expression as webhooks give it. It is an error if none answers.
func (a *API) Listed(ctx context.Context, receiver string, group map[string]string) (most int, err error) {
	var filter []string
	for _, name := range slices.Sorted(maps.Keys(group)) {
		filter = append(filter, (&labels.Matcher{Type: labels.MatchEqual, Name: name, Value: group[name]}).String())
	}
	var errs []error
	for _, m := range a.members {
		alerts := 0
		_, err := m.client.Alert.GetAlerts(
			alert.NewGetAlertsParamsWithContext(ctx).WithReceiver(&receiver).WithFilter(filter), collect(func(string) { alerts++ }))
		if err != nil {
			errs = append(errs, fmt.Errorf("alertmanager %s: alerts: %w", m.url, err))
			continue
		}
		most = max(most, alerts)
	}
	if len(errs) == len(a.members) {
		return 0, errors.Join(errs...)
	}
	return most, nil
}

// known returns the fingerprints of all alerts of one member, and when it was started.
func (m member) known(ctx context.Context) (alerts *reporter.Fingerprints, since time.Time, err error) {
	status, err := m.client.General.GetStatus(general.NewGetStatusParamsWithContext(ctx))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("alertmanager %s: status: %w", m.url, err)
	}
	if status.Payload == nil || status.Payload.Uptime == nil {
		return nil, time.Time{}, fmt.Errorf("alertmanager %s: status: %w", m.url, errNotAlertmanager)
	}
	yes := true
	alerts = &reporter.Fingerprints{}
	_, err = m.client.Alert.GetAlerts(alert.NewGetAlertsParamsWithContext(ctx).
		WithActive(&yes).WithSilenced(&yes).WithInhibited(&yes).WithUnprocessed(&yes), collect(alerts.Add))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("alertmanager %s: alerts: %w", m.url, err)
	}
	return alerts, time.Time(*status.Payload.Uptime), nil
}

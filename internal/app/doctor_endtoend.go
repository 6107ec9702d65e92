package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/alertmanager"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

const (
	// testAlert is the name of the alert that EndToEnd posts. Its label testLabel has the id of the run.
	testAlert = "AwoooiReporterTest"
	testLabel = "reporter_test"
	testTitle = "🧪 TEST: doctor --end-to-end, nothing is wrong"
	// hopLimit bounds a hop within the program, including a slow channel and a busy database; hopPoll is how often it is looked
	// for.
	hopLimit = 2 * time.Minute
	hopPoll  = 250 * time.Millisecond
	// alertmanagerSlack is added to Alertmanager's own waits (group_wait, group_interval).
	alertmanagerSlack = 90 * time.Second
	// cleanUpTime bounds the removal of the test incident, also after an interrupt.
	cleanUpTime = 15 * time.Second
)

// EndToEndOptions say how a test alert is posted.
type EndToEndOptions struct {
	ThroughAlertmanager bool   // to an Alertmanager, not to the webhook of the running process
	Cluster             string // of the Alertmanagers; "" is the only one, or the default one
	Yes                 bool   // post to Alertmanager; without it only the receivers that it would reach are reported
}

// EndToEnd posts a test alert and follows it to the chat; each step is a Finding with its time. The incident is removed at the
// end, so that no figure counts it; the messages stay, marked as a test. found is called with each Finding as soon as it is known.
// EndToEnd returns true if none of them is a failure.
func EndToEnd(ctx context.Context, c *config.Config, o EndToEndOptions, log *slog.Logger, found func(Finding)) bool {
	e := &endToEnd{cfg: c, id: "TEST-" + time.Now().UTC().Format("20060102-150405-") + rand.Text()[:4], log: log, found: found, good: true}
	defer func() {
		if e.tools != nil {
			e.tools.Close()
		}
	}()
	if err := e.prepare(ctx, o); err != nil {
		return false
	}
	if e.api != nil && !o.Yes {
		e.report(ok("post", "not done; add --yes to post the test alert"))
		return e.good
	}
	e.follow(ctx)
	return e.good
}

// endToEnd is one run.
type endToEnd struct {
	cfg   *config.Config
	id    string
	log   *slog.Logger
	found func(Finding)
	good  bool

	route   incident.Route
	tools   *Tools
	api     *alertmanager.API // nil to post to the webhook
	path    alertmanager.Path // to our receiver
	cluster string

	starts time.Time
	posted time.Time // when the last post began
}

func (e *endToEnd) report(f Finding) {
	e.good = e.good && f.Result != FindingFail
	e.found(f)
}

// errReported stands for a failure that was reported as a Finding already.
var errReported = errors.New("reported already")

// fail reports a failure, and returns errReported.
func (e *endToEnd) fail(what string, err error, remedy string) error {
	e.report(failed(what, err, remedy))
	return errReported
}

func (e *endToEnd) labels() map[string]string {
	out := map[string]string{"alertname": testAlert, "severity": "info", testLabel: e.id}
	if label := e.cfg.Incidents.IDLabel; label != "" {
		out[label] = e.id
	}
	return out
}

func (e *endToEnd) annotations() map[string]string { return map[string]string{"summary": testTitle} }

// prepare finds the route of the alert, and reports which receivers it reaches.
func (e *endToEnd) prepare(ctx context.Context, o EndToEndOptions) error {
	routes, err := incidentConfig(e.cfg)
	if err != nil {
		return e.fail("route", err, "run check-config")
	}
	if o.ThroughAlertmanager {
		if err := e.prepareCluster(ctx, o.Cluster); err != nil {
			return err
		}
	}
	e.route = routes.Route(e.labels())
	name := e.route.Name
	if name == "" {
		name = "default"
	}
	if e.route.Ignore {
		return e.fail("route", fmt.Errorf("the route %s ignores the test alert", name),
			"change its matchers, so that they do not match alertname="+testAlert)
	}
	if len(e.route.Receivers) == 0 {
		return e.fail("route", fmt.Errorf("the route %s has no receivers", name), "set its receivers")
	}
	e.report(ok("route", "%s: the postmortem goes to %s, as incident %s", name, strings.Join(e.route.Receivers, ", "), e.id))
	if e.api != nil && !o.Yes {
		return nil
	}
	const remedy = "run doctor on the machine on which the program runs, with its configuration"
	if e.tools, err = OpenTools(ctx, e.cfg, Needs{State: true}, e.log); err != nil {
		return e.fail("state", err, remedy)
	}
	if e.cfg.State.DSN.Empty() {
		seen, err := store.ConditionOfSQLite(ctx, e.cfg.State.Path)
		if err == nil && !seen.Running {
			// Another program may listen on the address: it would keep the test incident, because it is not found here.
			err = fmt.Errorf("no process runs on %s", e.cfg.State.Path)
		}
		if err != nil {
			return e.fail("state", err, remedy)
		}
	}
	return nil
}

// prepareCluster reports which receivers of the Alertmanager get the alert, and finds ours.
func (e *endToEnd) prepareCluster(ctx context.Context, cluster string) (err error) {
	e.cluster = cluster
	if cluster == "" {
		e.cluster = reporter.ClusterDefault
		if names := members(e.cfg); len(names) == 1 {
			for name := range names {
				e.cluster = name
			}
		}
	}
	what := "alertmanager " + e.cluster
	if e.api, err = clusterAPI(e.cfg, e.cluster); err != nil {
		return e.fail(what, err, "set alertmanagers")
	}
	asking, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	for _, m := range e.api.Members(asking) {
		if m.Err != nil {
			e.report(failed(what, m.Err, alertmanagerRemedy(m.Err.Error())))
			continue
		}
		paths, err := m.Setup.Match(e.labels())
		if err != nil {
			return e.fail(what, err, "correct its matchers")
		}
		ours, _ := m.Setup.Ours(webhookPathOf(e.cluster), ourReceivers...)
		var reached []string
		for _, p := range paths {
			reached = append(reached, p.Receiver)
			if slices.Contains(ours, p.Receiver) && e.path.Receiver == "" {
				e.path = p
			}
		}
		e.report(ok(what, "the alert {alertname=%q, severity=\"info\"} reaches its receivers: %s", testAlert, strings.Join(reached, ", ")))
	}
	switch {
	case !e.good:
		return errReported
	case e.path.Receiver == "":
		return e.fail(what, errors.New("the alert does not reach a receiver with our webhook"),
			"add a route to it, with continue: true before the others")
	}
	e.report(ok(what, "%s gets it after %v, and its resolve within another %v", e.path.Receiver, e.path.GroupWait, e.path.GroupInterval))
	return nil
}

// follow posts the alert, firing and then resolved, and waits for the incident, its end and the messages to its receivers.
func (e *endToEnd) follow(ctx context.Context) {
	// It starts early enough for a postmortem.
	e.starts = time.Now().Add(-e.route.MinDuration - time.Minute)
	if err := e.post(ctx, time.Time{}); err != nil {
		return
	}
	resolved := false
	var subject string
	defer func() { e.cleanUp(ctx, subject, resolved) }()
	subject, err := e.await(ctx, "incident", hopLimit+e.wait(e.path.GroupWait), func(ctx context.Context) (string, string, error) {
		in, err := e.incident(ctx)
		return in.ID, "opened", err
	}, "look at the log of the program; behind a proxy, the webhook may go to another process")
	if err != nil {
		return
	}
	if err := e.post(ctx, time.Now()); err != nil {
		return
	}
	resolved = true
	_, err = e.await(ctx, "resolve", hopLimit+e.wait(e.path.GroupInterval), func(ctx context.Context) (string, string, error) {
		in, err := e.incident(ctx)
		if err != nil || in.ID == "" || in.State != reporter.IncidentResolved {
			return "", "", err
		}
		return in.ID, "closed the incident", nil
	}, "check send_resolved: true of the Alertmanager's receiver")
	if err != nil {
		return
	}
	for _, receiver := range e.route.Receivers {
		_, _ = e.await(ctx, "receiver "+receiver, hopLimit+e.cfg.Incidents.DigestWindow, func(ctx context.Context) (string, string, error) {
			return e.delivery(ctx, subject, receiver)
		}, "run doctor, and look at the page /deliveries") // await has reported the error; the next receiver follows
	}
}

// wait returns how long to wait for an Alertmanager that itself waits for of; 0 without one.
func (e *endToEnd) wait(of time.Duration) time.Duration {
	if e.api == nil {
		return 0
	}
	return of + alertmanagerSlack
}

func (e *endToEnd) post(ctx context.Context, ends time.Time) error {
	event := "firing"
	if !ends.IsZero() {
		event = "resolved"
	}
	e.posted = time.Now()
	if e.api != nil {
		err := e.api.Post(ctx, alertmanager.Alert{Labels: e.labels(), Annotations: e.annotations(), StartsAt: e.starts, EndsAt: ends})
		if err != nil {
			return e.fail("post", err, "check the rights of its http_config")
		}
		e.report(ok("post", "alertmanager %s accepted the %s alert after %v", e.cluster, event, e.since()))
		return nil
	}
	if err := e.postWebhook(ctx, event, ends); err != nil {
		return e.fail("webhook", err, webhookRemedy(err.Error()))
	}
	e.report(ok("webhook", "accepted the %s alert after %v", event, e.since()))
	return nil
}

func (e *endToEnd) since() time.Duration { return time.Since(e.posted).Round(time.Millisecond) }

func webhookRemedy(text string) string {
	for _, r := range []struct{ part, remedy string }{
		{"refused", "start the program; doctor posts to the first of web.listen_addresses"},
		{"401", "web.config_file requires a password that this configuration does not have: add --through-alertmanager"},
		{"404", "start the program with --role all or reporter"},
	} {
		if strings.Contains(text, r.part) {
			return r.remedy
		}
	}
	return "look at the log of the program"
}

// postWebhook posts the alert to the running process as Alertmanager does.
func (e *endToEnd) postWebhook(ctx context.Context, status string, ends time.Time) error {
	end := "0001-01-01T00:00:00Z"
	if !ends.IsZero() {
		end = ends.UTC().Format(time.RFC3339Nano)
	}
	body, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "doctor/" + e.id, "truncatedAlerts": 0, "status": status, "receiver": "doctor",
		"groupLabels": map[string]string{"alertname": testAlert}, "commonLabels": e.labels(), "commonAnnotations": e.annotations(),
		"externalURL": "",
		"alerts": []any{map[string]any{
			"status": status, "labels": e.labels(), "annotations": e.annotations(), "startsAt": e.starts.UTC().Format(time.RFC3339Nano),
			"endsAt": end, "generatorURL": "", "fingerprint": e.id,
		}},
	})
	if err != nil {
		return err
	}
	base, client, err := ownServer(e.cfg)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+webhookPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	authorize(req, e.cfg.Webhook)
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", base, errors.Unwrap(err)) // without the method and the address again
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", base+webhookPath, resp.Status)
	}
	return nil
}

// authorize sets the credentials of the webhook.
func authorize(req *http.Request, w config.Webhook) {
	switch {
	case !w.BearerToken.Empty():
		req.Header.Set("Authorization", "Bearer "+w.BearerToken.Reveal())
	case w.Username != "":
		req.SetBasicAuth(w.Username, w.Password.Reveal())
	}
}

// ownServer returns the address of the running process by its configuration, and a client that accepts no certificate but the one
// of web.config_file.
func ownServer(c *config.Config) (base string, client *http.Client, err error) {
	host, port, err := net.SplitHostPort(c.Web.ListenAddresses[0])
	if err != nil {
		return "", nil, err
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	transport := &http.Transport{}
	scheme := "http"
	if c.Web.ConfigFile != "" {
		certificate, err := ownCertificate(c.Web.ConfigFile)
		if err != nil {
			return "", nil, err
		}
		if certificate != nil {
			scheme = "https"
			transport.TLSClientConfig = &tls.Config{
				InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares the certificate with the server's own file
				VerifyConnection: func(s tls.ConnectionState) error {
					if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, certificate) {
						return errors.New("the certificate is not that of web.config_file")
					}
					return nil
				},
			}
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port), &http.Client{Transport: transport}, nil
}

// ownCertificate returns the certificate that exporter-toolkit's file names, in DER, or nil if it names none.
func ownCertificate(file string) ([]byte, error) {
	var c struct {
		Server *struct {
			File string `yaml:"cert_file"`
			Text string `yaml:"cert"`
		} `yaml:"tls_server_config"`
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("web.config_file: %w", err)
	}
	if err := yaml.Unmarshal(b, &c); err != nil || c.Server == nil {
		return nil, nil //nolint:nilerr // CheckConfig has reported it
	}
	text := []byte(c.Server.Text)
	if c.Server.File != "" {
		path := promconfig.JoinDir(strings.TrimSuffix(file, file[strings.LastIndexByte(file, '/')+1:]), c.Server.File)
		if text, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("web.config_file: %w", err)
		}
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("web.config_file: cert_file has no certificate in PEM")
	}
	return block.Bytes, nil
}

// await polls look until it returns an id, reports the result as a Finding and returns the id. After limit it fails with the last
// error of look.
func (e *endToEnd) await(
	ctx context.Context, what string, limit time.Duration, look func(context.Context) (id, text string, err error), remedy string,
) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(hopPoll)
	defer tick.Stop()
	last := errors.New("has not happened")
	for {
		switch id, text, err := look(ctx); {
		case errors.Is(err, errGivenUp):
			return "", e.fail(what, err, remedy)
		case err != nil && ctx.Err() == nil:
			last = err
		case err == nil && id != "":
			e.report(ok(what, "%s after %v", text, e.since()))
			return id, nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return "", e.fail(what, fmt.Errorf("%w within %v", last, limit), remedy)
			}
			return "", e.fail(what, errors.New("interrupted"), "")
		case <-tick.C:
		}
	}
}

// incident returns the incident of the test alert; its ID is empty while there is none.
func (e *endToEnd) incident(ctx context.Context) (reporter.Incident, error) {
	rows, err := incidentsList.run(ctx, e.tools, reporter.IncidentFilter{From: e.starts.Add(-time.Second), Limit: 100})
	if err != nil {
		return reporter.Incident{}, err
	}
	for _, row := range rows {
		for _, a := range row.Incident.Alerts {
			if a.Labels[testLabel] == e.id {
				return row.Incident, nil
			}
		}
	}
	return reporter.Incident{}, nil
}

var errGivenUp = errors.New("was given up")

// delivery looks for the postmortem of the incident to a receiver. The id is "" until it is sent, and the error says why.
func (e *endToEnd) delivery(ctx context.Context, subject, receiver string) (id, text string, err error) {
	ds, err := deliveriesList.run(ctx, e.tools, 200)
	if err != nil {
		return "", "", err
	}
	for _, d := range ds {
		if d.Kind != reporter.DeliveryPostmortem || d.Subject != subject || d.Receiver != receiver {
			continue
		}
		switch {
		case d.State == reporter.DeliverySent && len(d.Parts) > 0 && d.Parts[0].MessageID != "":
			return subject, "sent as message " + d.Parts[0].MessageID, nil
		case d.State == reporter.DeliverySent:
			return subject, "sent", nil
		case d.State == reporter.DeliveryMerged:
			return subject, "merged into a digest", nil
		case d.State != reporter.DeliveryPending:
			return "", "", fmt.Errorf("%w: %s", errGivenUp, d.LastError)
		case d.LastError != "":
			return "", "", fmt.Errorf("not sent: %s", d.LastError)
		}
		return "", "", errors.New("is queued, and not sent")
	}
	return "", "", nil
}

// cleanUp resolves the alert, unless that was done, and removes the incident.
func (e *endToEnd) cleanUp(ctx context.Context, subject string, resolved bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if !resolved {
		if err := e.post(ctx, time.Now()); err != nil {
			return
		}
	}
	if subject == "" {
		return
	}
	switch gone, err := incidentRemove.run(ctx, e.tools, subject); {
	case err != nil:
		e.report(warned("clean-up", fmt.Sprintf("incident %s was not removed: %v", subject, err),
			"figures of the day count it as alert "+testAlert))
	case !gone:
		e.report(warned("clean-up", "incident "+subject+" was not removed: it is still open, or its message is not sent yet",
			"figures of the day count it as alert "+testAlert))
	default:
		e.report(ok("clean-up", "incident %s is removed, no figure counts it; the messages stay, marked as a test", subject))
	}
}

// incidentRemove removes the incident of a test, and no other.
var incidentRemove = operation[string, bool]{"incident-remove", (*toolbox).removeTest}

func (b *toolbox) removeTest(ctx context.Context, id string) (bool, error) {
	in, err := b.store.Incident(ctx, id)
	if err != nil {
		return false, err
	}
	for _, a := range in.Alerts {
		if a.Labels[testLabel] == "" {
			return false, fmt.Errorf("incident %s is not one of doctor --end-to-end", id)
		}
	}
	return b.store.RemoveIncident(ctx, id)
}

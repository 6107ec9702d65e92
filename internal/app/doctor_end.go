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
)

const (
	// testAlert is the name of the alert that EndToEnd posts, and testLabel distinguishes the runs.
	testAlert = "AwoooiReporterTest"
	testLabel = "reporter_test"
	testTitle = "🧪 TEST: doctor --end-to-end, nothing is wrong"
	// hopTime is what a hop within the program may take, a slow channel and a busy database among it.
	hopTime = 2 * time.Minute
	hopPoll = 250 * time.Millisecond
	// hopSlack is what an Alertmanager may take beyond its own waits.
	hopSlack = 90 * time.Second
	// tidyTime bounds the removal of the test, also after an interrupt.
	tidyTime = 15 * time.Second
)

// EndToEndOptions say by which way a test alert comes.
type EndToEndOptions struct {
	ThroughAlertmanager bool
	Cluster             string // "" is the only one, or the default one
	Yes                 bool   // else only says what would be reached
}

// EndToEnd posts an alert that says it is a test, and follows it to the chat: each hop is a Finding with its time. The incident
// is removed in the end, so that no figure counts it; the messages stay, marked as a test. found gets each Finding as it is
// there, and the result says whether none of them is a failure.
func EndToEnd(ctx context.Context, c *config.Config, o EndToEndOptions, log *slog.Logger, found func(Finding)) bool {
	e := &endToEnd{cfg: c, id: "TEST-" + time.Now().UTC().Format("20060102-150405-") + rand.Text()[:4], log: log, found: found, good: true}
	if err := e.prepare(ctx, o); err != nil {
		return false
	}
	if e.api != nil && !o.Yes {
		e.tell(ok("nothing", "was posted; add --yes to post the test alert"))
		return e.good
	}
	defer func() {
		if e.tools != nil {
			e.tools.Close()
		}
	}()
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
	api     *alertmanager.API // nil: straight to the webhook
	path    alertmanager.Path // to our receiver
	cluster string

	starts time.Time
	posted time.Time // when the last post began
}

func (e *endToEnd) tell(f Finding) {
	e.good = e.good && f.Result != FindingFail
	e.found(f)
}

// errReported means that the failure was reported already.
var errReported = errors.New("reported already")

func (e *endToEnd) fail(what string, err error, remedy string) error {
	e.tell(failed(what, err, remedy))
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

// prepare finds the route of the alert, and reports what it reaches.
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
		return e.fail("route", fmt.Errorf("the route %s ignores the test alert", name), "let it not match alertname="+testAlert)
	}
	if len(e.route.Receivers) == 0 {
		return e.fail("route", fmt.Errorf("the route %s has no receivers", name), "set its receivers")
	}
	e.tell(ok("route", "%s: the postmortem goes to %s, as incident %s", name, strings.Join(e.route.Receivers, ", "), e.id))
	if e.api != nil && !o.Yes {
		return nil
	}
	if e.tools, err = OpenTools(ctx, e.cfg, Needs{State: true}, e.log); err != nil {
		return e.fail("state", err, "run it where the program runs, with its configuration")
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
			e.tell(failed(what, m.Err, alertmanagerRemedy(m.Err.Error())))
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
		e.tell(ok(what, "the alert {alertname=%q, severity=\"info\"} reaches its receivers: %s", testAlert, strings.Join(reached, ", ")))
	}
	switch {
	case !e.good:
		return errReported
	case e.path.Receiver == "":
		return e.fail(what, errors.New("the alert does not reach a receiver with our webhook"),
			"add a route to it, with continue: true before the others")
	}
	e.tell(ok(what, "%s gets it after %v, and its resolve within another %v", e.path.Receiver, e.path.GroupWait, e.path.GroupInterval))
	return nil
}

// follow posts the alert, firing and then resolved, and waits for what comes of it.
func (e *endToEnd) follow(ctx context.Context) {
	// Old enough for a postmortem.
	e.starts = time.Now().Add(-e.route.MinDuration - time.Minute)
	if err := e.post(ctx, time.Time{}); err != nil {
		return
	}
	resolved := false
	var subject string
	defer func() { e.tidy(ctx, subject, resolved) }()
	subject, err := e.await(ctx, "incident", hopTime+e.wait(e.path.GroupWait), func(ctx context.Context) (string, string, error) {
		in, err := e.incident(ctx)
		return in.ID, "opened", err
	}, "look at the log of the program; where it runs behind a proxy, the webhook may end elsewhere")
	if err != nil {
		return
	}
	if err := e.post(ctx, time.Now()); err != nil {
		return
	}
	resolved = true
	_, err = e.await(ctx, "resolve", hopTime+e.wait(e.path.GroupInterval), func(ctx context.Context) (string, string, error) {
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
		_, _ = e.await(ctx, "receiver "+receiver, hopTime+e.cfg.Incidents.DigestWindow, func(ctx context.Context) (string, string, error) {
			return e.delivery(ctx, subject, receiver)
		}, "run doctor, and look at the page /deliveries") // the next receiver is asked all the same
	}
}

// wait is what an Alertmanager may wait for.
func (e *endToEnd) wait(of time.Duration) time.Duration {
	if e.api == nil {
		return 0
	}
	return of + hopSlack
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
		e.tell(ok("post", "alertmanager %s took the %s alert after %v", e.cluster, event, e.since()))
		return nil
	}
	if err := e.postWebhook(ctx, event, ends); err != nil {
		return e.fail("webhook", err, webhookRemedy(err.Error()))
	}
	e.tell(ok("webhook", "took the %s alert after %v", event, e.since()))
	return nil
}

func (e *endToEnd) since() time.Duration { return time.Since(e.posted).Round(time.Millisecond) }

func webhookRemedy(text string) string {
	for _, r := range []struct{ part, remedy string }{
		{"refused", "start the program; doctor posts to the first of web.listen_addresses"},
		{"401", "web.config_file asks for a user, whose password only Alertmanager knows: add --through-alertmanager"},
		{"404", "start the program with --role all or reporter"},
	} {
		if strings.Contains(text, r.part) {
			return r.remedy
		}
	}
	return "look at the log of the program"
}

// postWebhook posts as Alertmanager does.
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
	switch w := e.cfg.Webhook; {
	case !w.BearerToken.Empty():
		req.Header.Set("Authorization", "Bearer "+w.BearerToken.Reveal())
	case w.Username != "":
		req.SetBasicAuth(w.Username, w.Password.Reveal())
	}
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

// ownServer is where the program of this configuration listens, and a client that takes no other certificate than its own.
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
				InsecureSkipVerify: true, //nolint:gosec // the certificate is compared with the server's own file, whatever its names
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

// ownCertificate is the certificate that exporter-toolkit's file names, nil if it has none.
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
		return nil, nil //nolint:nilerr // check-config has said so
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
		return nil, errors.New("web.config_file: cert_file holds no certificate")
	}
	return block.Bytes, nil
}

// await returns when look has found something that came from the last post.
func (e *endToEnd) await(
	ctx context.Context, what string, limit time.Duration, look func(context.Context) (id, text string, err error), remedy string,
) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(hopPoll)
	defer tick.Stop()
	last := errors.New("nothing has come of it")
	for {
		switch id, text, err := look(ctx); {
		case errors.Is(err, errGivenUp):
			return "", e.fail(what, err, remedy)
		case err != nil && ctx.Err() == nil:
			last = err
		case err == nil && id != "":
			e.tell(ok(what, "%s after %v", text, e.since()))
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

// incident is that of the test alert; its ID is empty until there is one.
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

// delivery looks for the postmortem of the incident to a receiver.
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
		return "", "", errors.New("is queued and was not sent")
	}
	return "", "", nil
}

// tidy ends the alert where that was not done yet, and removes the incident.
func (e *endToEnd) tidy(ctx context.Context, subject string, resolved bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
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
		e.tell(warned("clean-up", err.Error(), "the incident "+subject+" stays in the figures of the day"))
	case !gone:
		e.tell(warned("clean-up", "the incident "+subject+" is still open, or waits to be sent, and stays",
			"it counts as alert "+testAlert+" in the figures of the day"))
	default:
		e.tell(ok("clean-up", "incident %s is removed, no figure counts it; the messages stay, marked as a test", subject))
	}
}

// incidentRemove removes the incident of a test.
var incidentRemove = operation[string, bool]{"incident-remove", (*toolbox).removeTest}

func (b *toolbox) removeTest(ctx context.Context, id string) (bool, error) {
	in, err := b.store.Incident(ctx, id)
	if err != nil {
		return false, err
	}
	for _, a := range in.Alerts {
		if a.Labels[testLabel] == "" {
			return false, fmt.Errorf("incident %s is not that of a test", id)
		}
	}
	return b.store.RemoveIncident(ctx, id)
}

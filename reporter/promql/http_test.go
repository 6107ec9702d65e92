package promql_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
)

var noon = time.Date(2026, 4, 22, 4, 0, 0, 0, time.UTC)

const secretPart = "planted-secret"

func newHTTP(t *testing.T, address string, hc promconfig.HTTPClientConfig) *promql.HTTP {
	t.Helper()
	h, err := promql.NewHTTP(address, hc, 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func answering(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	one := []reporter.Sample{{Labels: map[string]string{}, Value: 1}}
	tests := map[string]struct {
		status  int
		body    string
		want    []reporter.Sample
		wantErr string
	}{
		"vector": {200, `{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{"category":"network"},"value":[1,"12"]},{"metric":{},"value":[1,"1.5"]}]}}`,
			[]reporter.Sample{{Labels: map[string]string{"category": "network"}, Value: 12}, {Labels: map[string]string{}, Value: 1.5}}, ""},
		"empty vector": {200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, []reporter.Sample{}, ""},
		"scalar":       {200, `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`, one, ""},
		"string":       {200, `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`, nil, `unexpected value type "string"`},
		"matrix":       {200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, nil, "the result is a matrix"},
		"histogram": {200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":
			[1,{"count":"1","sum":"1","buckets":[]}]}]}}`, nil, "native histogram"},
		"warning": {200, `{"status":"success","warnings":["store 10.0.0.7 did not answer"],"data":{"resultType":"scalar",
			"result":[1,"1"]}}`, nil, "partial answer: store 10.0.0.7 did not answer"},
		"a part of VictoriaMetrics's nodes": {200, `{"status":"success","isPartial":true,"data":{"resultType":"scalar",
			"result":[1,"1"]}}`, nil, "partial answer: a part of the server's storage"},
		"a part, said at the end": {200, `{"data":{"resultType":"scalar","result":[1,"1"]},"isPartial": true,"status":"success"}`, nil, "partial answer"},
		"all of VictoriaMetrics's nodes": {200, `{"status":"success","isPartial":false,"data":{"resultType":"scalar",
			"result":[1,"1"]}}`, one, ""},
		"a label of that name": {200, `{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{"isPartial":"true"},"value":[1,"1"]}]}}`, []reporter.Sample{{Labels: map[string]string{"isPartial": "true"}, Value: 1}}, ""},
		"info sent as a warning": {200, `{"status":"success","warnings":["PromQL info: metric might not be a counter"],
			"data":{"resultType":"scalar","result":[1,"1"]}}`, one, ""},
		"info": {200, `{"status":"success","infos":["PromQL info: x"],"data":{"resultType":"scalar","result":[1,"1"]}}`, one, ""},
		"a series without a value": {200, `{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{"category":"network"}}]}}`, nil, "a series without a value"},
		"a series of a range": {200, `{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{},"values":[[1,"1"],[2,"3"]]}]}}`, nil, "a series without a value"},
		"a zero": {200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0"]}]}}`,
			[]reporter.Sample{{Labels: map[string]string{}, Value: 0}}, ""},
		"the same series twice": {200, `{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{"a":"b"},"value":[1,"1"]},{"metric":{"a":"b"},"value":[1,"1"]}]}}`, nil, "the same series twice"},
		"an error that is called a success": {200, `{"status":"error","errorType":"timeout","error":"query timed out"}`, nil, "query timed out"},
		"bad query": {400, `{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}`, nil,
			"bad_data: parse error"},
		"bad query, at length": {400, `{"status":"error","errorType":"bad_data","error":"` + strings.Repeat("9", 10<<20) + `"}`, nil, "bad_data"},
		"warning, at length": {200, `{"status":"success","warnings":["` + strings.Repeat("9", 10<<20) + `"],"data":{"resultType":"scalar",
			"result":[1,"1"]}}`, nil, "partial answer: 999"},
		"server error with a page": {502, `<html>` + secretPart, nil, "502"},
		"not Prometheus":           {200, `<html>` + secretPart, nil, "prometheus query"},
		"no result":                {200, `{"status":"success","data":{}}`, nil, "prometheus query"},
		"endless":                  {200, `{"status":"success","data":"` + strings.Repeat("x", 20<<20), nil, "too large"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newHTTP(t, answering(t, tt.status, tt.body), promconfig.DefaultHTTPClientConfig).
				Query(t.Context(), "up", noon)
			if (err != nil) != (tt.wantErr != "") || (err != nil && !strings.Contains(err.Error(), tt.wantErr)) {
				t.Fatalf("error is %v, want %q", err, tt.wantErr)
			}
			if err != nil && utf8.RuneCountInString(err.Error()) > 2*safetext.MaxError {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			if err != nil && strings.Contains(err.Error(), secretPart) {
				t.Errorf("error repeats the body: %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHTTPKeepsNaN(t *testing.T) {
	t.Parallel()
	url := answering(t, 200, `{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}`)
	got, err := newHTTP(t, url, promconfig.DefaultHTTPClientConfig).Query(t.Context(), "0/0", noon)
	if err != nil || len(got) != 1 || !math.IsNaN(got[0].Value) {
		t.Errorf("got %v, %v; want one NaN", got, err)
	}
}

func TestHTTPSendsWhatTheClientIsConfiguredWith(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		requests <- r
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	}))
	defer s.Close()
	hc := promconfig.DefaultHTTPClientConfig
	hc.HTTPHeaders = &promconfig.Headers{Headers: map[string]promconfig.Header{"X-Scope-OrgID": {Values: []string{"team-a"}}}}
	address := strings.Replace(s.URL, "http://", "http://me:"+secretPart+"@", 1) + "/prometheus/?dedup=true"
	if _, err := newHTTP(t, address, hc).Query(t.Context(), "sum(x)", noon); err != nil {
		t.Fatal(err)
	}
	r := <-requests
	got := map[string]string{
		"path": r.URL.Path, "tenant": r.Header.Get("X-Scope-OrgID"), "auth": r.Header.Get("Authorization"),
		"query": r.Form.Get("query"), "time": r.Form.Get("time"), "dedup": r.Form.Get("dedup"), "timeout": r.Form.Get("timeout"),
	}
	want := map[string]string{
		"path": "/prometheus/api/v1/query", "tenant": "team-a",
		"auth":  "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+secretPart)),
		"query": "sum(x)", "time": "1776830400", "dedup": "true", "timeout": "2m0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	bearer := promconfig.DefaultHTTPClientConfig
	bearer.Authorization = &promconfig.Authorization{Credentials: secretPart}
	const host = "127.0.0.1:1" // where nothing listens
	tests := map[string]struct {
		url string
		hc  promconfig.HTTPClientConfig
	}{
		"unparsable":           {"http://me:" + secretPart + "%zz@host", promconfig.DefaultHTTPClientConfig},
		"control character":    {"http://me:" + secretPart + "@host/\x01", promconfig.DefaultHTTPClientConfig},
		"no scheme":            {"me:" + secretPart + "@host:9090", promconfig.DefaultHTTPClientConfig},
		"two authentications":  {"http://me:" + secretPart + "@host:9090", bearer},
		"refused, user":        {"http://me:" + secretPart + "@" + host, promconfig.DefaultHTTPClientConfig},
		"refused, bearer":      {"http://" + host, bearer},
		"refused, query token": {"http://" + host + "/?token=" + secretPart, promconfig.DefaultHTTPClientConfig},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := promql.NewHTTP(tt.url, tt.hc, time.Second)
			if err == nil {
				_, err = h.Query(t.Context(), "up", noon)
			}
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), secretPart) {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}

func TestHTTPGivesUpInTime(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	h, err := promql.NewHTTP(s.URL, promconfig.DefaultHTTPClientConfig, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Query(t.Context(), "up", noon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want a deadline", err)
	}
}

func TestRealPrometheus(t *testing.T) {
	t.Parallel()
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "awoooi_alerts{category=\"network\"} 60\nawoooi_alerts{category=\"storage\"} 0\n")
	}))
	defer exporter.Close()
	prom, err := localstack.StartPrometheus(t.Context(), localstack.PrometheusOptions{
		ScrapeInterval: 200 * time.Millisecond, Targets: []string{strings.TrimPrefix(exporter.URL, "http://")},
		// The hash is of "planted-secret".
		WebConfig: "basic_auth_users:\n  me: $2a$04$FL6uVkhU3I.Nqwnb4R2lX.cFY7ztFAE7ZRXFgz350qrlPr/Au6TjS\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := prom.Stop(); err != nil {
			t.Error(err)
		}
	}()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(secretPart), 0o600); err != nil {
		t.Fatal(err)
	}
	hc := promconfig.DefaultHTTPClientConfig
	hc.BasicAuth = &promconfig.BasicAuth{Username: "me", PasswordFile: password}
	h := newHTTP(t, prom.URL(), hc)

	want := []reporter.Sample{
		{Labels: map[string]string{"category": "network"}, Value: 60},
		{Labels: map[string]string{"category": "storage"}, Value: 0},
	}
	var got []reporter.Sample
	var ranges []reporter.Series
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); (len(got) == 0 || len(ranges) == 0) && time.Now().Before(deadline); <-tick.C {
		now := time.Now()
		if got, err = h.Query(t.Context(), "sort_desc(max by (category) (awoooi_alerts))", now); err != nil {
			t.Logf("not ready yet: %v", err)
		}
		if ranges, err = h.QueryRange(t.Context(), "max by (category) (awoooi_alerts)", now.Add(-time.Hour), now, time.Second); err != nil {
			t.Logf("not ready yet: %v", err)
		}
	}
	now := time.Now()
	if err != nil || len(ranges) != 2 || len(ranges[0].Points) == 0 || ranges[0].Points[0].Value != 60 || ranges[0].Labels["category"] != "network" {
		t.Errorf("a range is %+v, %v", ranges, err)
	}
	if _, err := h.QueryRange(t.Context(), "sum(", now.Add(-time.Hour), now, time.Second); err == nil || strings.Contains(err.Error(), secretPart) {
		t.Errorf("a bad expression: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	before, err := h.Query(t.Context(), "sum(awoooi_alerts)", time.Now().Add(-24*time.Hour))
	if err != nil || len(before) != 0 {
		t.Errorf("the day before has %v, %v; want nothing", before, err)
	}
	if _, err := h.Query(t.Context(), "awoooi_alerts[5m]", time.Now()); err == nil || !strings.Contains(err.Error(), "matrix") {
		t.Errorf("a range gives %v, want an error", err)
	}
	if _, err := h.Query(t.Context(), "sum(", time.Now()); err == nil || !strings.Contains(err.Error(), "bad_data") {
		t.Errorf("a broken query gives %v, want bad_data", err)
	}
	wrong := newHTTP(t, strings.Replace(prom.URL(), "http://", "http://me:wrong@", 1), promconfig.DefaultHTTPClientConfig)
	if _, err := wrong.Query(t.Context(), "up", time.Now()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong password gives %v, want 401", err)
	}
}

func TestAlertRules(t *testing.T) {
	t.Parallel()
	const of = `{"status":"success","data":{"groups":[{"rules":[` +
		`{"type":"recording","name":"A","query":"x"},{"type":"alerting","name":"B","query":"y"},{"type":"alerting","name":"A","query":" "},` +
		`{"type":"alerting","name":"A","query":"m > 1","labels":{"severity":"page"},"alerts":[{"labels":{}}]}]},{"rules":[{"type":"alerting","name":"A","query":"n"}]}]}}`
	for name, tc := range map[string]struct {
		status int
		body   string
		want   []reporter.AlertRule
		fails  string
	}{
		"of all rules those of the name": {200, of, []reporter.AlertRule{{Expr: "m > 1", Labels: map[string]string{"severity": "page"}}, {Expr: "n"}}, ""},
		"none":                           {200, `{"status":"success","data":{"groups":[]}}`, nil, ""},
		"no such API":                    {404, "404 page not found", nil, "answered 404"},
		"another server's":               {200, "<html>", nil, "not in the format of Prometheus's API"},
		"an error":                       {200, `{"status":"error","error":"no"}`, nil, "not in the format of Prometheus's API"},
		"nested too deeply":              {200, strings.Repeat("[", 1_000_000), nil, "not in the format of Prometheus's API"},
		"too long":                       {200, strings.Repeat(" ", 17<<20), nil, "too large"},
	} {
		h := newHTTP(t, answering(t, tc.status, tc.body), promconfig.DefaultHTTPClientConfig)
		got, err := h.AlertRules(t.Context(), "A")
		if (err != nil) != (tc.fails != "") || (err != nil && !strings.Contains(err.Error(), tc.fails)) {
			t.Errorf("%s: %v, want %q", name, err, tc.fails)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAlertRulesOfARealPrometheus(t *testing.T) {
	t.Parallel()
	prom, err := localstack.StartPrometheus(t.Context(), localstack.PrometheusOptions{
		Rules: `groups:
- name: g
  rules:
  - {alert: 'A"&b', expr: 'sum by (pod) (rate(m[5m]))   > 0.5', for: 1m, labels: {severity: "{{ $labels.s }}"}}
  - {alert: 'A"&b', expr: 'm > 9', labels: {severity: page}}
  - {alert: B, expr: 'n > 1'}
`,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := prom.Stop(); err != nil {
			t.Error(err)
		}
	})
	h := newHTTP(t, prom.URL()+"?dedup=true", promconfig.DefaultHTTPClientConfig)
	got, err := h.AlertRules(t.Context(), `A"&b`)
	if err != nil {
		t.Fatal(err)
	}
	want := []reporter.AlertRule{
		{Expr: "sum by (pod) (rate(m[5m])) > 0.5", Labels: map[string]string{"severity": "{{ $labels.s }}"}},
		{Expr: "m > 9", Labels: map[string]string{"severity": "page"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The error names the redirect that would drop the query, instead of the server's answer to an empty one.
func TestRedirectsKeepTheQuery(t *testing.T) {
	t.Parallel()
	for code, fails := range map[int]bool{301: true, 302: true, 303: true, 307: false, 308: false} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/prometheus/") {
				http.Redirect(w, r, "/prometheus"+r.URL.Path, code)
				return
			}
			if r.FormValue("query") == "" {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\""}`)
				return
			}
			_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`)
		}))
		t.Cleanup(srv.Close)
		got, err := newHTTP(t, srv.URL, promconfig.DefaultHTTPClientConfig).Query(t.Context(), "up", noon)
		var later *reporter.UnansweredError
		if !fails && (err != nil || len(got) != 1) || fails && (err == nil || !strings.Contains(err.Error(), "set the url to that address") || errors.As(err, &later)) {
			t.Errorf("%d: %v, %v", code, got, err)
		}
	}
}

// Transient faults are distinguished from errors about the query.
func TestFaultsThatMayPass(t *testing.T) {
	t.Parallel()
	const refusal = `{"status":"error","errorType":"%s","error":"no"}`
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(cut.Close)
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	for name, tc := range map[string]struct {
		url   string
		later bool
	}{
		"connection refused": {"http://127.0.0.1:1", true},
		"connection cut":     {cut.URL, true},
		"no answer":          {slow.URL, true},
		"429":                {answering(t, 429, "slow down"), true},
		"500":                {answering(t, 500, ""), true},
		"502":                {answering(t, 502, "<html>"), true},
		"503":                {answering(t, 503, strings.Replace(refusal, "%s", "timeout", 1)), true},
		"504":                {answering(t, 504, ""), true},
		"400":                {answering(t, 400, strings.Replace(refusal, "%s", "bad_data", 1)), false},
		"422":                {answering(t, 422, strings.Replace(refusal, "%s", "execution", 1)), false},
		"401":                {answering(t, 401, ""), false},
		"404":                {answering(t, 404, ""), false},
		"another server's":   {answering(t, 200, "<html>"), false},
		"too long":           {answering(t, 200, strings.Repeat(" ", 17<<20)), false},
		"a range":            {answering(t, 200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if tc.url == slow.URL {
				timeout = time.Second
			}
			h, err := promql.NewHTTP(tc.url, promconfig.DefaultHTTPClientConfig, timeout)
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.Query(t.Context(), "up", noon)
			var later *reporter.UnansweredError
			if err == nil || errors.As(err, &later) != tc.later {
				t.Errorf("%v; may be answered later: %v, want %v", err, !tc.later, tc.later)
			}
		})
	}
}

// A closed client leaves no open connection.
func TestCloseEndsIdleConnections(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"scalar","result":[1776830400,"1"]}}`)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	hc := promconfig.DefaultHTTPClientConfig
	hc.BasicAuth = &promconfig.BasicAuth{Username: "reader", Password: secretPart}
	h := newHTTP(t, s.URL, hc)
	if _, err := h.Query(t.Context(), "1", noon); err != nil {
		t.Fatal(err)
	}
	h.Close()
	<-closed // or the test times out
}

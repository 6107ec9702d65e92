package httpjson_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/httpjson"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

const planted = "pl4nted-p4ssword"

func query(path, jq string) kpi.Query {
	return kpi.Query{
		Name: "q", Source: "api", HTTP: kpi.HTTPQuery{Path: path, JQ: jq}, Timeout: time.Minute,
		Metrics: []kpi.Metric{{Name: "a", Help: "b", Window: time.Hour}},
	}.WithDefaults()
}

func open(t *testing.T, url string) *httpjson.Source {
	t.Helper()
	s, err := httpjson.Open(httpjson.Config{Name: "api", URL: secret.New(url), Client: &http.Client{Timeout: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func read(t *testing.T, s *httpjson.Source, q kpi.Query) collector.Result {
	t.Helper()
	var out collector.Result
	s.Read(t.Context(), time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC), []kpi.Query{q}, func(_ int, r collector.Result) { out = r })
	return out
}

func TestAnswersBecomeRows(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/base/v1/x" || r.URL.RawQuery != "status=active" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `{"total": 23, "items": [{"state": "on", "n": 1}, {"state": "off", "n": null}, {"state": "on", "n": 2.5}]}`)
	}))
	t.Cleanup(srv.Close)
	s := open(t, srv.URL+"/base/")
	for jq, want := range map[string]string{
		".total":                          "[value] [[23]]",
		".items | length":                 "[value] [[3]]",
		".items[]":                        "[n state] [[1 on] [<nil> off] [2.5 on]]",
		".items[] | {state}":              "[state] [[on] [off] [on]]",
		`{until: $until, since: $since}`:  "[since until] [[2026-04-21T23:00:00Z 2026-04-22T00:00:00Z]]",
		"empty":                           "[] []",
		".total * 1000000000000000000000": "[value] [[23000000000000000000000]]",
	} {
		r := read(t, s, query("/v1/x?status=active", jq))
		if got := fmt.Sprint(r.Rows.Columns, " ", r.Rows.Values); r.Err != nil || got != want {
			t.Errorf("%s gives %s, %v; want %s", jq, got, r.Err, want)
		}
	}
	for jq, says := range map[string]string{
		".items":                    "cannot iterate",
		".total | error(\"oh no\")": "oh no",
		"{a: .items}":               "want a plain value",
		"range(20000)":              "more than 10000 rows",
		"def f: f; f":               "deadline",
	} {
		q := query("/v1/x?status=active", jq)
		if says == "deadline" {
			q.Timeout = 300 * time.Millisecond
		}
		if jq == ".items" {
			q.HTTP.JQ = ".total[]"
		}
		if r := read(t, s, q); r.Err == nil || !strings.Contains(r.Err.Error(), says) {
			t.Errorf("%s: %v, want %q", jq, r.Err, says)
		}
	}
}

func TestFaultsAreNamedWithoutSecrets(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != planted {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/html":
			fmt.Fprint(w, "<html>")
		case "/big":
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 11<<20))
		case "/hang":
			<-r.Context().Done()
			close(hung)
		case "/cut":
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(srv.Close)
	s := open(t, strings.Replace(srv.URL, "http://", "http://user:"+planted+"@", 1)+"?token="+planted)
	for path, says := range map[string]string{
		"/500": "/500 answered 500", "/html": "an HTML page instead of JSON", "/big": "more than", "/cut?token=" + planted: "connection lost", "/404?token=" + planted: "an empty body",
	} {
		r := read(t, s, query(path, "."))
		if r.Err == nil || !strings.Contains(r.Err.Error(), says) {
			t.Errorf("%s: %v, want %q", path, r.Err, says)
		}
		if r.Err != nil && strings.Contains(r.Err.Error(), planted) {
			t.Errorf("%s: the error shows the secret: %v", path, r.Err)
		}
	}
	q := query("/hang", ".")
	q.Timeout = 100 * time.Millisecond
	if r := read(t, s, q); r.Err == nil || !strings.Contains(r.Err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("hang: %v", r.Err)
	}
	<-hung
	down := open(t, "http://user:"+planted+"@127.0.0.1:1")
	if r := read(t, down, query("/", ".")); r.Err == nil || strings.Contains(r.Err.Error(), planted) {
		t.Errorf("down: %v", r.Err)
	}
	for _, bad := range []string{"ftp://" + planted, "http://", "http://u:" + planted + "@h:bad"} {
		if _, err := httpjson.Open(httpjson.Config{URL: secret.New(bad), Client: &http.Client{}}); err == nil || strings.Contains(err.Error(), planted) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	srvLong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"\u001b[31m%s": {}}`, strings.Repeat("9", 1<<20))
	}))
	t.Cleanup(srvLong.Close)
	for _, jq := range []string{".", "error(keys[0])"} {
		r := read(t, open(t, srvLong.URL), query("/", jq))
		if r.Err == nil || len(r.Err.Error()) > 2*safetext.MaxError || strings.Contains(r.Err.Error(), "\x1b") {
			t.Errorf("%s: an answer of 1 MB is not refused briefly: %.100q", jq, r.Err)
		}
	}
	for _, jq := range []string{".[", "$nothing", "nofunction"} {
		if httpjson.Check(query("/", jq)) == nil {
			t.Errorf("%s passes the check", jq)
		}
	}
	if err := httpjson.Check(query("/", ".a | $since")); err != nil {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for n := range p {
		p[n] = '0'
	}
	return len(p), nil
}

// A request has the query strings of the base and the path, an encoded slash stays encoded, and text after the JSON document is an
// error.
func TestRequestsKeepTheBasesQueryAndRefuseTrailingText(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/api/a%2Fb":
			fmt.Fprintf(w, "%q", r.URL.RawQuery)
		case "/api/trailing":
			fmt.Fprint(w, `{"total": 3} and more`)
		case "/api/away":
			w.Header().Set("Location", "http://[bad?token="+planted)
			w.WriteHeader(http.StatusFound)
		case "/api/loop":
			http.Redirect(w, r, "/api/loop?token="+planted, http.StatusFound)
		}
	}))
	t.Cleanup(srv.Close)
	s := open(t, srv.URL+"/api?key="+planted)
	r := read(t, s, query("/a%2Fb?status=active", "."))
	if want := "[[key=" + planted + "&status=active]]"; r.Err != nil || fmt.Sprint(r.Rows.Values) != want {
		t.Errorf("%v, %v; want %s", r.Rows.Values, r.Err, want)
	}
	for _, path := range []string{"/trailing", "/away", "/loop"} {
		if r := read(t, s, query(path, ".")); r.Err == nil || strings.Contains(r.Err.Error(), planted) {
			t.Errorf("%s: %v", path, r.Err)
		}
	}
	for _, path := range []string{
		"http://elsewhere.example/x", "//elsewhere.example/x", "/%zz?token=" + planted, "/a%2Fb?tag=#urgent", "/a%2Fb#",
	} {
		if err := httpjson.Check(query(path, ".")); err == nil || strings.Contains(err.Error(), planted) {
			t.Errorf("%s: the check says %v", path, err)
		}
		if r := read(t, s, query(path, ".")); r.Err == nil {
			t.Errorf("%s was asked", path)
		}
	}
}

// The builtin set's expression reads the three forms of the answer, and never makes a 0 of another one.
func TestBuiltinPlaybooksQuery(t *testing.T) {
	t.Parallel()
	set, err := collector.Builtin("awoooi")
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(set.Queries, func(q kpi.Query) bool { return q.Name == "playbooks" })
	q := set.Queries[at]
	if err := httpjson.Check(q); err != nil {
		t.Fatal(err)
	}
	for answer, want := range map[string]string{
		`{"total": 23, "items": [{}]}`: "[[23]] <nil>", `[{}, {}]`: "[[2]] <nil>", `{"items": [{}, {}, {}]}`: "[[3]] <nil>",
		`{"items": []}`: "[[0]] <nil>", `[]`: "[[0]] <nil>", `{"total": 0}`: "[[0]] <nil>",
		`{}`: "neither a total nor", `{"detail": "moved"}`: "neither a total nor", `{"items": null}`: "neither a total nor",
		`{"items": [{}], "next": null, "has_more": false}`: "[[1]] <nil>", `{"items": [{}], "next": ""}`: "[[1]] <nil>", `{"items": [{}], "total": 9, "has_more": true}`: "[[9]] <nil>",
		`{"items": [{}], "next": "/api/v1/playbooks?page=2"}`: "one page of several", `{"items": [{}], "has_more": true}`: "one page of several",
		`{"total": null}`: "neither a total nor", `null`: "neither a total nor", `"maintenance"`: "expected an object",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RequestURI() != "/api/v1/playbooks?status=active" {
				http.NotFound(w, r)
			}
			fmt.Fprint(w, answer)
		}))
		t.Cleanup(srv.Close)
		r := read(t, open(t, srv.URL), q)
		if got := fmt.Sprint(r.Rows.Values, " ", r.Err); !strings.Contains(got, want) {
			t.Errorf("%s gives %s, want %s", answer, got, want)
		}
	}
}

// An answer that is not one JSON document is an error that says what it is.
func TestAnswersThatAreNotOneJSONDocument(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status     int
		body, says string
	}{
		"no content":                {204, "", "answered 204 with no content"},
		"an empty body":             {200, "", "answered 200 with an empty body"},
		"white space":               {200, " \n\t", "an empty body"},
		"a byte order mark":         {200, "\xef\xbb\xbf{\"total\": 3}", "byte order mark"},
		"UTF-16":                    {200, "\xff\xfe1\x00", "byte order mark"},
		"a login page":              {200, "<!DOCTYPE html><title>Sign in</title>", "an HTML page instead of JSON, such as a login page"},
		"NDJSON":                    {200, "{\"total\": 3}\n{\"total\": 4}\n", "several JSON documents (NDJSON)"},
		"further text":              {200, "{\"total\": 3} and more", "further text after the JSON document"},
		"an object that is cut":     {200, "{\"total\": 3", "JSON that ends too early"},
		"a number that is not JSON": {200, "NaN", "text that is not JSON"},
		"text":                      {200, "maintenance", "text that is not JSON"},
		"Latin-1":                   {200, "{\"total\": \"caf\xe9\"}", "not UTF-8"},
		"a key twice":               {200, "{\"total\": 3, \"total\": 4}", "a key twice"},
		"deep nesting":              {200, strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "text that is not JSON"},
		"a status":                  {503, "{\"total\": 3}", "answered 503 Service Unavailable"},
		"a redirect to nowhere":     {302, "", "answered 302 Found"},
		"a part":                    {206, "[3]", "answered 206 Partial Content"},
		"half of a pair":            {200, `{"total": "\ud800"}`, "half of a surrogate pair"},
		"the other half":            {200, `{"total": "\udfff"}`, "half of a surrogate pair"},
		"two first halves":          {200, `{"total": "\ud83d\uD83D\ude00"}`, "half of a surrogate pair"},
		"a half before text":        {200, `{"total": "\ud83d \ude00"}`, "half of a surrogate pair"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			}))
			t.Cleanup(srv.Close)
			r := read(t, open(t, srv.URL), query("/", ".total"))
			if r.Err == nil || !strings.Contains(r.Err.Error(), tc.says) || strings.Contains(r.Err.Error(), "Sign in") {
				t.Errorf("%v, %v; want %q", r.Rows.Values, r.Err, tc.says)
			}
		})
	}
}

// Characters beyond the first plane, and escaped backslashes before a u, are ordinary text.
func TestEscapesOfText(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `["\ud83d\ude00", "\\ud800", "\u544a\\\u8b66", "\uD83D\uDE00\ud83d\ude01\n\"", "\u0000"]`)
	}))
	t.Cleanup(srv.Close)
	r := read(t, open(t, srv.URL), query("/", ".[]"))
	if got, want := fmt.Sprintf("%q", r.Rows.Values), `[["😀"] ["\\ud800"] ["告\\警"] ["😀😁\n\""] ["\x00"]]`; r.Err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, r.Err, want)
	}
}

// The Content-Type may name another charset, in which the same bytes are other characters.
func TestCharsets(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]string{
		"":                                "[[é]] <nil>",
		"application/json":                "[[é]] <nil>",
		"application/json;charset=UTF-8":  "[[é]] <nil>",
		"text/plain; charset=utf8":        "[[é]] <nil>",
		"application/json; charset=Big5":  "in another charset than UTF-8",
		`text/json; charset="iso-8859-1"`: "in another charset than UTF-8",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if r.URL.Path == "/ascii" {
				io.WriteString(w, `"e"`)
			} else {
				io.WriteString(w, `"é"`)
			}
		}))
		t.Cleanup(srv.Close)
		s := open(t, srv.URL)
		r := read(t, s, query("/", "."))
		if got := fmt.Sprint(r.Rows.Values, " ", r.Err); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", contentType, got, want)
		}
		if r := read(t, s, query("/ascii", ".")); r.Err != nil {
			t.Errorf("ASCII as %s: %v", contentType, r.Err)
		}
	}
}

// A server may compress an answer without being asked, and its Content-Encoding may be wrong.
func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	packed := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.WriteString(w, text)
		w.Close()
		return b.String()
	}
	whole := packed(`{"total": 23}`)
	for name, tc := range map[string]struct{ encoding, body, want string }{
		"gzip":                   {"gzip", whole, "[[23]] <nil>"},
		"its other name":         {"X-GZIP", whole, "[[23]] <nil>"},
		"none":                   {"identity", `{"total": 23}`, "[[23]] <nil>"},
		"gzip that is none":      {"gzip", `{"total": 23}`, "[] http: the answer is not the gzip that its Content-Encoding says"},
		"gzip that is damaged":   {"gzip", whole[:len(whole)-8] + "damaged!", "[] http: the answer is not the gzip that its Content-Encoding says"},
		"gzip that ends early":   {"gzip", whole[:len(whole)-9], "[] http: connection lost"},
		"gzip of nothing":        {"gzip", "", "[] http: / answered 200 with an empty body"},
		"gzip of a large answer": {"gzip", packed(strings.Repeat(" ", 11<<20)), "[] http: / answered more than"},
		"another":                {"br", whole, `[] http: the answer has the Content-Encoding "br", want none or gzip`},
		"gzip unsaid":            {"", whole, "[] http: / answered 200 with text that is not UTF-8"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if tc.encoding != "" {
				w.Header().Set("Content-Encoding", tc.encoding)
			}
			io.WriteString(w, tc.body)
		}))
		t.Cleanup(srv.Close)
		// The program's own clients leave compression to the source.
		s, err := httpjson.Open(httpjson.Config{Name: "api", URL: secret.New(srv.URL), Client: &http.Client{Transport: &http.Transport{DisableCompression: true}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		r := read(t, s, query("/", ".total"))
		if got := fmt.Sprint(r.Rows.Values, " ", r.Err); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// Numbers keep their digits: two ids that float64 rounds to the same number stay distinct, and numbers out of range are errors.
func TestNumbersAreNotRounded(t *testing.T) {
	t.Parallel()
	const body = `{"items": [{"id": 9007199254740992, "n": 1}, {"id": 9007199254740993, "n": 1.50}, {"id": 12345678901234567890.25, "n": 1e400}]}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
	t.Cleanup(srv.Close)
	s := open(t, srv.URL)
	scraped := func(jq string) string {
		q := query("/", jq)
		q.Metrics = []kpi.Metric{{Name: "acme_n", Help: "h.", Value: "n", Labels: []string{"id"}}}
		c := collector.New(collector.Config{
			Sources: []collector.NamedSource{{Name: "api", Kind: kpi.KindHTTP, Source: s}}, Queries: []kpi.Query{q}, ScrapeTimeout: 10 * time.Second,
		}, slog.New(slog.DiscardHandler), nil)
		w := httptest.NewRecorder()
		c.Handler(prometheus.NewRegistry()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	if text := scraped(".items[:2][]"); !strings.Contains(text, `acme_n{id="9007199254740992"} 1`) || !strings.Contains(text, `acme_n{id="9007199254740993"} 1.5`) {
		t.Errorf("two ids:\n%s", text)
	}
	if text := scraped(".items[2] | {id, n: 2}"); !strings.Contains(text, `acme_n{id="12345678901234567890.25"} 2`) {
		t.Errorf("a long id:\n%s", text)
	}
	if text := scraped(".items[]"); strings.Contains(text, "acme_n{") || !strings.Contains(text, `query_success{query="q",source="api"} 0`) {
		t.Errorf("1e400:\n%s", text)
	}
}

// The borders of the window are available in the query string, in a form that fromdate parses.
func TestBordersOfTheWindow(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"from": %q, "to": %q, "filter": %q}`, r.FormValue("from"), r.FormValue("to"), r.FormValue("$filter"))
	}))
	t.Cleanup(srv.Close)
	s := open(t, srv.URL)
	r := read(t, s, query("/x?from=$since&to=$until&$filter=a$b", "[.from, .to, .filter, ($until | fromdate) - ($since | fromdate) | tostring] | join(\" \")"))
	if got, want := fmt.Sprint(r.Rows.Values), "[[2026-04-21T23:00:00Z 2026-04-22T00:00:00Z a$b 3600]]"; r.Err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, r.Err, want)
	}
	const typo = "$until" + "l" // in two parts for the spelling checker
	if err := httpjson.Check(query("/x?to="+typo, ".")); err == nil || !strings.Contains(err.Error(), "unknown variable "+typo+" (have $since, $until)") {
		t.Errorf("a typo: %v", err)
	}
	if err := httpjson.Check(query("/x/$since/$until", ".")); err == nil || !strings.Contains(err.Error(), "replaced only after the ?") {
		t.Errorf("in the path: %v", err)
	}
	q := query("/x?from=$since", ".")
	q.Metrics[0].Window = 0
	if err := httpjson.Check(q); err == nil || !strings.Contains(err.Error(), "has no window") {
		t.Errorf("without a window: %v", err)
	}
}

func TestCausesOfErrors(t *testing.T) {
	t.Parallel()
	tls := httptest.NewTLSServer(nil)
	t.Cleanup(tls.Close)
	plain := httptest.NewServer(nil)
	t.Cleanup(plain.Close)
	for url, says := range map[string]string{
		"http://u:" + planted + "@127.0.0.1:1":     "http: connection refused",
		"http://u:" + planted + "@nowhere.invalid": "http: host not found",
		tls.URL: "http: certificate not trusted",
		strings.Replace(plain.URL, "http://", "https://", 1): "http: server without TLS",
	} {
		r := read(t, open(t, url), query("/", "."))
		if r.Err == nil || r.Err.Error() != says {
			t.Errorf("%s: %v, want %s", url, r.Err, says)
		}
	}
}

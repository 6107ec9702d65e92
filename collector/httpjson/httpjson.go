// Package httpjson is the source of KPIs from JSON over HTTP: a path and a jq expression come in, rows go out.
package httpjson

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/neterr"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// maxBody bounds an answer, in bytes.
const maxBody = 10 << 20

// Config names an HTTP API.
type Config struct {
	Name   string
	URL    secret.Text // its userinfo becomes basic auth
	Client *http.Client
}

// Source reads one API.
type Source struct {
	base   *url.URL
	client *http.Client
}

// Open makes the source; it connects at the first Read. The error is about a URL that cannot be used, and shows nothing of it.
func Open(c Config) (*Source, error) {
	u, err := url.Parse(c.URL.Reveal())
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("http: the URL cannot be used, want http://host or https://host")
	}
	return &Source{base: u, client: c.Client}, nil
}

// Check refuses a path or an expression that cannot be parsed.
func Check(q kpi.Query) error {
	if _, err := compile(q); err != nil {
		return fmt.Errorf("query %q: %w", q.Name, err)
	}
	rel, err := parsePath(q.HTTP.Path)
	if err != nil {
		return fmt.Errorf("query %q: %w", q.Name, err)
	}
	if border.MatchString(rel.Path) {
		return fmt.Errorf("query %q: http.path: $since and $until are replaced only after the ?", q.Name)
	}
	for _, values := range rel.Query() {
		for _, v := range values {
			switch {
			case variable.MatchString(v) && border.FindString(v) != v:
				return fmt.Errorf("query %q: http.path: unknown variable %s (have $since, $until)", q.Name, v)
			case strings.Contains(v, "$since") && q.Window() == 0:
				return fmt.Errorf("query %q: http.path uses $since, but the metric has no window", q.Name)
			}
		}
	}
	return nil
}

var (
	// border is a variable in the query string of a path.
	border   = regexp.MustCompile(`\$(since|until)\b`)
	variable = regexp.MustCompile(`^\$[A-Za-z_][A-Za-z0-9_]*$`)
)

// parsePath reads a path with an optional query string. Its errors quote nothing of it, since it may hold a secret.
func parsePath(path string) (*url.URL, error) {
	u, err := url.Parse(path)
	switch {
	case err != nil || u.Scheme != "" || u.Host != "":
		return nil, errors.New("http.path cannot be used, want a path below the source's URL")
	case strings.Contains(path, "#"): // a fragment is not sent
		return nil, errors.New("http.path has a #, which begins a fragment: write %23")
	}
	return u, nil
}

func compile(q kpi.Query) (*gojq.Code, error) {
	text := q.HTTP.JQ
	if text == "" {
		text = "."
	}
	parsed, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("http.jq: %w", err)
	}
	code, err := gojq.Compile(parsed, gojq.WithVariables([]string{"$since", "$until"}))
	if err != nil {
		return nil, fmt.Errorf("http.jq: %w", err)
	}
	return code, nil
}

// Close ends idle connections.
func (s *Source) Close() { s.client.CloseIdleConnections() }

// Read answers the queries, each with a request of its own.
func (s *Source) Read(ctx context.Context, until time.Time, queries []kpi.Query, give collector.Give) {
	collector.Each(ctx, queries, give, func(ctx context.Context, q kpi.Query) (collector.Rows, error) {
		rows, err := s.ask(ctx, until, q)
		if err != nil {
			return collector.Rows{}, fmt.Errorf("http: %w", err)
		}
		return rows, nil
	})
}

func (s *Source) ask(ctx context.Context, until time.Time, q kpi.Query) (collector.Rows, error) {
	code, err := compile(q)
	if err != nil {
		return collector.Rows{}, err
	}
	since, end := moment(until.Add(-q.Window())), moment(until)
	doc, err := s.get(ctx, q.HTTP.Path, map[string]string{"$since": since, "$until": end})
	if err != nil {
		return collector.Rows{}, err
	}
	results := code.RunWithContext(ctx, doc, since, end)
	var all []any
	for {
		v, more := results.Next()
		if !more {
			return table(all)
		}
		if err, failed := v.(error); failed {
			return collector.Rows{}, fmt.Errorf("http.jq: %w", safetext.Error(err))
		}
		if all = append(all, v); len(all) > collector.MaxRows {
			return collector.Rows{}, fmt.Errorf("more than %d rows", collector.MaxRows)
		}
	}
}

// moment is a border of the window, in whole seconds, as jq's fromdate parses it. Both borders drop the same fraction, so that the
// window keeps its length.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (s *Source) get(ctx context.Context, path string, borders map[string]string) (any, error) {
	rel, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	u := s.base.JoinPath(rel.EscapedPath())
	// The base may have a query string too, such as an API key.
	query := border.ReplaceAllStringFunc(rel.RawQuery, func(name string) string { return url.QueryEscape(borders[name]) })
	u.RawQuery = strings.Trim(s.base.RawQuery+"&"+query, "&")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "awoooi-reporter")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, safe(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 || resp.StatusCode == http.StatusPartialContent { // a part could be taken for all of it
		return nil, fmt.Errorf("%s answered %d %s", rel.Path, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	b, err := read(resp)
	if err != nil {
		return nil, err
	}
	if len(b) > maxBody {
		return nil, fmt.Errorf("%s answered more than %d bytes", rel.Path, maxBody)
	}
	doc, err := decode(b, resp)
	if err != nil {
		return nil, fmt.Errorf("%s answered %d with %w", rel.Path, resp.StatusCode, err)
	}
	return doc, nil
}

// read reads at most maxBody+1 bytes of a body, and decompresses it. A server may compress even if the request does not ask for it
// (RFC 9110, 12.5.3).
func read(resp *http.Response) ([]byte, error) {
	body := io.Reader(resp.Body)
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(body)
		if errors.Is(err, io.EOF) { // an empty body
			return nil, nil
		}
		if err != nil {
			return nil, unreadable(err)
		}
		body = unpacked
	default:
		return nil, fmt.Errorf("the answer has the Content-Encoding %s, want none or gzip", safetext.Quote(encoding, 50))
	}
	b, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return b, nil
}

// unreadable returns why a body could not be read.
func unreadable(err error) error {
	var damage flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &damage) {
		return errors.New("the answer is not the gzip that its Content-Encoding says")
	}
	return safe(err)
}

// The errors of answers that are not one JSON document.
var (
	errNoContent = errors.New("no content")
	errEmpty     = errors.New("an empty body")
	errHTML      = errors.New("an HTML page instead of JSON, such as a login page: set credentials in http_config")
	errBOM       = errors.New("JSON after a byte order mark, which JSON must not have")
	errLines     = errors.New("several JSON documents (NDJSON), want one")
	errTrailing  = errors.New("further text after the JSON document")
	errEncoding  = errors.New("text that is not UTF-8")
	errCharset   = errors.New("text in another charset than UTF-8, by its Content-Type: JSON must be UTF-8")
	errHalf      = errors.New("a string with half of a surrogate pair, which is not a character")
	errTwice     = errors.New("a JSON object that has a key twice")
	errCutShort  = errors.New("JSON that ends too early")
	errNotJSON   = errors.New("text that is not JSON")
)

// decode reads one JSON document. Numbers keep all of their digits.
func decode(b []byte, resp *http.Response) (any, error) {
	text := bytes.TrimSpace(b)
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return nil, errNoContent
	case len(text) == 0:
		return nil, errEmpty
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")), bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return nil, errBOM
	case text[0] == '<':
		return nil, errHTML
	case !asUTF8(text, resp.Header.Get("Content-Type")):
		return nil, errCharset
	case !utf8.Valid(text): // the decoder replaces different bytes by the same character
		return nil, errEncoding
	case halfPair(text): // as above
		return nil, errHalf
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	doc, err := value(d, 0)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errCutShort
	case errors.Is(err, errTwice):
		return nil, err
	case err != nil:
		return nil, errNotJSON // its own error quotes the text
	}
	rest := bytes.TrimSpace(text[d.InputOffset():])
	switch {
	case len(rest) == 0:
		return doc, nil
	case json.NewDecoder(bytes.NewReader(rest)).Decode(new(any)) == nil:
		return nil, errLines
	}
	return nil, errTrailing
}

// asUTF8 reports whether a text may be read as UTF-8 according to its Content-Type. Text in Big5 or Latin-1 may be valid UTF-8 with
// other characters; ASCII is the same in all of them.
func asUTF8(text []byte, contentType string) bool {
	_, params, err := mime.ParseMediaType(contentType)
	charset := strings.ToLower(params["charset"])
	if err != nil || charset == "" || charset == "utf-8" || charset == "utf8" {
		return true
	}
	return !bytes.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

var surrogate = regexp.MustCompile(`\\(?:u([0-9a-fA-F]{4})|.)`)

// halfPair reports whether text has an escaped surrogate without its other half.
func halfPair(text []byte) bool {
	if !bytes.Contains(text, []byte(`\ud`)) && !bytes.Contains(text, []byte(`\uD`)) {
		return false
	}
	high, end := rune(0), 0 // of a pair whose second half must follow
	for _, at := range surrogate.FindAllSubmatchIndex(text, -1) {
		var r rune
		if at[2] >= 0 {
			code, _ := strconv.ParseUint(string(text[at[2]:at[3]]), 16, 32) // hexadecimal digits
			r = rune(code)                                                  //nolint:gosec // of 16 bits
		}
		switch {
		case high != 0 && (at[0] != end || utf16.DecodeRune(high, r) == utf8.RuneError):
			return true
		case high != 0:
			high = 0
		case r >= 0xdc00 && r <= 0xdfff:
			return true
		case utf16.IsSurrogate(r):
			high, end = r, at[1]
		}
	}
	return high != 0
}

// maxNesting bounds the nesting of an answer.
const maxNesting = 1000

// value reads the next value of d. An object that has a key twice is an error, because it is ambiguous.
func value(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxNesting {
		return nil, errNotJSON
	}
	switch t {
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string) // the decoder allows no other type
			if _, twice := object[name]; twice {
				return nil, errTwice
			}
			if object[name], err = value(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := value(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

// safe returns the cause of a failed request. The client's own error quotes the URL, which may hold a password or a token, and other
// addresses, such as that of a redirect.
func safe(err error) error {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New(neterr.WithoutTLS)
	}
	switch cause := neterr.Cause(err); cause {
	case "":
		return errors.New("the request failed")
	case neterr.TimedOut:
		return fmt.Errorf("timeout: %w", context.DeadlineExceeded)
	default:
		return errors.New(cause)
	}
}

// table makes rows from jq's results: the keys of an object are columns, any other value is the column "value".
func table(results []any) (collector.Rows, error) {
	names := map[string]bool{}
	for _, r := range results {
		if o, ok := r.(map[string]any); ok {
			for k := range o {
				names[k] = true
			}
		} else {
			names["value"] = true
		}
	}
	rows := collector.Rows{Columns: slices.Sorted(maps.Keys(names))}
	for _, r := range results {
		o, ok := r.(map[string]any)
		if !ok {
			o = map[string]any{"value": r}
		}
		row := make([]any, len(rows.Columns))
		for n, c := range rows.Columns {
			switch v := o[c].(type) {
			case map[string]any, []any:
				return rows, fmt.Errorf("column %s is a list or an object, want a plain value", safetext.Quote(c, 100))
			case *big.Int:
				row[n] = v.String()
			default:
				row[n] = v
			}
		}
		rows.Values = append(rows.Values, row)
	}
	return rows, nil
}

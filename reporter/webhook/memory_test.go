package webhook_test

import (
	"context"
	"flag"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

// bodySize is smaller than the 10 MiB that may come, because bodies are slow to decode under the race detector.
var bodySize = flag.Int("webhook.body", 2<<20, "how many bytes the worst bodies have")

// mostMemory is what any body may take, in bytes: 150 MiB for the largest that may come. A part of it does not depend on the
// body: what the collector of garbage has not come to yet.
func mostMemory(body string) uint64 { return 10*uint64(len(body)) + 50<<20 }

// BenchmarkWorstBodies reports the most memory that is in use of the heap while one body of 10 MiB is taken, beyond what was
// in use before; the body itself is not counted.
func BenchmarkWorstBodies(b *testing.B) {
	bodies := worst(10 << 20)
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		b.Run(name, func(b *testing.B) {
			body := bodies[name]()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				_, peak, _ := postMeasured(b, body)
				b.ReportMetric(float64(peak)/(1<<20), "peak-MB")
				if peak > mostMemory(body) {
					b.Errorf("took %d MB", peak>>20)
				}
			}
		})
	}
}

// Each body is answered, takes no more memory than it may, and is not echoed. These kinds take the most (see the benchmark for
// the others), or took the most before bodies were decoded as a stream.
func TestWorstBodiesAreBounded(t *testing.T) {
	bodies := worst(*bodySize)
	for _, name := range []string{"invalid UTF-8", "many labels", "number", "nested"} {
		body := bodies[name]()
		w, peak, logged := postMeasured(t, body)
		if w.Code != 200 && w.Code != 400 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if peak > mostMemory(body) {
			t.Errorf("%s: took %d MB", name, peak>>20)
		}
		if w.Body.Len() > 200 || logged > 1000 {
			t.Errorf("%s: answered %d bytes, logged %d", name, w.Body.Len(), logged)
		}
		t.Logf("%s: %d, %d MB", name, w.Code, peak>>20)
	}
}

// meter looks at the memory in use whenever more of the body is read, and when it has been decoded.
type meter struct {
	io.Reader
	peak uint64
}

func (m *meter) look() {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}} // live, or not yet swept
	metrics.Read(sample)
	m.peak = max(m.peak, sample[0].Value.Uint64())
}

func (m *meter) Read(p []byte) (int, error) {
	m.look()
	return m.Reader.Read(p)
}

func (*meter) Close() error { return nil }

// postMeasured posts a body of unknown length to a new handler, and returns the memory that it took and what was logged.
func postMeasured(t testing.TB, body string) (w *httptest.ResponseRecorder, peak uint64, logged int) {
	t.Helper()
	runtime.GC()
	m := &meter{Reader: strings.NewReader(body)}
	m.look()
	before := m.peak
	h, logs, _ := newHandler(t, webhook.Config{}, &sink{during: func(context.Context) { m.look() }})
	w = post(h, "", func(r *http.Request) { r.Body, r.ContentLength = m, -1 })
	m.look()
	return w, m.peak - before, logs.Len()
}

// exposes says whether the registry exposes that line.
func exposes(t *testing.T, reg *prometheus.Registry, line string) bool {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return slices.Contains(strings.Split(w.Body.String(), "\n"), line)
}

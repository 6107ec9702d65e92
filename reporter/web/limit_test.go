package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// slowWorld is a world whose journal answers when it is released, and counts who asks it.
type slowWorld struct {
	world
	release      chan struct{}
	inWork, most *atomic.Int32
}

func (w slowWorld) ListIncidents(ctx context.Context, f reporter.IncidentFilter) (reporter.IncidentPage, error) {
	n := w.inWork.Add(1)
	defer w.inWork.Add(-1)
	for {
		most := w.most.Load()
		if n <= most || w.most.CompareAndSwap(most, n) {
			break
		}
	}
	<-w.release
	return w.world.ListIncidents(ctx, f)
}

func TestPagesInWorkAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := slowWorld{release: make(chan struct{}), inWork: new(atomic.Int32), most: new(atomic.Int32)}
		h := pagesOf(w, w.world)
		answers := make(chan *httptest.ResponseRecorder, 200)
		ask := func() {
			r := httptest.NewRecorder()
			h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/incidents", nil))
			answers <- r
		}
		for range 100 {
			go ask()
		}
		synctest.Wait()
		if got := w.inWork.Load(); got != 4 {
			t.Errorf("%d pages are in work, want 4", got)
		}
		// 36 did not fit into the queue, and 60 wait in vain for some seconds.
		codes := map[int]int{}
		for range 96 {
			r := <-answers
			codes[r.Code]++
			if r.Code == 503 && r.Header().Get("Retry-After") != "5" {
				t.Errorf("Retry-After: %q", r.Header().Get("Retry-After"))
			}
		}
		close(w.release)
		for range 4 {
			codes[(<-answers).Code]++
		}
		if codes[200] != 4 || codes[503] != 96 {
			t.Errorf("answers: %v", codes)
		}
		for range 20 { // All requests are accepted again.
			ask()
			if r := <-answers; r.Code != 200 {
				t.Errorf("after the load: %d", r.Code)
			}
		}
		if got := w.most.Load(); got != 4 {
			t.Errorf("up to %d pages were in work, want 4", got)
		}
	})
}

// Health, metrics and actions are not behind the limit of pages: an operator acts while the pages are busy.
func TestActionsAndHealthAreNotLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		did := []string{}
		w := slowWorld{
			world:   world{did: &did, listed: []reporter.Delivery{{ID: 7, State: reporter.DeliveryPending}}},
			release: make(chan struct{}), inWork: new(atomic.Int32), most: new(atomic.Int32),
		}
		h := pagesOf(w, w.world)
		for range 64 {
			go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/incidents", nil))
		}
		synctest.Wait()
		for path, want := range map[string]int{"/-/healthy": 200, "/-/ready": 200, "/reports": 503} {
			r := httptest.NewRecorder()
			h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
			if r.Code != want {
				t.Errorf("%s: %d, want %d", path, r.Code, want)
			}
		}
		r := httptest.NewRequest(http.MethodPost, "/deliveries/7/retry", nil)
		r.SetBasicAuth("sre", "secret")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != 303 {
			t.Errorf("an action: %d", rec.Code)
		}
		close(w.release)
	})
}

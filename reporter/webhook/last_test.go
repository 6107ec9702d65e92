package webhook_test

import (
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

func TestLastIsTheLastOneThatWasAccepted(t *testing.T) {
	t.Parallel()
	h, _, _ := newHandler(t, webhook.Config{}, &sink{})
	if got := h.Last(); !got.IsZero() {
		t.Errorf("before the first one: %v", got)
	}
	post(h, `{"version": "3"}`)
	if got := h.Last(); !got.IsZero() {
		t.Errorf("after one that was refused: %v", got)
	}
	before := time.Now().Truncate(time.Second)
	post(h, good)
	if got := h.Last(); got.Before(before) || got.After(time.Now()) {
		t.Errorf("after one that was accepted: %v", got)
	}
}

package web

import (
	"testing"
	"time"
)

func TestWordsFallBack(t *testing.T) {
	t.Parallel()
	w := words{own: catalogue{"a": "eins", "days": "%d Tage"}, base: catalogue{"a": "one", "b": "two %d", "days": "%d d", "hours": "%d h", "seconds": "%d s"}}
	for key, want := range map[string]string{"a": "eins", "b": "two 2", "c": "c"} {
		var args []any
		if key == "b" {
			args = append(args, 2)
		}
		if got := w.T(key, args...); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 s", 49 * time.Hour: "2 Tage 1 h", time.Hour + time.Second: "1 h"} {
		if got := w.Dur(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

package store_test

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// A token is the same for the same pair, whoever asks and when, and names nothing once its incident is deleted.
func TestActionTokens(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, 5), incident("J", 0, 5))
		const askers = 8
		tokens := make([]string, askers)
		var asking sync.WaitGroup
		for n := range askers {
			asking.Go(func() {
				var err error
				if tokens[n], err = s.ActionToken(t.Context(), "I", "oncall 值班"); err != nil {
					t.Error(err)
				}
			})
		}
		asking.Wait()
		other, err := s.ActionToken(t.Context(), "J", "oncall 值班")
		if err != nil || other == tokens[0] {
			t.Errorf("another incident's token %q, %v", other, err)
		}
		for _, token := range tokens {
			if token != tokens[0] || len(token) != reporter.ActionTokenLen || !regexp.MustCompile(`^[\w-]+$`).MatchString(token) {
				t.Errorf("tokens %q", tokens)
			}
		}
		if in, receiver, err := s.ActionOf(t.Context(), tokens[0]); in != "I" || receiver != "oncall 值班" || err != nil {
			t.Errorf("the token names %q, %q, %v", in, receiver, err)
		}
		if _, err := s.ActionToken(t.Context(), "K", "oncall"); !errors.Is(err, reporter.ErrNotFound) {
			t.Errorf("of no incident: %v", err)
		}
		for _, token := range []string{"", "x", strings.Repeat("A", reporter.ActionTokenLen), tokens[0] + "A", strings.Repeat("\x00", reporter.ActionTokenLen), "\xff\xfe"} {
			if _, _, err := s.ActionOf(t.Context(), token); !errors.Is(err, reporter.ErrNotFound) {
				t.Errorf("%s names something: %v", strconv.Quote(token), err)
			}
		}
		if _, err := s.Prune(t.Context(), day.Add(365*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.ActionOf(t.Context(), tokens[0]); !errors.Is(err, reporter.ErrNotFound) {
			t.Errorf("the token of a deleted incident: %v", err)
		}
	})
}

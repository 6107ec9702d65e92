package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// permission is whether a person may act in a chat.
type permission int

const (
	permitted permission = iota
	notMember
	notListed
	anonymous // without an id that could be listed
	notKnown  // the channel does not return the membership
)

const (
	// memberFor and strangerFor are how long the membership of members and of others is cached.
	memberFor   = 5 * time.Minute
	strangerFor = time.Minute
	// maxCached bounds the number of cached memberships and limits.
	maxCached = 10_000
)

// may returns whether the author of an update may act. An error is temporary.
func (a *accountWork) may(ctx context.Context, u reporter.Update) (permission, error) {
	switch {
	case len(a.cfg.Users) > 0:
		if u.From.ID != "" && slices.Contains(a.cfg.Users, u.From.ID) {
			return permitted, nil
		}
		if u.From.ID == "" {
			return anonymous, nil
		}
		return notListed, nil
	case u.InName, u.Private && u.From.ID == u.Chat:
		return permitted, nil
	case u.From.ID == "":
		return notMember, nil
	}
	now := a.l.state.Now()
	is, known := a.members.get(u.Chat, u.From.ID, now)
	if !known {
		var err error
		is, err = a.bot.Member(ctx, u.Chat, u.From.ID)
		var answer *reporter.SendError
		if errors.As(err, &answer) && !temporary(answer) {
			a.log.Warn("the channel does not return whether a person is a member of the chat: make the bot an administrator, or set telegram.users",
				"chat", u.Chat, "err", err)
			return notKnown, nil
		}
		if err != nil {
			return notKnown, fmt.Errorf("permission of a person: %w", err)
		}
		a.members.put(u.Chat, u.From.ID, is, now)
	}
	if is == reporter.MemberNone || (u.Channel && is != reporter.MemberAdmin) { // Members of a channel only read.
		return notMember, nil
	}
	return permitted, nil
}

// members caches memberships for a short time.
type members struct {
	mu sync.Mutex
	of map[[2]string]cached // by chat and person
}

type cached struct {
	is    reporter.Membership
	until time.Time
}

func newMembers() *members { return &members{of: map[[2]string]cached{}} }

func (m *members) get(chat, person string, now time.Time) (reporter.Membership, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.of[[2]string{chat, person}]
	return r.is, ok && now.Before(r.until)
}

func (m *members) put(chat, person string, is reporter.Membership, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.of) >= maxCached {
		clear(m.of)
	}
	until := now.Add(memberFor)
	if is == reporter.MemberNone {
		until = now.Add(strangerFor)
	}
	m.of[[2]string{chat, person}] = cached{is, until}
}

// The limits of texts a minute. They use the time at which a text was sent, so that texts are not refused after an outage.
const (
	personTexts = 10 // of a person in a chat
	chatTexts   = 40
)

// limits bound how many texts of a person and of a chat are answered.
type limits struct {
	mu     sync.Mutex
	of     map[string]*rate.Limiter
	warned map[string]time.Time
}

func newLimits() *limits {
	return &limits{of: map[string]*rate.Limiter{}, warned: map[string]time.Time{}}
}

// verdict is the result of the limits for an update.
type verdict struct {
	seq      int64
	ok, warn bool
}

// within reports whether an update is within the limits of its person and chat; warn is set for the first one in a minute that is not.
// An update is counted once, however often it is decided.
func (a *accountWork) within(u reporter.UpdateState) (ok, warn bool) {
	if a.limited.seq != u.Seq {
		a.limited.seq = u.Seq
		a.limited.ok, a.limited.warn = a.limits.take(u.Chat, u.From.ID, u.SentAt)
	}
	return a.limited.ok, a.limited.warn
}

// take counts a text, and reports whether it is within the limits; warn is set for the first one in a minute that is not.
func (l *limits) take(chat, person string, at time.Time) (ok, warn bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.of) >= maxCached {
		clear(l.of)
		clear(l.warned)
	}
	for _, limit := range []struct {
		key string
		n   int
	}{{"person " + chat + " " + person, personTexts}, {"chat " + chat, chatTexts}} {
		r := l.of[limit.key]
		if r == nil {
			r = rate.NewLimiter(rate.Every(time.Minute/time.Duration(limit.n)), limit.n)
			l.of[limit.key] = r
		}
		if !r.AllowN(at, 1) {
			warn = at.Sub(l.warned[limit.key]) >= time.Minute
			if warn {
				l.warned[limit.key] = at
			}
			return false, warn
		}
	}
	return true, false
}

package chat

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// sectionTags are what begins a section in a reply, in lower case.
var sectionTags = map[string]reporter.EntryKind{
	"#原因": reporter.EntryCause, "#cause": reporter.EntryCause,
	"#影響": reporter.EntryImpact, "#impact": reporter.EntryImpact,
	"#行動": reporter.EntryActions, "#action": reporter.EntryActions, "#actions": reporter.EntryActions,
	"#教訓": reporter.EntryLessons, "#lesson": reporter.EntryLessons, "#lessons": reporter.EntryLessons,
}

// piece is what a reply says of one kind.
type piece struct {
	kind reporter.EntryKind
	text string
}

// pieces takes a reply apart: a line that begins with a section's tag begins that section, and what stands before the first is a note.
// Two parts of one section are one.
func pieces(text string) (out []piece) {
	kind := reporter.EntryNote
	add := func(line string) {
		if n := slices.IndexFunc(out, func(p piece) bool { return p.kind == kind }); n >= 0 {
			out[n].text += "\n" + line
			return
		}
		out = append(out, piece{kind, line})
	}
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n") {
		trimmed := strings.TrimSpace(line)
		end := strings.IndexFunc(trimmed, endsTag)
		if end < 0 {
			end = len(trimmed)
		}
		if of, ok := sectionTags[strings.ToLower(trimmed[:end])]; ok {
			kind, line = of, strings.TrimLeftFunc(trimmed[end:], endsTag)
		}
		add(line)
	}
	for n := range out {
		out[n].text = out[n].kind.Tidy(out[n].text)
	}
	return slices.DeleteFunc(out, func(p piece) bool { return p.text == "" })
}

// endsTag says whether the character ends a tag, and is no part of what follows.
func endsTag(r rune) bool { return unicode.IsSpace(r) || r == ':' || r == '：' }

// note decides what a reply, or its edit, writes about an incident.
func (a *accountWork) note(ctx context.Context, u reporter.UpdateState, here room, w words) (effect, string, error) {
	receiver, ok := here.answerIn(u.Topic)
	if !ok {
		return nil, resultIgnored, nil
	}
	m, err := a.repliedTo(ctx, u.Update, here)
	if err != nil {
		return nil, "", err
	}
	before, err := a.writtenBefore(ctx, u, here, m)
	if err != nil {
		return nil, "", err
	}
	text := u.Text
	var incident string
	if len(before) > 0 {
		incident = before[0].Incident
		if first, rest, _ := strings.Cut(strings.TrimSpace(text), " "); first == incident {
			text = rest
		}
	} else {
		var refusal string
		if incident, text, refusal = about(m, text); refusal != "" {
			return a.say(u, receiver, w.T(refusal)), resultRefused, nil
		}
	}
	if incident == "" { // A talk about a report, or a topic's first message.
		return nil, resultIgnored, nil
	}
	switch p, err := a.may(ctx, u.Update); {
	case err != nil:
		return nil, "", err
	case p != permitted:
		return a.say(u, receiver, w.refusal(p, u.From)), resultRefused, nil
	}
	if ok, warn := a.within(u); !ok {
		if !warn {
			return nil, resultLimited, nil
		}
		return a.say(u, receiver, w.T("chat_limited")), resultLimited, nil
	}
	all, err := a.l.state.Entries(ctx, incident)
	if err != nil {
		return nil, "", err
	}
	entries, conflict := versions(u, incident, receiver, pieces(text), before, all)
	if conflict != nil {
		text := w.T("chat_conflict", w.T(conflict.Kind.Word()), cut(conflict.Author, nameMax), w.at(conflict.WrittenAt))
		return a.say(u, receiver, text), resultRefused, nil
	}
	if len(entries) == 0 {
		return nil, resultIgnored, nil
	}
	return func(ctx context.Context, work reporter.UpdateWork) (reporter.UpdateAnswer, error) {
		_, err := work.Write(ctx, entries...)
		refusal := ""
		switch {
		case errors.Is(err, reporter.ErrTooLong):
			refusal = w.T("chat_too_long", reporter.EntryMax)
		case errors.Is(err, reporter.ErrNotFound):
			refusal = w.T("chat_incident_gone", cut(incident, idMax))
		case errors.Is(err, reporter.ErrTooMany):
			refusal = w.T("chat_too_many", cut(incident, idMax))
		case err != nil:
			return reporter.UpdateAnswer{}, err
		}
		if refusal != "" {
			return reporter.UpdateAnswer{}, work.Enqueue(ctx, a.answerText(u, receiver, refusal))
		}
		return reporter.UpdateAnswer{Chat: u.Chat, Message: u.Message, Mark: true}, nil
	}, resultDone, nil
}

// repliedTo returns what the message of a reply is about. A message whose id was not stored, because the answer to its send was lost, is
// known by its buttons. One that is not known is about nothing.
func (a *accountWork) repliedTo(ctx context.Context, u reporter.Update, here room) (reporter.ChatMessage, error) {
	m, err := a.l.state.MessageOf(ctx, here.receivers(), here.keys, u.ReplyTo)
	if !errors.Is(err, reporter.ErrNotFound) {
		return m, err
	}
	incident, _, err := a.ofButton(ctx, u.Data, u.ReplyTo, here)
	switch {
	case errors.Is(err, reporter.ErrNotFound):
		return reporter.ChatMessage{}, nil
	case err != nil:
		return reporter.ChatMessage{}, err
	}
	return reporter.ChatMessage{Kind: reporter.DeliveryFiring, Incidents: []string{incident}}, nil
}

// about finds the incident of a reply to a message, and the rest of its text. Of a message about several incidents the reply names one
// first. Refusal is the key of what is wrong.
func about(m reporter.ChatMessage, text string) (incident, rest, refusal string) {
	switch len(m.Incidents) {
	case 0:
		return "", text, ""
	case 1:
		return m.Incidents[0], text, ""
	}
	first, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	line, more, found := strings.Cut(first, "\n")
	if found {
		first, rest = line, more+" "+rest
	}
	if slices.Contains(m.Incidents, strings.TrimSuffix(first, ":")) {
		return strings.TrimSuffix(first, ":"), rest, ""
	}
	return "", text, "chat_name_one"
}

// writtenBefore returns what an edited reply wrote so far, whichever receiver of the chat it was stored with. A new reply has written
// nothing, though its id may be that of another one: the ids of messages start again where a receiver gets another chat, or a group
// becomes a supergroup.
func (a *accountWork) writtenBefore(
	ctx context.Context, u reporter.UpdateState, here room, to reporter.ChatMessage,
) (out []reporter.Entry, err error) {
	if u.Kind != reporter.UpdateEdit {
		return nil, nil
	}
	for _, r := range here.receivers() {
		of, err := a.l.state.EntriesOfMessage(ctx, r, u.Chat, u.Message)
		if err != nil {
			return nil, err
		}
		out = append(out, of...)
	}
	return slices.DeleteFunc(out, func(e reporter.Entry) bool {
		about := slices.Contains(to.Incidents, e.Incident)
		known := e.Chat != "" && len(to.Incidents) == 0 // The message of ours that it replies to is no longer kept.
		return e.AuthorKind != u.From.Kind || e.AuthorID != u.From.ID || (!about && !known)
	}), nil
}

// versions makes the entries that a reply with these pieces adds. Of an edit they are the next versions of what the message wrote
// before, and what it no longer says is removed. A new section replaces the one that stands; conflict is one of somebody else that
// stands where this message's stood.
func versions(
	u reporter.UpdateState, incident, receiver string, said []piece, before, all []reporter.Entry,
) (out []reporter.Entry, conflict *reporter.Entry) {
	sections, _ := reporter.Current(all)
	kinds := []reporter.EntryKind{reporter.EntryNote}
	kinds = append(kinds, reporter.Sections()...)
	for _, kind := range kinds {
		text := ""
		if n := slices.IndexFunc(said, func(p piece) bool { return p.kind == kind }); n >= 0 {
			text = said[n].text
		}
		var mine reporter.Entry // the latest of this message
		for _, e := range before {
			if e.Kind == kind {
				mine = e
			}
		}
		entry := reporter.Entry{
			Incident: incident, Kind: kind, Text: text, AuthorKind: u.From.Kind, AuthorID: u.From.ID, Author: u.From.Name,
			Receiver: receiver, Chat: u.Chat, MessageID: u.Message, WrittenAt: u.SentAt, Supersedes: mine.ID,
		}
		if mine.ID != 0 {
			entry.Receiver = mine.Receiver
		}
		if text == mine.Text {
			continue
		}
		if kind == reporter.EntryNote {
			out = append(out, entry)
			continue
		}
		stands := sections[kind]
		if mine.ID != 0 && stands.ID != mine.ID {
			if text == "" {
				continue // Somebody else has replaced it already.
			}
			return nil, &stands
		}
		entry.Supersedes = stands.ID
		out = append(out, entry)
	}
	return out, nil
}

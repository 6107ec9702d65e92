package chat

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// sectionTags begin a section in a reply, in lower case.
var sectionTags = map[string]reporter.EntryKind{
	"#原因": reporter.EntryCause, "#cause": reporter.EntryCause,
	"#影響": reporter.EntryImpact, "#impact": reporter.EntryImpact,
	"#行動": reporter.EntryActions, "#action": reporter.EntryActions, "#actions": reporter.EntryActions,
	"#教訓": reporter.EntryLessons, "#lesson": reporter.EntryLessons, "#lessons": reporter.EntryLessons,
}

// piece is the text of one kind of entry in a reply.
type piece struct {
	kind reporter.EntryKind
	text string
}

// pieces splits a reply: a line that begins with a section's tag begins that section, and the lines before the first tag are a note. Two
// pieces of the same section are joined.
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

// endsTag reports whether the character separates a tag from its text.
func endsTag(r rune) bool { return unicode.IsSpace(r) || r == ':' || r == '：' }

// note decides which entries a reply, or its edit, adds to an incident.
func (a *accountWork) note(ctx context.Context, u reporter.UpdateState, here scope, w words) (effect, string, error) {
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
		if len(m.Incidents) != 1 { // As in the reply itself. What a message that is no longer kept was about is not known.
			_, text, _ = leadingID(text, []string{incident})
		}
	} else {
		var refusal string
		if incident, text, refusal = about(m, text); refusal != "" {
			return a.say(u, receiver, w.T(refusal)), resultRefused, nil
		}
	}
	if incident == "" { // A reply to a report, or to a topic's first message.
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
	return a.write(u, receiver, incident, entries, w), resultDone, nil
}

// write is the effect of a reply that adds entries to an incident: it marks the reply, or answers why nothing was stored.
func (a *accountWork) write(u reporter.UpdateState, receiver, incident string, entries []reporter.Entry, w words) effect {
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
	}
}

// repliedTo returns the subject of the message of a reply. A message whose id was not stored, because the answer to its send was lost, is
// recognised by its buttons. The result is empty for an unknown message.
func (a *accountWork) repliedTo(ctx context.Context, u reporter.Update, here scope) (reporter.ChatMessage, error) {
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

// about finds the incident of a reply to a message, and the rest of its text. A reply to a message about several incidents begins with
// the id of one of them. refusal is the key of the answer if it does not.
func about(m reporter.ChatMessage, text string) (incident, rest, refusal string) {
	switch len(m.Incidents) {
	case 0:
		return "", text, ""
	case 1:
		return m.Incidents[0], text, ""
	}
	incident, rest, ok := leadingID(text, m.Incidents)
	if !ok {
		return "", text, "chat_name_one"
	}
	return incident, rest, ""
}

// leadingID removes one of the ids, with an optional colon, from the beginning of a text. ok is false if there is none.
func leadingID(text string, ids []string) (id, rest string, ok bool) {
	trimmed := strings.TrimSpace(text)
	end := strings.IndexFunc(trimmed, unicode.IsSpace)
	if end < 0 {
		end = len(trimmed)
	}
	id = strings.TrimSuffix(trimmed[:end], ":")
	if !slices.Contains(ids, id) {
		return "", text, false
	}
	return id, strings.TrimSpace(trimmed[end:]), true
}

// writtenBefore returns the entries of an edited reply, with whichever receiver of the chat they were stored. A new reply has none, even
// if another one has the same id: message ids start again when a receiver gets another chat, or a group becomes a supergroup.
func (a *accountWork) writtenBefore(
	ctx context.Context, u reporter.UpdateState, here scope, to reporter.ChatMessage,
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
		known := e.Chat != "" && len(to.Incidents) == 0 // The message that it replies to is no longer kept.
		return e.AuthorKind != u.From.Kind || e.AuthorID != u.From.ID || (!about && !known)
	}), nil
}

// versions makes the entries that a reply with these pieces adds. For an edit they are the next versions of the message's entries, and
// pieces that it no longer has are removed. A new section replaces the current one; conflict is the current one if another person has
// replaced that of this message.
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
		var mine reporter.Entry // the latest one of this message
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
				continue // Another person has replaced it already.
			}
			return nil, &stands
		}
		entry.Supersedes = stands.ID
		out = append(out, entry)
	}
	return out, nil
}

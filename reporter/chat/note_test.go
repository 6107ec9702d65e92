package chat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/chat"
)

func TestRepliesAreNotesAndSections(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		says []string // the first is a reply, the others are edits of it
		want []string
	}{
		"a note":                       {[]string{"disk is <b>full</b>"}, []string{"note: disk is <b>full</b>"}},
		"several lines":                {[]string{"one\n\ntwo"}, []string{"note: one\n\ntwo"}},
		"an edited note":               {[]string{"one", "two"}, []string{"note: one", "note: two"}},
		"an edit that changes nothing": {[]string{"one", "one "}, []string{"note: one"}},
		"a section":                    {[]string{"#cause log rotation\nwas off"}, []string{"cause: log rotation\nwas off"}},
		"in Chinese":                   {[]string{"#原因 磁碟已滿"}, []string{"cause: 磁碟已滿"}},
		"in Chinese with a colon":      {[]string{"#影響：結帳變慢"}, []string{"impact: 結帳變慢"}},
		"with a colon":                 {[]string{"#Impact: slow"}, []string{"impact: slow"}},
		"all sections": {
			[]string{"seen it\n#影響 slow\n#原因 disk\n#行動 clean\nup\n#教訓 watch"},
			[]string{"note: seen it", "impact: slow", "cause: disk", "lessons: watch", "actions: clean\nup"},
		},
		"one section twice":             {[]string{"#action a\n#impact i\n#action b"}, []string{"impact: i", "actions: a\nb"}},
		"the text below its tag":        {[]string{"#lesson\nwatch it"}, []string{"lessons: watch it"}},
		"a tag within a line":           {[]string{"see #cause"}, []string{"note: see #cause"}},
		"a word that begins like a tag": {[]string{"#causes many"}, []string{"note: #causes many"}},
		"a tag alone":                   {[]string{"#cause"}, nil},
		"an edited section":             {[]string{"#cause a", "#cause b"}, []string{"cause: a", "cause: b"}},
		"a note becomes a section":      {[]string{"a", "#cause a"}, []string{"note: a", "note: ", "cause: a"}},
		"a section becomes a note":      {[]string{"#cause a", "a"}, []string{"cause: a", "note: a", "cause: "}},
		"what is taken out":             {[]string{"n\n#cause a\n#impact b", "#impact b"}, []string{"note: n", "impact: b", "cause: a", "note: ", "cause: "}},
		"no markup and no SQL":          {[]string{"</code>{{.}} '); DROP TABLE entries;-- \u202eabc"}, []string{"note: </code>{{.}} '); DROP TABLE entries;-- abc"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.incident("I-1", "", true)
			w.delivered(reporter.NewDelivery(reporter.DeliveryPostmortem, "I-1", "oncall", w.store.Now()), 1)
			w.start()
			id := w.bot.Reply(group, 1, tc.says[0], ann)
			w.settled()
			for _, text := range tc.says[1:] {
				w.bot.Edit(group, id, text)
				w.settled()
			}
			var want []string
			for _, text := range tc.want {
				kind, rest, _ := strings.Cut(text, ": ")
				want = append(want, kind+" Ann <b>: "+rest)
			}
			if diff := cmp.Diff(want, w.history("I-1")); diff != "" {
				t.Error(diff)
			}
			if mark := w.bot.Reaction(group, id); (mark != "") != (tc.want != nil) {
				t.Errorf("marked %q", mark)
			}
			if got := w.answers(id); len(got) > 0 {
				t.Errorf("answered %q", got)
			}
		})
	}
}

// digest stores that the postmortems of the incidents were sent as one message.
func (w *world) digest(message string, incidents ...string) {
	w.t.Helper()
	for _, id := range incidents {
		d := reporter.NewDelivery(reporter.DeliveryPostmortem, id, "oncall", w.store.Now())
		if _, err := w.store.Enqueue(w.t.Context(), d); err != nil {
			w.t.Fatal(err)
		}
	}
	n, err := w.store.Merge(w.t.Context(), "oncall", reporter.DeliveryPostmortem, reporter.DeliveryDigest, w.store.Now(), len(incidents))
	if n != len(incidents) || err != nil {
		w.t.Fatal(n, err)
	}
	digest, err := w.store.Deliveries(w.t.Context(), 1)
	if err != nil {
		w.t.Fatal(err)
	}
	digest[0].Parts = []reporter.Part{{MessageID: message}}
	if err := w.store.Save(w.t.Context(), digest[0]); err != nil {
		w.t.Fatal(err)
	}
}

// The id that begins a reply to a digest is no part of its text, in edits of the reply too. In a reply about one incident it is text.
func TestEditsOfRepliesThatBeginWithAnID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", true)
	w.incident("I-2", "", true)
	w.incident("I-3", "", false)
	w.digest("502", "I-1", "I-2")
	notice := w.notice("I-3", "oncall")
	w.start()
	for _, tc := range []struct {
		message     int
		reply, edit string
		incident    string
		want        []string
	}{
		{502, "I-1:\n#cause disk", "I-1:\n#cause disk full", "I-1", []string{"cause Ann <b>: disk", "cause Ann <b>: disk full"}},
		{502, "I-2 slow", "I-2: down", "I-2", []string{"note Ann <b>: slow", "note Ann <b>: down"}},
		{notice, "I-3 is slow", "I-3 is down", "I-3", []string{"note Ann <b>: I-3 is slow", "note Ann <b>: I-3 is down"}},
	} {
		id := w.bot.Reply(group, tc.message, tc.reply, ann)
		w.settled()
		w.bot.Edit(group, id, tc.edit)
		w.settled()
		if diff := cmp.Diff(tc.want, w.history(tc.incident)); diff != "" {
			t.Errorf("%q, then %q: %s", tc.reply, tc.edit, diff)
		}
	}
}

func TestWhichRepliesAreTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", false)
	w.incident("I-2", "", true)
	w.incident("W-1", "web", false)
	notice := w.notice("I-1", "oncall")
	w.delivered(reporter.NewDelivery(reporter.DeliveryReport, "daily@2026-04-22T00:00:00Z", "oncall", w.store.Now()), 500)
	answer := reporter.NewDelivery(reporter.DeliveryAnswer, reporter.AnswerIncident+"I-2", "oncall", w.store.Now())
	answer.ReplyTo = "1"
	w.delivered(answer, 501)
	w.digest("502", "I-1", "I-2")
	w.start()
	type said struct {
		say    func() int
		entry  string // of which incident, and what
		answer string
	}
	for name, tc := range map[string]said{
		"to the notice":              {func() int { return w.bot.Reply(group, notice, "a", ann) }, "I-1 note Ann <b>: a", ""},
		"to an answer":               {func() int { return w.bot.Reply(group, 501, "b", bob) }, "I-2 note Bob: b", ""},
		"to a report":                {func() int { return w.bot.Reply(group, 500, "c", ann) }, "", ""},
		"to what is unknown":         {func() int { return w.bot.Reply(group, 999, "d", ann) }, "", ""},
		"to a digest":                {func() int { return w.bot.Reply(group, 502, "e", ann) }, "", "oncall This message is about several incidents. Begin the reply with the id of one of them."},
		"to a digest, named":         {func() int { return w.bot.Reply(group, 502, "I-2 f", ann) }, "I-2 note Ann <b>: f", ""},
		"to a digest, named above":   {func() int { return w.bot.Reply(group, 502, "I-1:\n#cause g h", ann) }, "I-1 cause Ann <b>: g h", ""},
		"of a stranger":              {func() int { return w.bot.Reply(group, notice, "i", stranger) }, "", "oncall Only members of this chat may do that."},
		"in another chat of ours":    {func() int { return w.bot.Reply(other, notice, "j", ann) }, "", ""},
		"in a foreign chat":          {func() int { return w.bot.Reply(foreign, notice, "k", ann) }, "", ""},
		"in the name of the chat":    {func() int { return w.bot.SayAnonymously(group, notice, "l") }, "I-1 note Administrator: l", ""},
		"too long":                   {func() int { return w.bot.Reply(group, notice, strings.Repeat("磁", 4096), ann) }, "", "oncall Not stored: at most 4000 characters"},
		"a text that is not a reply": {func() int { return w.bot.Say(group, "m", ann) }, "", ""},
		"nothing to read":            {func() int { return w.bot.Reply(group, notice, "", ann) }, "", ""},
	} {
		before := map[string]int{}
		for _, id := range []string{"I-1", "I-2", "W-1"} {
			before[id] = len(w.history(id))
		}
		id := tc.say()
		w.settled()
		got := ""
		for _, of := range []string{"I-1", "I-2", "W-1"} {
			for _, line := range w.history(of)[before[of]:] {
				got += of + " " + line
			}
		}
		if got != tc.entry {
			t.Errorf("%s: wrote %q, want %q", name, got, tc.entry)
		}
		if got := strings.Join(w.answers(id), "|"); got != tc.answer {
			t.Errorf("%s: answered %q, want %q", name, got, tc.answer)
		}
	}
}

// An edit of a section that another person has replaced changes nothing, and its author gets an answer.
func TestEditOfWhatSomebodyElseHasReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", false)
	notice := w.notice("I-1", "oncall")
	w.start()
	first := w.bot.Reply(group, notice, "#cause a", ann)
	w.settled()
	w.bot.Reply(group, notice, "#cause b", bob)
	w.settled()
	w.bot.Edit(group, first, "#cause a2")
	w.settled()
	if diff := cmp.Diff([]string{"cause Ann <b>: a", "cause Bob: b"}, w.history("I-1")); diff != "" {
		t.Error(diff)
	}
	if got := fmt.Sprint(w.answers(first)); !strings.Contains(got, "Root cause: not changed, Bob has written a newer version") {
		t.Error(got)
	}
	all, err := w.store.Entries(t.Context(), "I-1")
	if err != nil {
		t.Fatal(err)
	}
	sections, _ := reporter.Current(all)
	if sections[reporter.EntryCause].Text != "b" {
		t.Errorf("the section is %+v", sections[reporter.EntryCause])
	}
}

// The ids of messages begin again where a receiver gets another chat, or a group becomes a supergroup: a reply whose id is that of an older
// one, in another chat, belongs to the incident that it replies to, and changes nothing of what the older one wrote.
func TestRepliesOfTheSameIDInAnotherChat(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		address string // of the receiver afterwards
		chat    string // where the second reply is written
		by      localstack.BotUser
	}{
		"another chat_id":             {other, other, bob},
		"another chat_id, one person": {other, other, ann},
		"a supergroup":                {group, other, bob},
		"a supergroup, one person":    {group, other, ann},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.incident("I-1", "", true)
			w.incident("I-2", "", true)
			w.delivered(reporter.NewDelivery(reporter.DeliveryPostmortem, "I-1", "oncall", w.store.Now()), 1)
			w.start()
			w.received("message", group, 57, 1, "#cause disk was full", ann, nil)
			w.settled()
			w.stop()
			w.cfg.Places = []chat.Place{chatPlace("oncall", tc.address)}
			if tc.address != tc.chat {
				err := w.store.UpdateGate(t.Context(), reporter.ChatGate(account, group), func(g *reporter.Gate) { g.MovedTo = tc.chat })
				if err != nil {
					t.Fatal(err)
				}
			}
			w.delivered(reporter.NewDelivery(reporter.DeliveryPostmortem, "I-2", "oncall", w.store.Now()), 50)
			w.start()
			w.received("message", tc.chat, 57, 50, "#cause network was down", tc.by, nil)
			w.settled()
			w.received("edited_message", tc.chat, 57, 50, "#cause network was slow", tc.by, nil)
			w.settled()
			if diff := cmp.Diff([]string{"cause Ann <b>: disk was full"}, w.history("I-1")); diff != "" {
				t.Errorf("the incident of the older reply: %s", diff)
			}
			want := []string{"cause " + tc.by.Name + ": network was down", "cause " + tc.by.Name + ": network was slow"}
			if diff := cmp.Diff(want, w.history("I-2")); diff != "" {
				t.Errorf("the incident of the reply: %s", diff)
			}
		})
	}
}

// An edit of a message without entries is a new reply, and does not change the entries of another person with that message id.
func TestEditOfAMessageOfTheSameIDInAnotherChat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", false)
	notice := w.notice("I-1", "oncall")
	if _, err := w.store.Write(t.Context(), reporter.Entry{ // as the version before stored it, which did not know the chat
		Incident: "I-1", Kind: reporter.EntryNote, Text: "of Ann", AuthorKind: reporter.AuthorTelegram, AuthorID: "42", Author: "Ann",
		Receiver: "oncall", MessageID: "57", WrittenAt: w.store.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.received("edited_message", group, 57, notice, "of Bob", bob, nil)
	w.settled()
	w.received("edited_message", group, 57, notice, "of Ann, edited", ann, nil)
	w.settled()
	all, err := w.store.Entries(t.Context(), "I-1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%s after %d", e.Text, e.Supersedes))
	}
	if diff := cmp.Diff([]string{"of Ann after 0", "of Bob after 0", fmt.Sprintf("of Ann, edited after %d", all[0].ID)}, got); diff != "" {
		t.Error(diff)
	}
}

// A reply is stored completely or not at all.
func TestReplyWithASectionThatIsTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", true)
	w.delivered(reporter.NewDelivery(reporter.DeliveryPostmortem, "I-1", "oncall", w.store.Now()), 1)
	w.start()
	id := w.bot.Reply(group, 1, "#impact x\n#cause "+strings.Repeat("y", reporter.EntryMax+1), ann)
	w.settled()
	if got := w.history("I-1"); len(got) != 0 {
		t.Errorf("stored %d entries", len(got))
	}
	if got := strings.Join(w.answers(id), "|"); got != "oncall Not stored: at most 4000 characters" || w.bot.Reaction(group, id) != "" {
		t.Errorf("answered %q, marked %q", got, w.bot.Reaction(group, id))
	}
}

// If the people who may act are listed, an administrator who writes in the name of the chat may not, without an id that could be listed.
func TestAnonymousAdministratorsWherePeopleAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Users = []string{"42"}
	w.incident("I-1", "", false)
	notice := w.notice("I-1", "oncall")
	w.start()
	for _, text := range []string{"a note", "/ack I-1"} {
		id := w.bot.SayAnonymously(group, notice, text)
		w.settled()
		got := strings.Join(w.answers(id), "|")
		if !strings.Contains(got, "An anonymous administrator has no id") || strings.Contains(got, "Your id is") || len(w.history("I-1")) != 0 {
			t.Errorf("%q: answered %q, wrote %q", text, got, w.history("I-1"))
		}
	}
}

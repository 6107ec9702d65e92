package telegram

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const botID = 12345

var received = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)

func TestUpdatesAreDecoded(t *testing.T) {
	t.Parallel()
	person := func(id, name string) reporter.Person {
		return reporter.Person{Kind: reporter.AuthorTelegram, ID: id, Name: name}
	}
	const group = `"chat": {"id": -1001, "type": "supergroup", "title": "x"}`
	const from = `"from": {"id": 42, "is_bot": false, "first_name": "Ann", "last_name": "B\u202ee", "username": "ann"}`
	const ours = `"reply_to_message": {"message_id": 5, "from": {"id": 12345, "is_bot": true}}`
	at := time.Unix(1776816000, 0).UTC()
	for name, tc := range map[string]struct {
		update string
		want   *reporter.Update // nil: skipped
	}{
		"a tap": {
			`"callback_query": {"id": "99", ` + from + `, "message": {"message_id": 5, "date": 1, ` + group + `}, "data": "ack:x"}`,
			&reporter.Update{Kind: reporter.UpdateTap, Chat: "-1001", Message: "5", From: person("42", "Ann Be"), Tap: "99", Data: "ack:x", SentAt: received},
		},
		"a tap on an old message": {
			`"callback_query": {"id": "99", ` + from + `, "message": {"message_id": 5, "date": 0, ` + group + `}, "data": "ack:x"}`,
			&reporter.Update{Kind: reporter.UpdateTap, Chat: "-1001", Message: "5", From: person("42", "Ann Be"), Tap: "99", Data: "ack:x", SentAt: received},
		},
		"a tap on an inline message": {
			`"callback_query": {"id": "99", ` + from + `, "inline_message_id": "abc", "data": "ack:x"}`,
			&reporter.Update{Kind: reporter.UpdateTap, From: person("42", "Ann Be"), Tap: "99", Data: "ack:x", SentAt: received},
		},
		"a tap with too much data": {
			`"callback_query": {"id": "99", ` + from + `, "message": {"message_id": 5, ` + group + `}, "data": "` + strings.Repeat("x", 200) + `"}`,
			&reporter.Update{Kind: reporter.UpdateTap, Chat: "-1001", Message: "5", From: person("42", "Ann Be"), Tap: "99", SentAt: received},
		},
		"a command": {
			`"message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1776816000, "text": "/open"}`,
			&reporter.Update{Kind: reporter.UpdateText, Chat: "-1001", Message: "6", From: person("42", "Ann Be"), Text: "/open", SentAt: at},
		},
		"a reply in a topic": {
			`"message": {"message_id": 6, ` + from + `, ` + group + `, "message_thread_id": 3, "is_topic_message": true, "date": 1776816000, "text": "n", ` + ours + `}`,
			&reporter.Update{
				Kind: reporter.UpdateText, Chat: "-1001", Topic: 3, Message: "6", ReplyTo: "5", From: person("42", "Ann Be"), Text: "n", SentAt: at,
			},
		},
		"a reply to a message with buttons": {
			`"message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1776816000, "text": "n", "reply_to_message": {"message_id": 5,
				"from": {"id": 12345}, "reply_markup": {"inline_keyboard": [[{"text": "page", "url": "https://x.example"}], [{"callback_data": "ack:x"}]]}}}`,
			&reporter.Update{
				Kind: reporter.UpdateText, Chat: "-1001", Message: "6", ReplyTo: "5", Data: "ack:x", From: person("42", "Ann Be"), Text: "n", SentAt: at,
			},
		},
		"a reply to a message with other buttons": {
			`"message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1776816000, "text": "n", "reply_to_message": {"message_id": 5,
				"from": {"id": 12345}, "reply_markup": {"inline_keyboard": "none"}}}`,
			&reporter.Update{Kind: reporter.UpdateText, Chat: "-1001", Message: "6", ReplyTo: "5", From: person("42", "Ann Be"), Text: "n", SentAt: at},
		},
		"a picture as a reply": {
			`"message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1776816000, "caption": "n", "photo": [{}], ` + ours + `}`,
			&reporter.Update{Kind: reporter.UpdateText, Chat: "-1001", Message: "6", ReplyTo: "5", From: person("42", "Ann Be"), Text: "n", SentAt: at},
		},
		"an edit of a reply": {
			`"edited_message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1, "edit_date": 1776816000, "text": "m", ` + ours + `}`,
			&reporter.Update{Kind: reporter.UpdateEdit, Chat: "-1001", Message: "6", ReplyTo: "5", From: person("42", "Ann Be"), Text: "m", SentAt: at},
		},
		"an anonymous administrator": {
			`"message": {"message_id": 6, "from": {"id": 1087968824, "is_bot": true, "first_name": "Group"}, "sender_chat": {"id": -1001}, ` +
				group + `, "author_signature": "SRE", "date": 1776816000, "text": "/open"}`,
			&reporter.Update{Kind: reporter.UpdateText, Chat: "-1001", Message: "6", InName: true, From: person("", "SRE"), Text: "/open", SentAt: at},
		},
		"a public group": {
			`"message": {"message_id": 6, ` + from + `, "chat": {"id": -1001, "type": "supergroup", "username": "Team"}, "date": 1776816000, "text": "/open"}`,
			&reporter.Update{
				Kind: reporter.UpdateText, Chat: "-1001", ChatName: "@Team", Message: "6", From: person("42", "Ann Be"), Text: "/open", SentAt: at,
			},
		},
		"a private chat": {
			`"message": {"message_id": 6, ` + from + `, "chat": {"id": 42, "type": "private", "username": "ann"}, "date": 1776816000, "text": "/open"}`,
			&reporter.Update{Kind: reporter.UpdateText, Chat: "42", Private: true, Message: "6", From: person("42", "Ann Be"), Text: "/open", SentAt: at},
		},
		"a group that becomes another": {
			`"message": {"message_id": 6, "chat": {"id": -5, "type": "group"}, "date": 1776816000, "migrate_to_chat_id": -1001}`,
			&reporter.Update{Kind: reporter.UpdateMoved, Chat: "-5", Message: "6", To: "-1001", SentAt: at},
		},
		"the bot is removed": {
			`"my_chat_member": {` + group + `, ` + from + `, "date": 1776816000, "new_chat_member": {"status": "kicked"}}`,
			&reporter.Update{Kind: reporter.UpdateMember, Chat: "-1001", Gone: true, SentAt: at},
		},
		"the bot is added": {
			`"my_chat_member": {` + group + `, ` + from + `, "date": 1776816000, "new_chat_member": {"status": "member"}}`,
			&reporter.Update{Kind: reporter.UpdateMember, Chat: "-1001", SentAt: at},
		},
		"talk":                        {`"message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1, "text": "hello"}`, nil},
		"a reply to somebody else":    {`"message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1, "text": "x", "reply_to_message": {"message_id": 5, "from": {"id": 7}}}`, nil},
		"an edited command":           {`"edited_message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1, "text": "/open"}`, nil},
		"another bot":                 {`"message": {"message_id": 6, "from": {"id": 7, "is_bot": true}, ` + group + `, "date": 1, "text": "/open"}`, nil},
		"in the name of another chat": {`"message": {"message_id": 6, "from": {"id": 136817688, "is_bot": true}, "sender_chat": {"id": -77}, ` + group + `, "date": 1, "text": "/open"}`, nil},
		"a forwarded command":         {`"message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1, "text": "/ack I-1", "forward_origin": {"type": "user"}}`, nil},
		"forwarded by an old server":  {`"message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1, "text": "/ack I-1", "forward_date": 1}`, nil},
		"a forwarded reply":           {`"message": {"message_id": 6, ` + from + `, ` + group + `, "date": 1, "text": "x", "forward_origin": {"type": "hidden_user"}, ` + ours + `}`, nil},
		"a post of a linked channel":  {`"message": {"message_id": 6, "from": {"id": 777000, "first_name": "Telegram"}, "is_automatic_forward": true, ` + group + `, "date": 1, "text": "/open"}`, nil},
		"as a channel, by a person":   {`"message": {"message_id": 6, "from": {"id": 777000, "first_name": "Telegram"}, "sender_chat": {"id": -77}, ` + group + `, "date": 1, "text": "/open"}`, nil},
		"a kind that was never heard": {`"brain_wave": {"id": 1}`, nil},
		"nothing":                     {`"x": 1`, nil},
		"a tap of nobody":             {`"callback_query": {"id": "99", "data": "ack:x"}`, nil},
		"a message in no chat":        {`"message": {"message_id": 6, ` + from + `, "date": 1, "text": "/open"}`, nil},
		"a message of another shape":  {`"message": {"message_id": 6, ` + from + `, "chat": "x", "date": 1, "text": "/open"}`, nil},
		"a message that is a list":    {`"message": [1, 2]`, nil},
		"an id beyond all ids":        {`"message": {"message_id": 99999999999999999999, ` + from + `, ` + group + `, "text": "/open"}`, nil},
	} {
		got, err := decodeUpdates([]byte(`[{"update_id": 9, `+tc.update+`}]`), botID, received)
		if err != nil || got.Next != 10 {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		var want []reporter.Update
		if tc.want != nil {
			tc.want.ID = 9
			want = []reporter.Update{*tc.want}
		}
		if diff := cmp.Diff(want, got.List); diff != "" || got.Skipped != 1-len(want) {
			t.Errorf("%s: %d skipped\n%s", name, got.Skipped, diff)
		}
	}
}

func TestPollsThatAreNoLists(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"an object": `{}`, "nothing": ``, "cut": `[{"update_id": 1`, "no ids": `[{"message": {}}]`, "ids that are none": `[{"update_id": -5}]`,
		"deep": strings.Repeat("[", 100_000),
	} {
		if got, err := decodeUpdates([]byte(body), botID, received); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// One that cannot be read does not hold back those around it.
	got, err := decodeUpdates([]byte(`[{"update_id": 1, "message": 5}, 7, {"update_id": 3, "my_chat_member": {"chat": {"id": -1}}}]`), botID, received)
	if err != nil || got.Next != 4 || len(got.List) != 1 || got.Skipped != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzUpdates decodes any answer to a poll: the updates are bounded and can be stored.
func FuzzUpdates(f *testing.F) {
	f.Add([]byte(`[{"update_id": 9, "callback_query": {"id": "99", "from": {"id": 42, "first_name": "A"}, "message": {"message_id": 5, "chat": {"id": -1}}, "data": "ack:x"}}]`))
	f.Add([]byte(`[{"update_id": 9, "message": {"message_id": 5, "from": {"id": 42}, "chat": {"id": -1}, "date": 1e300, "text": "/a\u0000\ud800"}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeUpdates(body, botID, received)
		if err != nil {
			return
		}
		for _, u := range got.List {
			if u.ID <= 0 || u.ID >= got.Next && got.Next != 0 && len(got.List) == 1 {
				t.Errorf("id %d, next %d", u.ID, got.Next)
			}
			if n := utf8.RuneCountInString(u.Text); n > reporter.UpdateTextMax || len(u.Data) > dataMax || len(u.From.Name) > 4*nameMax {
				t.Errorf("too long: %+v", u)
			}
			b, err := json.Marshal(u)
			var back reporter.Update
			if err == nil {
				err = json.Unmarshal(b, &back)
			}
			if err != nil || !back.SentAt.Equal(u.SentAt) {
				t.Errorf("%+v is stored as %s, %v", u, b, err)
			}
		}
	})
}

func TestAnswersToTapsAreCut(t *testing.T) {
	t.Parallel()
	got := cutRunes(strings.Repeat("磁", 300), reporter.UpdateAnswerMax)
	if n := utf8.RuneCountInString(got); n != 200 || !strings.HasSuffix(got, "…") {
		t.Error(fmt.Sprint(n, got))
	}
}

package localstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// BotUser is a person who uses the fake Telegram.
type BotUser struct {
	ID       int64
	Name     string // the first name
	Username string
}

// BotAnswer is an answer to a tap on a button.
type BotAnswer struct {
	QueryID string
	Text    string
	Alert   bool
}

// BotCommands are the commands that the bot has registered for a scope and a language.
type BotCommands struct {
	Scope    string // "default", or "chat CHAT"
	Language string // "" means all others
	Names    []string
	Texts    []string
}

// botUpdates is the state of people and of the updates. BotAPI.mu guards it.
type botUpdates struct {
	queue    []botUpdate
	next     int           // id of the next update
	arrived  chan struct{} // closed and replaced at each update
	answered chan struct{} // closed and replaced at each answer to a tap
	allowed  []string      // types of updates that are queued; nil means the default
	webhook  string
	polling  *botPoll // the poll that is under way
	polls    int
	conflict int        // polls that met another one
	faults   []BotFault // of the next polls

	members   map[string]string // "CHAT/USER" to a status
	queries   map[string]bool   // ids of taps, and whether they can still be answered
	answers   []BotAnswer
	commands  []BotCommands
	reactions map[string]string // "CHAT/MESSAGE" to an emoji
	said      map[string]botSaid
	lastID    int // of the messages of people
	// allMessages means that the bot gets all messages of groups, because privacy mode is off.
	allMessages bool
}

type botUpdate struct {
	ID   int
	Kind string
	Body any
}

type botPoll struct {
	ctx    context.Context
	kicked chan struct{}
}

// botSaid is a message of a person.
type botSaid struct {
	user    BotUser
	replyTo int
	topic   int
}

const (
	// botPeopleFrom is the first id of the messages of people; the bot's begin at 1.
	botPeopleFrom = 1_000_000
	// botPollMax is the longest timeout of getUpdates in seconds; the real server cuts a longer one too (LONG_POLL_MAX_TIMEOUT).
	botPollMax = 50
	// botPollLeaves is the time after which a connection that is still open has a client.
	botPollLeaves = 5 * time.Second
	// botAhead is how far an offset may be ahead of the queue; the server ignores larger ones (td's TQueue).
	botAhead = 10
)

// botDefaultUpdates are the types of updates that are queued for a bot that has never set allowed_updates.
var botDefaultUpdates = []string{"message", "edited_message", "channel_post", "edited_channel_post", "callback_query", "my_chat_member"}

// SetMember makes the user a "creator", "administrator", "member", "restricted", "left" or "kicked" in the chat. Without it, a user is a
// member of the private chat with the same id, and has left all others.
func (b *BotAPI) SetMember(chat string, user int64, status string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.updates.members == nil {
		b.updates.members = map[string]string{}
	}
	b.updates.members[memberKey(chat, user)] = status
}

func memberKey(chat string, user int64) string { return chat + "/" + strconv.FormatInt(user, 10) }

// SetWebhook sets the webhook of the bot, during which polls fail; "" removes it.
func (b *BotAPI) SetWebhook(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.updates.webhook = address
}

// SetPrivacy turns privacy mode on, which is the default, or off. With it, a bot in a group gets only commands, and replies to its own
// messages. https://core.telegram.org/bots/features#privacy-mode
func (b *BotAPI) SetPrivacy(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.updates.allMessages = !on
}

// FailPolls makes the next polls fail, one fault each.
func (b *BotAPI) FailPolls(faults ...BotFault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.updates.faults = append(b.updates.faults, faults...)
}

// ExpireQueries makes all taps so far too old to be answered.
func (b *BotAPI) ExpireQueries() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.updates.queries {
		b.updates.queries[id] = false
	}
}

// Tap taps the n-th button of a message of the bot, counted from 0, and returns the id of the query. It is an error if that button of the
// chat's message has no callback data.
func (b *BotAPI) Tap(chat string, message, n int, user BotUser) (query string, err error) {
	m, ok := b.message(chat, message)
	if !ok || n >= len(m.Buttons) || m.Buttons[n].Data == "" {
		return "", fmt.Errorf("message %d of chat %s has no button %d to tap", message, chat, n)
	}
	return b.TapData(chat, message, m.Buttons[n].Data, user), nil
}

// TapData sends a tap with any data, as a forged client can.
func (b *BotAPI) TapData(chat string, message int, data string, user BotUser) (query string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	query = strconv.FormatInt(4_000_000_000_000+int64(b.updates.next), 10)
	if b.updates.queries == nil {
		b.updates.queries = map[string]bool{}
	}
	b.updates.queries[query] = true
	b.push("callback_query", map[string]any{
		"id": query, "from": user.json(), "chat_instance": "1", "data": data,
		// The real server may give no other fields of an old message.
		"message": map[string]any{"message_id": message, "date": 0, "chat": botChat(chat)},
	})
	return query
}

// Say sends a message of a person to a chat, and returns its id.
func (b *BotAPI) Say(chat, text string, user BotUser) (message int) {
	return b.say(chat, text, botSaid{user: user}, nil)
}

// SayInTopic is Say in a topic of a group.
func (b *BotAPI) SayInTopic(chat string, topic int, text string, user BotUser) (message int) {
	return b.say(chat, text, botSaid{user: user, topic: topic}, nil)
}

// Reply replies to a message of the bot, and returns the reply's id.
func (b *BotAPI) Reply(chat string, message int, text string, user BotUser) (id int) {
	return b.say(chat, text, botSaid{user: user, replyTo: message}, nil)
}

// SayAnonymously sends a message in the name of the chat, as an anonymous administrator does; message 0 answers none.
func (b *BotAPI) SayAnonymously(chat string, message int, text string) (id int) {
	// https://core.telegram.org/bots/api#message: from is a fixed user then
	return b.say(chat, text, botSaid{user: BotUser{ID: 1087968824, Name: "Group", Username: "GroupAnonymousBot"}, replyTo: message},
		map[string]any{"sender_chat": botChat(chat)})
}

func (b *BotAPI) say(chat, text string, said botSaid, more map[string]any) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := &b.updates
	u.lastID = max(u.lastID, botPeopleFrom) + 1
	if u.said == nil {
		u.said = map[string]botSaid{}
	}
	u.said[chat+"/"+strconv.Itoa(u.lastID)] = said
	b.saidUpdate("message", chat, u.lastID, text, said, more)
	return u.lastID
}

// Edit edits a message of a person.
func (b *BotAPI) Edit(chat string, message int, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.updates.said[chat+"/"+strconv.Itoa(message)]
	b.saidUpdate("edited_message", chat, message, text, said, map[string]any{"edit_date": time.Now().Unix()})
}

// saidUpdate queues an update of a message, unless privacy mode hides it. b.mu is held.
func (b *BotAPI) saidUpdate(kind, chat string, message int, text string, said botSaid, more map[string]any) {
	hidden := strings.HasPrefix(chat, "-") && !b.updates.allMessages && said.replyTo == 0 && !strings.HasPrefix(text, "/")
	if hidden {
		return
	}
	m := map[string]any{
		"message_id": message, "from": said.user.json(), "chat": botChat(chat), "date": time.Now().Unix(), "text": text,
	}
	if said.topic != 0 {
		m["message_thread_id"], m["is_topic_message"] = said.topic, true
	}
	if said.replyTo != 0 {
		to := map[string]any{
			"message_id": said.replyTo, "date": time.Now().Unix(), "chat": botChat(chat),
			"from": map[string]any{"id": b.id(), "is_bot": true, "first_name": "demo", "username": "demo_bot"}, "text": "what the bot wrote",
		}
		if keyboard := b.keyboard(chat, said.replyTo); keyboard != nil {
			to["reply_markup"] = map[string]any{"inline_keyboard": keyboard}
		}
		m["reply_to_message"] = to
	}
	for k, v := range more {
		m[k] = v
	}
	b.push(kind, m)
}

// keyboard returns the rows of buttons that a message has now. b.mu is held.
func (b *BotAPI) keyboard(chat string, message int) (rows [][]map[string]string) {
	at := slices.IndexFunc(b.messages, func(m BotMessage) bool { return m.ChatID == chat && m.ID == message })
	if at < 0 {
		return nil
	}
	for _, button := range b.messages[at].Buttons {
		for len(rows) <= button.Row {
			rows = append(rows, nil)
		}
		of := map[string]string{"text": button.Text}
		if button.URL != "" {
			of["url"] = button.URL
		} else {
			of["callback_data"] = button.Data
		}
		rows[button.Row] = append(rows[button.Row], of)
	}
	return rows
}

// Migrate makes a group a supergroup: both chats get a message with the other's id.
func (b *BotAPI) Migrate(from, to string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := time.Now().Unix()
	b.push("message", map[string]any{"message_id": 1, "chat": botChat(from), "date": at, "migrate_to_chat_id": json.Number(to)})
	b.push("message", map[string]any{"message_id": 1, "chat": botChat(to), "date": at, "migrate_from_chat_id": json.Number(from)})
}

// SetBot changes the membership of the bot in a chat, and sends it the update.
func (b *BotAPI) SetBot(chat, was, is string) {
	b.SetMember(chat, b.id(), is)
	b.mu.Lock()
	defer b.mu.Unlock()
	me := map[string]any{"id": b.id(), "is_bot": true, "first_name": "demo", "username": "demo_bot"}
	b.push("my_chat_member", map[string]any{
		"chat": botChat(chat), "from": BotUser{ID: 1, Name: "Admin"}.json(), "date": time.Now().Unix(),
		"old_chat_member": map[string]any{"status": was, "user": me}, "new_chat_member": map[string]any{"status": is, "user": me},
	})
}

// Update queues an update of any content.
func (b *BotAPI) Update(kind string, body any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.push(kind, body)
}

// SkipIDs sets the id of the next update. Telegram chooses a random one after a week without updates.
func (b *BotAPI) SkipIDs(next int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.updates.next = next
}

// Answers returns the answers to taps so far.
func (b *BotAPI) Answers() []BotAnswer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.updates.answers)
}

// WaitAnswers returns when at least n taps were answered, or with ctx's error.
func (b *BotAPI) WaitAnswers(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		have, answered := len(b.updates.answers), b.updates.answered
		b.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bot api: %d of %d answers: %w", have, n, ctx.Err())
		case <-answered:
		}
	}
}

// Queued counts the updates that were not confirmed by a higher offset yet.
func (b *BotAPI) Queued() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.updates.queue)
}

// Polls counts the calls of getUpdates.
func (b *BotAPI) Polls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.updates.polls
}

// Conflicts counts the polls that ended another one whose client was still connected.
func (b *BotAPI) Conflicts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.updates.conflict
}

// Commands returns what the bot has registered.
func (b *BotAPI) Commands() []BotCommands {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.updates.commands)
}

// Reaction returns the bot's reaction to a message; "" means none.
func (b *BotAPI) Reaction(chat string, message int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.updates.reactions[chat+"/"+strconv.Itoa(message)]
}

// id is the bot's, which is the first half of its token.
func (b *BotAPI) id() int64 {
	n, _, _ := strings.Cut(b.token, ":")
	id, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		return 1
	}
	return id
}

// message returns the message of the bot of that id in the chat.
func (b *BotAPI) message(chat string, id int) (BotMessage, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := slices.IndexFunc(b.messages, func(m BotMessage) bool { return m.ChatID == chat && m.ID == id })
	if at < 0 {
		return BotMessage{}, false
	}
	return b.messages[at], true
}

func (u BotUser) json() map[string]any {
	return map[string]any{"id": u.ID, "is_bot": u.ID == 1087968824, "first_name": u.Name, "username": u.Username, "language_code": "en"}
}

// botChat is a chat in an update: supergroups have ids below -1000000000000, other groups other negative ids.
func botChat(id string) map[string]any {
	n, err := strconv.ParseInt(id, 10, 64)
	switch {
	case err != nil:
		return map[string]any{"id": -1_009_999_999_999, "type": "supergroup", "title": "demo", "username": strings.TrimPrefix(id, "@")}
	case n > 0:
		return map[string]any{"id": n, "type": "private", "first_name": "demo"}
	case n > -1_000_000_000_000:
		return map[string]any{"id": n, "type": "group", "title": "demo"}
	}
	return map[string]any{"id": n, "type": "supergroup", "title": "demo"}
}

// push queues an update, if the bot has asked for its type. b.mu is held.
func (b *BotAPI) push(kind string, body any) {
	u := &b.updates
	allowed := u.allowed
	if allowed == nil {
		allowed = botDefaultUpdates
	}
	if !slices.Contains(allowed, kind) {
		return
	}
	u.next = max(u.next, 1)
	u.queue = append(u.queue, botUpdate{u.next, kind, body})
	u.next++
	close(u.arrived)
	u.arrived = make(chan struct{})
}

// poll answers getUpdates. A poll ends the one that waits with 409, as in the real server (Client::do_get_updates). If the client of that
// one has disconnected, it is not counted as a conflict.
func (b *BotAPI) poll(w http.ResponseWriter, r *http.Request, params map[string]string) {
	offset, limit, timeout := botInt(params["offset"], 0), botInt(params["limit"], 100), botInt(params["timeout"], 0)
	limit, timeout = min(max(limit, 1), 100), min(max(timeout, 0), botPollMax)
	b.mu.Lock()
	u := &b.updates
	u.polls++
	if u.webhook != "" {
		b.mu.Unlock()
		answer(w, http.StatusConflict, "Conflict: can't use getUpdates method while webhook is active; "+
			"use deleteWebhook to delete the webhook first", BotFault{})
		return
	}
	var allowed []string
	if json.Unmarshal([]byte(params["allowed_updates"]), &allowed) == nil && len(allowed) > 0 {
		u.allowed = allowed
	}
	b.confirm(offset)
	mine := &botPoll{ctx: r.Context(), kicked: make(chan struct{})}
	if before := u.polling; before != nil {
		close(before.kicked)
	}
	u.polling = mine
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if u.polling == mine {
			u.polling = nil
		}
	}()
	timer := time.NewTimer(time.Duration(timeout) * time.Second)
	defer timer.Stop()
	for over := false; ; {
		b.mu.Lock()
		n := min(limit, len(u.queue))
		batch := slices.Clone(u.queue[:n])
		arrived := u.arrived
		b.mu.Unlock()
		if len(batch) > 0 || over || timeout == 0 {
			b.writeUpdates(w, batch)
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-mine.kicked:
			b.kicked(w, r)
			return
		case <-arrived:
		case <-timer.C:
			over = true
		}
	}
}

// kicked answers a poll that another one has ended, unless its client has disconnected.
func (b *BotAPI) kicked(w http.ResponseWriter, r *http.Request) {
	timer := time.NewTimer(botPollLeaves)
	defer timer.Stop()
	select {
	case <-r.Context().Done():
		return
	case <-timer.C:
	}
	b.mu.Lock()
	b.updates.conflict++
	b.mu.Unlock()
	answer(w, http.StatusConflict, "Conflict: terminated by other getUpdates request; "+
		"make sure that only one bot instance is running", BotFault{})
}

// confirm removes the updates below the offset. With a negative one it keeps that many of the latest; one far ahead of the queue is
// ignored. b.mu is held.
func (b *BotAPI) confirm(offset int) {
	u := &b.updates
	switch {
	case offset < 0:
		u.queue = u.queue[max(0, len(u.queue)+offset):]
	case offset > u.next+botAhead:
	default:
		u.queue = slices.DeleteFunc(u.queue, func(e botUpdate) bool { return e.ID < offset })
	}
}

func (b *BotAPI) writeUpdates(w http.ResponseWriter, batch []botUpdate) {
	list := make([]map[string]any, 0, len(batch))
	for _, e := range batch {
		list = append(list, map[string]any{"update_id": e.ID, e.Kind: e.Body})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"ok": true, "result": list})
}

func botInt(text string, otherwise int) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return otherwise
	}
	return n
}

// receive handles the methods about updates. Its error is Telegram's description, or errNoMethod.
func (b *BotAPI) receive(method string, params map[string]string) (result string, err error) {
	switch method {
	case "deleteWebhook":
		b.SetWebhook("")
		return "true", nil
	case "getWebhookInfo":
		b.mu.Lock()
		defer b.mu.Unlock()
		return fmt.Sprintf(`{"url":%q,"has_custom_certificate":false,"pending_update_count":%d}`, b.updates.webhook, len(b.updates.queue)), nil
	case "answerCallbackQuery":
		return b.answerQuery(params)
	case "getChatMember":
		return b.chatMember(params)
	case "setMyCommands":
		return b.setCommands(params)
	case "setMessageReaction":
		return b.react(params)
	}
	return "", errNoMethod
}

// answerQuery accepts an answer to a tap. As the real server, it accepts further answers to the same tap.
func (b *BotAPI) answerQuery(params map[string]string) (string, error) {
	if utf8.RuneCountInString(params["text"]) > 200 {
		return "", errors.New("Bad Request: MESSAGE_TOO_LONG") //nolint:staticcheck // Telegram's own text
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	u := &b.updates
	id := params["callback_query_id"]
	if !u.queries[id] {
		//nolint:staticcheck // as above
		return "", errors.New("Bad Request: query is too old and response timeout expired or query ID is invalid")
	}
	u.answers = append(u.answers, BotAnswer{QueryID: id, Text: params["text"], Alert: params["show_alert"] == "true"})
	close(u.answered)
	u.answered = make(chan struct{})
	return "true", nil
}

func (b *BotAPI) chatMember(params map[string]string) (string, error) {
	if err := checkChat(params); err != nil {
		return "", err
	}
	user, err := strconv.ParseInt(params["user_id"], 10, 64)
	if err != nil || user <= 0 {
		return "", errors.New("Bad Request: invalid user_id specified") //nolint:staticcheck // Telegram's own text
	}
	chat := params["chat_id"]
	b.mu.Lock()
	status := b.updates.members[memberKey(chat, user)]
	b.mu.Unlock()
	switch {
	case status != "":
	case user == b.id() || chat == params["user_id"]:
		status = "member"
	default:
		status = "left"
	}
	more := ""
	if status == "restricted" {
		more = `,"is_member":true,"can_send_messages":true`
	}
	return fmt.Sprintf(`{"status":%q,"user":{"id":%d,"is_bot":%t,"first_name":"x"}%s}`, status, user, user == b.id(), more), nil
}

var (
	botCommand  = regexp.MustCompile(`^[a-z0-9_]+$`)
	botLanguage = regexp.MustCompile(`^([a-z]{2})?$`)
)

// setCommands registers commands. The limits are td's (BotCommand.cpp) and those of
// https://core.telegram.org/bots/api#botcommand.
func (b *BotAPI) setCommands(params map[string]string) (string, error) {
	var commands []struct {
		Command     string `json:"command"`
		Description string `json:"description"`
	}
	if err := json.Unmarshal([]byte(params["commands"]), &commands); err != nil {
		return "", errors.New("Bad Request: can't parse commands JSON object") //nolint:staticcheck // Telegram's own text
	}
	if len(commands) > 100 {
		return "", errors.New("Bad Request: BOT_COMMANDS_TOO_MUCH") //nolint:staticcheck // as above
	}
	set := BotCommands{Scope: "default", Language: params["language_code"]}
	for _, c := range commands {
		name, text := strings.TrimPrefix(strings.TrimSpace(c.Command), "/"), strings.TrimSpace(c.Description)
		switch {
		case name == "":
			return "", errors.New("Bad Request: command must be non-empty") //nolint:staticcheck // as above
		case len(name) > 32:
			return "", errors.New("Bad Request: command length must not exceed 32") //nolint:staticcheck // as above
		case !botCommand.MatchString(name):
			return "", errors.New("Bad Request: BOT_COMMAND_INVALID") //nolint:staticcheck // as above
		case text == "":
			return "", errors.New("Bad Request: command description must be non-empty") //nolint:staticcheck // as above
		case utf8.RuneCountInString(text) > 256:
			return "", errors.New("Bad Request: command description length must not exceed 256") //nolint:staticcheck // as above
		}
		set.Names, set.Texts = append(set.Names, name), append(set.Texts, text)
	}
	if !botLanguage.MatchString(set.Language) {
		return "", errors.New("Bad Request: invalid language code specified") //nolint:staticcheck // as above
	}
	if text := params["scope"]; text != "" {
		var scope struct {
			Type   string      `json:"type"`
			ChatID json.Number `json:"chat_id"`
		}
		if err := json.Unmarshal([]byte(text), &scope); err != nil {
			return "", errors.New("Bad Request: can't parse BotCommandScope JSON object") //nolint:staticcheck // as above
		}
		switch scope.Type {
		case "default", "all_private_chats", "all_group_chats", "all_chat_administrators":
			set.Scope = scope.Type
		case "chat":
			if err := checkChat(map[string]string{"chat_id": scope.ChatID.String()}); err != nil {
				return "", err
			}
			set.Scope = "chat " + scope.ChatID.String()
		default:
			//nolint:staticcheck // as above
			return "", errors.New("Bad Request: can't parse BotCommandScope: Unsupported type specified")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.updates.commands = slices.DeleteFunc(b.updates.commands, func(c BotCommands) bool {
		return c.Scope == set.Scope && c.Language == set.Language
	})
	b.updates.commands = append(b.updates.commands, set)
	return "true", nil
}

// react sets the bot's reaction to a message.
func (b *BotAPI) react(params map[string]string) (string, error) {
	if err := checkChat(params); err != nil {
		return "", err
	}
	var types []struct {
		Type  string `json:"type"`
		Emoji string `json:"emoji"`
	}
	if text := params["reaction"]; text != "" {
		if err := json.Unmarshal([]byte(text), &types); err != nil {
			return "", errors.New("Bad Request: can't parse reaction types JSON object") //nolint:staticcheck // Telegram's own text
		}
	}
	message, err := strconv.Atoi(params["message_id"])
	key := params["chat_id"] + "/" + params["message_id"]
	b.mu.Lock()
	defer b.mu.Unlock()
	_, said := b.updates.said[key]
	if err != nil || (!said && (message < 1 || message > len(b.messages))) {
		return "", errors.New("Bad Request: message to react not found") //nolint:staticcheck // as above
	}
	if b.updates.reactions == nil {
		b.updates.reactions = map[string]string{}
	}
	delete(b.updates.reactions, key)
	for _, t := range types {
		if t.Type != "emoji" || !slices.Contains(botReactions, t.Emoji) {
			return "", errors.New("Bad Request: REACTION_INVALID") //nolint:staticcheck // as above
		}
		b.updates.reactions[key] = t.Emoji
	}
	return "true", nil
}

// botReactions are some of https://core.telegram.org/bots/api#reactiontypeemoji.
var botReactions = []string{"👍", "👎", "❤", "🔥", "👌", "👀", "✍", "🙏", "🤔"}

// LastSaid is the id of the latest message of a person.
func (b *BotAPI) LastSaid() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.updates.lastID
}

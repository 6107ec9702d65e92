package localstack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// BotAPIOptions configures the fake Telegram.
type BotAPIOptions struct {
	Token string // of its one bot
	// Limits makes it answer 429 beyond Telegram's limits: 1 message a second in a chat with short bursts, 20 a minute in a
	// group, 30 a second of the bot. https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
	Limits bool
}

// BotMessage is a message that the fake Telegram accepted.
type BotMessage struct {
	ID       int
	ChatID   string
	ThreadID string
	ReplyTo  int // id of the message that it answers
	Buttons  []BotButton
	Text     string // as it was sent; of a document or a photo its caption
	Plain    string // after parsing
	Document string // file name
	Content  string // of the document
	Photo    []byte
	Silent   bool
	At       time.Time
}

// BotButton is one button of an inline keyboard: a link, or an action whose data is returned when it is pressed.
type BotButton struct {
	Row             int
	Text, URL, Data string
}

// BotFault is how one call fails. The zero value does not fail.
type BotFault struct {
	Status       int    // answer with this status instead of handling the call
	Description  string // of that answer
	RetryAfter   int    // seconds, in that answer
	Header       int    // seconds, in the header Retry-After of that answer
	Proxy        bool   // that answer is not Telegram's JSON
	MigrateTo    int64  // chat id, in that answer
	Accept       bool   // accept the message before failing, so that only the answer is lost
	Hang         bool   // do not answer until the client disconnects
	Cut          bool   // read the request, then close the connection
	CutAtOnce    bool   // close the connection without reading
	Garbage      bool   // answer 200 with something that is not JSON
	HalfAnAnswer bool   // answer 200 and cut the body
}

// BotAPI is a fake of Telegram's Bot API on a free loopback port, which refuses all that the real one refuses.
type BotAPI struct {
	token  string
	url    string
	limits bool
	server *http.Server

	mu       sync.Mutex
	faults   []BotFault
	chats    map[string]BotFault // of every send to a chat or topic ("CHAT/TOPIC")
	actions  map[string]int      // chat actions by chat
	outage   *BotFault           // of every call
	messages []BotMessage
	calls    int
	floods   int                    // sends that were answered 429 because of the limits
	arrivals map[string][]time.Time // times of accepted messages and edits by chat; "" has those of all chats
	arrived  chan struct{}          // closed and replaced at each message
	updates  botUpdates
	edits    botEdits
}

// NewBotAPI starts the fake, which runs until Close.
func NewBotAPI(o BotAPIOptions) (*BotAPI, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bot api: %w", err)
	}
	b := &BotAPI{
		token: o.Token, url: "http://" + l.Addr().String(), limits: o.Limits, arrived: make(chan struct{}), arrivals: map[string][]time.Time{},
		updates: botUpdates{next: 1, arrived: make(chan struct{}), answered: make(chan struct{})},
		edits:   botEdits{texts: map[int][]string{}, locked: map[int]bool{}, deleted: map[int]bool{}, edited: make(chan struct{})},
	}
	b.server = &http.Server{Handler: http.HandlerFunc(b.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = b.server.Serve(l) }()
	return b, nil
}

// URL is the address to use as api_url.
func (b *BotAPI) URL() string { return b.url }

// Close ends the server and all calls.
func (b *BotAPI) Close() { b.server.Close() }

// Fail makes the next calls fail, except polls, one fault each.
func (b *BotAPI) Fail(faults ...BotFault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, faults...)
}

// SetChat makes every send to the chat, or to its topic as "CHAT/TOPIC", fail; nil ends that. Chat actions fail too, except for faults
// about media or rights, which Telegram does not check there.
func (b *BotAPI) SetChat(chat string, f *BotFault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.chats == nil {
		b.chats = map[string]BotFault{}
	}
	delete(b.chats, chat)
	if f != nil {
		b.chats[chat] = *f
	}
}

// SetOutage makes every call fail; nil ends that.
func (b *BotAPI) SetOutage(f *BotFault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outage = f
}

// Actions counts the chat actions in a chat that succeeded.
func (b *BotAPI) Actions(chat string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.actions[chat]
}

// Messages returns the accepted messages, with their latest edits.
func (b *BotAPI) Messages() []BotMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}

// Floods counts the sends that were refused because of the limits.
func (b *BotAPI) Floods() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.floods
}

// floodLimits are the limits that Telegram documents, and the bursts that it allows in a chat.
var floodLimits = []struct {
	n     int
	per   time.Duration
	group bool // of groups only
	all   bool // of all chats together
}{{n: 3, per: 3 * time.Second}, {n: 2, per: time.Second}, {n: 20, per: time.Minute, group: true}, {n: 30, per: time.Second, all: true}}

// flood returns for how long a message to the chat has to wait: at most n messages may arrive within any time per. It counts one that
// need not wait. A group's id is negative, and a name counts as a group's. b.mu is held.
func (b *BotAPI) flood(chat string, now time.Time) (wait time.Duration) {
	group := strings.HasPrefix(chat, "-") || strings.HasPrefix(chat, "@")
	for _, l := range floodLimits {
		if l.group && !group {
			continue
		}
		of := b.arrivals[chat]
		if l.all {
			of = b.arrivals[""]
		}
		if at := len(of) - l.n; at >= 0 {
			wait = max(wait, of[at].Add(l.per).Sub(now))
		}
	}
	if wait <= 0 {
		for _, key := range []string{chat, ""} {
			b.arrivals[key] = append(b.arrivals[key], now)
		}
		return 0
	}
	b.floods++
	return wait
}

// Calls counts all calls, including those that failed.
func (b *BotAPI) Calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// Wait returns when at least n messages were accepted, or with ctx's error.
func (b *BotAPI) Wait(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		have, arrived := len(b.messages), b.arrived
		b.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bot api: %d of %d messages: %w", have, n, ctx.Err())
		case <-arrived:
		}
	}
}

// next returns the fault of the next call.
func (b *BotAPI) next(poll bool) BotFault {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	faults := &b.faults
	if poll {
		faults = &b.updates.faults
	}
	switch {
	case b.outage != nil:
		return *b.outage
	case len(*faults) == 0:
		return BotFault{}
	}
	f := (*faults)[0]
	*faults = (*faults)[1:]
	return f
}

func (b *BotAPI) serve(w http.ResponseWriter, r *http.Request) {
	f := b.next(strings.HasSuffix(r.URL.Path, "/getUpdates"))
	if f.CutAtOnce {
		panic(http.ErrAbortHandler)
	}
	r.Body = http.MaxBytesReader(w, r.Body, 60<<20)
	params, file, content, err := botParams(r)
	if err != nil {
		answer(w, http.StatusBadRequest, "Bad Request: "+err.Error(), BotFault{})
		return
	}
	token, method, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/bot"), "/")
	if (strings.HasPrefix(method, "send") || strings.HasPrefix(method, "edit")) && f == (BotFault{}) {
		f = b.ofChat(method, params["chat_id"], params["message_thread_id"])
	}
	if f.Accept && ok && token == b.token {
		_, _ = b.accept(method, params, file, content) // the answer is lost, whatever it is
	}
	switch {
	case f.Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Garbage:
		fmt.Fprint(w, "<html>gateway</html>")
		return
	case f.HalfAnAnswer:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"ok": true, "res`)
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		answer(w, f.Status, f.Description, f)
		return
	case !ok || !strings.HasPrefix(r.URL.Path, "/bot"):
		answer(w, http.StatusNotFound, "Not Found", BotFault{})
		return
	case token != b.token:
		answer(w, http.StatusUnauthorized, "Unauthorized", BotFault{})
		return
	}
	if method == "getUpdates" {
		b.poll(w, r, params)
		return
	}
	result, fault := b.accept(method, params, file, content)
	var flood *floodError
	if errors.As(fault, &flood) {
		seconds := int(math.Ceil(flood.wait.Seconds()))
		text := fmt.Sprintf("Too Many Requests: retry after %d", seconds)
		answer(w, http.StatusTooManyRequests, text, BotFault{RetryAfter: seconds, Header: seconds})
		return
	}
	if fault != nil {
		status := http.StatusBadRequest
		if errors.Is(fault, errNoMethod) {
			status = http.StatusNotFound
		}
		answer(w, status, fault.Error(), BotFault{})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"ok":true,"result":%s}`, result)
}

// ofChat returns the fault of the chat or its topic. Telegram checks the rights to write and to send media for messages, and not for chat
// actions (td's can_send_message_content and send_dialog_action).
func (b *BotAPI) ofChat(method, chat, topic string) BotFault {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, ok := b.chats[chat+"/"+topic]
	if !ok {
		f = b.chats[chat]
	}
	text := strings.ToLower(f.Description)
	media := strings.Contains(text, "photos") || strings.Contains(text, "media") || strings.Contains(text, "documents")
	switch {
	case media && (method == "sendMessage" || method == "sendChatAction"):
		return BotFault{}
	case (method == "sendChatAction" || strings.HasPrefix(method, "edit")) && strings.Contains(text, "rights"):
		return BotFault{}
	}
	return f
}

// floodError refuses a message beyond the limits.
type floodError struct{ wait time.Duration }

func (e *floodError) Error() string { return "too many requests" }

var errNoMethod = errors.New("Not Found") //nolint:staticcheck // Telegram's own text

// accept handles a call; its error is Telegram's description.
func (b *BotAPI) accept(method string, params map[string]string, file, content string) (result string, err error) {
	m := BotMessage{
		ChatID: params["chat_id"], ThreadID: params["message_thread_id"], Document: file, Content: content,
		Silent: params["disable_notification"] == "true", At: time.Now(),
	}
	limit := 4096
	switch method {
	case "getMe":
		b.mu.Lock()
		defer b.mu.Unlock()
		return fmt.Sprintf(`{"id":%d,"is_bot":true,"first_name":"demo","username":"demo_bot","can_read_all_group_messages":%t}`,
			b.id(), b.updates.allMessages), nil
	case "sendChatAction":
		if !slices.Contains([]string{"typing", "upload_photo", "upload_document"}, params["action"]) {
			return "", errors.New("Bad Request: wrong parameter action in request") //nolint:staticcheck // Telegram's own text
		}
		if err := checkChat(params); err != nil {
			return "", err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.actions == nil {
			b.actions = map[string]int{}
		}
		b.actions[m.ChatID]++
		return "true", nil
	case "getChat":
		if err := checkChat(params); err != nil {
			return "", err
		}
		return `{"id":1,"type":"supergroup","title":"demo"}`, nil
	case "sendMessage":
		m.Text = params["text"]
	case "sendPhoto":
		m.Text, limit, m.Photo, m.Document, m.Content = params["caption"], 1024, []byte(content), "", ""
		if err := checkPhoto(m.Photo); err != nil {
			return "", err
		}
	case "sendDocument":
		m.Text, limit = params["caption"], 1024
		if content == "" {
			return "", errors.New("Bad Request: there is no document in the request") //nolint:staticcheck // as above
		}
	case "editMessageText", "editMessageCaption", "editMessageReplyMarkup", "deleteMessage":
		return b.edit(method, params)
	default:
		return b.receive(method, params)
	}
	if m.ReplyTo, err = replyTo(params["reply_parameters"]); err != nil {
		return "", err
	}
	if m.Buttons, err = buttons(params["reply_markup"]); err != nil {
		return "", err
	}
	if err := checkChat(params); err != nil {
		return "", err
	}
	if m.Plain = m.Text; params["parse_mode"] == "HTML" {
		if m.Plain, err = ParseHTML(m.Text); err != nil {
			return "", fmt.Errorf("Bad Request: can't parse entities: %w", err) //nolint:staticcheck // as above
		}
	}
	if strings.TrimSpace(m.Plain) == "" && method == "sendMessage" {
		return "", errors.New("Bad Request: message text is empty") //nolint:staticcheck // as above
	}
	if utf8.RuneCountInString(m.Plain) > limit {
		return "", errors.New("Bad Request: message is too long") //nolint:staticcheck // as above
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limits {
		if wait := b.flood(m.ChatID, m.At); wait > 0 {
			return "", &floodError{wait}
		}
	}
	m.ID = len(b.messages) + 1
	b.messages = append(b.messages, m)
	b.edits.texts[m.ID] = []string{m.Plain}
	close(b.arrived)
	b.arrived = make(chan struct{})
	return fmt.Sprintf(`{"message_id":%d,"date":%d,"chat":{"id":%q}}`, m.ID, m.At.Unix(), m.ChatID), nil
}

// checkChat refuses the ids of chats and topics that Telegram refuses.
func checkChat(params map[string]string) error {
	id := params["chat_id"]
	if id == "" {
		return errors.New("Bad Request: chat_id is empty") //nolint:staticcheck // Telegram's own text
	}
	if _, err := strconv.ParseInt(id, 10, 64); err != nil && !strings.HasPrefix(id, "@") {
		return errors.New("Bad Request: chat not found") //nolint:staticcheck // as above
	}
	if topic := params["message_thread_id"]; topic != "" {
		if n, err := strconv.Atoi(topic); err != nil || n <= 0 {
			return errors.New("Bad Request: message thread not found") //nolint:staticcheck // as above
		}
	}
	return nil
}

// checkPhoto refuses the photos that Telegram refuses: https://core.telegram.org/bots/api#sendphoto
func checkPhoto(b []byte) error {
	c, err := png.DecodeConfig(bytes.NewReader(b))
	switch {
	case err != nil:
		return errors.New("Bad Request: IMAGE_PROCESS_FAILED") //nolint:staticcheck // Telegram's own text
	case c.Width+c.Height > 10000 || c.Width > 20*c.Height || c.Height > 20*c.Width:
		return errors.New("Bad Request: PHOTO_INVALID_DIMENSIONS") //nolint:staticcheck // as above
	case len(b) > 10<<20:
		return errors.New("Bad Request: file is too big") //nolint:staticcheck // as above
	}
	return nil
}

func replyTo(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	var p struct {
		MessageID int `json:"message_id"`
	}
	if err := json.Unmarshal([]byte(s), &p); err != nil || p.MessageID == 0 {
		return 0, errors.New("Bad Request: can't parse reply parameters JSON object") //nolint:staticcheck // as above
	}
	return p.MessageID, nil
}

func buttons(s string) (out []BotButton, err error) {
	if s == "" {
		return nil, nil
	}
	var markup struct {
		Keyboard [][]struct {
			Text string  `json:"text"`
			URL  string  `json:"url"`
			Data *string `json:"callback_data"`
		} `json:"inline_keyboard"`
	}
	if err := json.Unmarshal([]byte(s), &markup); err != nil || len(markup.Keyboard) == 0 {
		return nil, errors.New("Bad Request: can't parse reply keyboard markup JSON object") //nolint:staticcheck // as above
	}
	for n, row := range markup.Keyboard {
		for _, b := range row {
			button := BotButton{Row: n, Text: b.Text, URL: b.URL}
			switch {
			case b.Text == "":
				//nolint:staticcheck // as above
				return nil, errors.New("Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
			case b.URL != "" && !DottedHost(b.URL):
				//nolint:staticcheck // as above
				return nil, fmt.Errorf("Bad Request: inline keyboard button URL '%s' is invalid: Wrong HTTP URL", b.URL)
			case b.URL == "" && b.Data == nil:
				//nolint:staticcheck // as above
				return nil, errors.New("Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
			case b.URL == "":
				if len(*b.Data) < 1 || len(*b.Data) > 64 { // https://core.telegram.org/bots/api#inlinekeyboardbutton
					return nil, errors.New("Bad Request: BUTTON_DATA_INVALID") //nolint:staticcheck // as above
				}
				button.Data = *b.Data
			}
			out = append(out, button)
		}
	}
	return out, nil
}

func answer(w http.ResponseWriter, status int, description string, f BotFault) {
	if f.Header != 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.Header))
	}
	if f.Proxy {
		http.Error(w, "<html>"+description+"</html>", status)
		return
	}
	body := map[string]any{"ok": false, "error_code": status, "description": description}
	params := map[string]any{}
	if f.RetryAfter != 0 {
		params["retry_after"] = f.RetryAfter
	}
	if f.MigrateTo != 0 {
		params["migrate_to_chat_id"] = f.MigrateTo
	}
	if len(params) > 0 {
		body["parameters"] = params
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// botParams reads a call's parameters from JSON, a form or a multipart form.
func botParams(r *http.Request) (params map[string]string, file, content string, err error) {
	params = map[string]string{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var body map[string]any
		d := json.NewDecoder(r.Body)
		d.UseNumber()
		if err := d.Decode(&body); err != nil && !errors.Is(err, io.EOF) {
			return nil, "", "", errors.New("the body is not JSON")
		}
		for k, v := range body {
			params[k] = fmt.Sprint(v)
			switch v.(type) {
			case map[string]any, []any: // stay JSON, as they are in a form
				b, err := json.Marshal(v)
				if err != nil {
					return nil, "", "", err
				}
				params[k] = string(b)
			}
		}
		return params, "", "", nil
	}
	if err := r.ParseMultipartForm(60 << 20); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return nil, "", "", errors.New("the form cannot be read")
	}
	for k := range r.Form {
		params[k] = r.Form.Get(k)
	}
	if r.MultipartForm != nil {
		for _, headers := range r.MultipartForm.File {
			f, err := headers[0].Open()
			if err != nil {
				return nil, "", "", err
			}
			b, err := io.ReadAll(f)
			if err != nil {
				return nil, "", "", err
			}
			file, content = headers[0].Filename, string(b)
		}
	}
	return params, file, content, nil
}

var (
	botTag = regexp.MustCompile(`^<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[a-zA-Z-]+(?:\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))?)*)\s*>`)
	botRef = regexp.MustCompile(`^&(?:#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6})|(lt|gt|amp|quot));`)
)

var botTags = []string{
	"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "blockquote", "span", "tg-spoiler", "tg-emoji",
}

// ParseHTML reads Telegram's HTML subset as strictly as Telegram, and returns the text: tags must be known, balanced and nested, and a bare
// < is an error, while a bare & is text. https://core.telegram.org/bots/api#html-style
func ParseHTML(s string) (plain string, err error) {
	if !utf8.ValidString(s) {
		return "", errors.New("strings must be encoded in UTF-8")
	}
	var out strings.Builder
	var open []string
	for at := 0; at < len(s); {
		switch s[at] {
		case '<':
			m := botTag.FindStringSubmatch(s[at:])
			if m == nil {
				return "", fmt.Errorf("unsupported start tag at byte offset %d", at)
			}
			name := strings.ToLower(m[2])
			if !slices.Contains(botTags, name) {
				return "", fmt.Errorf("unsupported start tag %q at byte offset %d", name, at)
			}
			if m[1] == "" {
				open = append(open, name)
			} else {
				if len(open) == 0 || open[len(open)-1] != name {
					return "", fmt.Errorf("unmatched end tag at byte offset %d", at)
				}
				open = open[:len(open)-1]
			}
			at += len(m[0])
		case '&':
			m := botRef.FindStringSubmatch(s[at:])
			if m == nil {
				out.WriteByte('&')
				at++
				continue
			}
			out.WriteRune(botRune(m))
			at += len(m[0])
		default:
			out.WriteByte(s[at])
			at++
		}
	}
	if len(open) > 0 {
		return "", fmt.Errorf("can't find end tag corresponding to start tag %q", open[len(open)-1])
	}
	return out.String(), nil
}

func botRune(m []string) rune {
	switch m[3] {
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "amp":
		return '&'
	case "quot":
		return '"'
	}
	digits, base := m[1], 10
	if m[2] != "" {
		digits, base = m[2], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n == 0 || n > utf8.MaxRune {
		return utf8.RuneError
	}
	return rune(n)
}

// DottedHost reports whether the host of the address has a dot. Telegram drops other links without an error.
func DottedHost(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && strings.Contains(u.Hostname(), ".")
}

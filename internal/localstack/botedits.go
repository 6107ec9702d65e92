package localstack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// botEdits is the state of edits. BotAPI.mu guards it.
type botEdits struct {
	texts   map[int][]string // of a message: the first one, and that of each edit
	locked  map[int]bool     // messages that cannot be edited
	deleted map[int]bool
	count   int
	edited  chan struct{} // closed and replaced at each edit
}

// deletableFor is how long a bot can delete its own messages: https://core.telegram.org/bots/api#deletemessage. Edits have no such limit
// (td's MessagesManager::can_edit_message).
const deletableFor = 48 * time.Hour

// Texts returns the texts of a message after parsing: the first one, and that of each edit.
func (b *BotAPI) Texts(id int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.edits.texts[id])
}

// Edits counts the edits that were accepted.
func (b *BotAPI) Edits() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.edits.count
}

// WaitEdits returns when at least n edits were accepted, or with ctx's error.
func (b *BotAPI) WaitEdits(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		have, edited := b.edits.count, b.edits.edited
		b.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bot api: %d of %d edits: %w", have, n, ctx.Err())
		case <-edited:
		}
	}
}

// Arrivals returns when messages and edits of a chat were accepted; with Limits only.
func (b *BotAPI) Arrivals(chat string) []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.arrivals[chat])
}

// Delete deletes a message, as an administrator of its chat does.
func (b *BotAPI) Delete(id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.edits.deleted[id] = true
}

// Deleted reports whether a message was deleted.
func (b *BotAPI) Deleted(id int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.edits.deleted[id]
}

// Lock makes a message fail all edits, as a message of another bot.
func (b *BotAPI) Lock(id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.edits.locked[id] = true
}

// edit handles the methods about sent messages. Its error is Telegram's description, from the Bot API server's Client::check_message and
// fail_query_with_error, and td's MessagesManager::edit_message_text.
func (b *BotAPI) edit(method string, params map[string]string) (string, error) {
	if err := checkChat(params); err != nil {
		return "", err
	}
	buttons, err := buttons(params["reply_markup"])
	if err != nil {
		return "", err
	}
	text, plain := params["text"], ""
	if method == "editMessageCaption" {
		text = params["caption"]
	}
	if plain = text; params["parse_mode"] == "HTML" {
		if plain, err = ParseHTML(text); err != nil {
			return "", fmt.Errorf("Bad Request: can't parse entities: %w", err) //nolint:staticcheck // Telegram's own text
		}
	}
	verb := "edit"
	if method == "deleteMessage" {
		verb = "delete"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	id, err := strconv.Atoi(params["message_id"])
	at := slices.IndexFunc(b.messages, func(m BotMessage) bool { return m.ID == id && m.ChatID == params["chat_id"] })
	switch {
	case err != nil || at < 0 || b.edits.deleted[id]:
		return "", fmt.Errorf("Bad Request: message to %s not found", verb) //nolint:staticcheck // as above
	case verb == "edit" && b.edits.locked[id]:
		return "", errors.New("Bad Request: message can't be edited") //nolint:staticcheck // as above
	}
	m := &b.messages[at]
	isText := m.Photo == nil && m.Document == ""
	switch {
	case method == "deleteMessage":
		if time.Since(m.At) > deletableFor {
			return "", errors.New("Bad Request: message can't be deleted for everyone") //nolint:staticcheck // as above
		}
		b.edits.deleted[id] = true
		return "true", nil
	case method == "editMessageText" && !isText:
		return "", errors.New("Bad Request: there is no text in the message to edit") //nolint:staticcheck // as above
	case method == "editMessageCaption" && isText:
		return "", errors.New("Bad Request: there is no caption in the message to edit") //nolint:staticcheck // as above
	case method == "editMessageText" && strings.TrimSpace(plain) == "":
		return "", errors.New("Bad Request: message text is empty") //nolint:staticcheck // as above
	case method == "editMessageText" && utf8.RuneCountInString(plain) > 4096:
		return "", errors.New("Bad Request: MESSAGE_TOO_LONG") //nolint:staticcheck // as above
	case method == "editMessageCaption" && utf8.RuneCountInString(plain) > 1024:
		return "", errors.New("Bad Request: message caption is too long") //nolint:staticcheck // as above
	}
	if method == "editMessageReplyMarkup" {
		text, plain = m.Text, m.Plain
	}
	if b.limits { // The server counts an edit before it compares.
		if wait := b.flood(m.ChatID, time.Now()); wait > 0 {
			return "", &floodError{wait}
		}
	}
	if text == m.Text && slices.Equal(buttons, m.Buttons) {
		//nolint:staticcheck // as above
		return "", errors.New("Bad Request: message is not modified: specified new message content and reply markup are exactly the same " +
			"as a current content and reply markup of the message")
	}
	m.Text, m.Plain, m.Buttons = text, plain, buttons
	b.edits.count++
	b.edits.texts[id] = append(b.edits.texts[id], plain)
	close(b.edits.edited)
	b.edits.edited = make(chan struct{})
	return fmt.Sprintf(`{"message_id":%d,"date":%d,"edit_date":%d,"chat":{"id":%q}}`, m.ID, m.At.Unix(), time.Now().Unix(), m.ChatID), nil
}

package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// Verify checks the token and the chat by getMe and getChat, without sending anything. The error begins with "bot: " or "chat: ", and
// shows no token.
func (c *Channel) Verify(ctx context.Context) error {
	if err := c.get(ctx, "getMe", nil, &struct{}{}); err != nil {
		return fmt.Errorf("bot: %w", err)
	}
	err := c.get(ctx, "getChat", map[string]any{"chat_id": c.cfg.ChatID}, &struct{}{})
	// A group that has become a supergroup is followed at the next send.
	if err != nil && !strings.Contains(err.Error(), "upgraded to a supergroup") {
		return fmt.Errorf("chat: %w", err)
	}
	return nil
}

// Inspect checks whether the bot may write in the chat, without sending anything. It returns the names of bot and chat, as far as they
// are known, and the first error, which shows no token.
func (c *Channel) Inspect(ctx context.Context) (bot, chat string, err error) {
	var me struct {
		ID       int64  `json:"id"`
		Username string `json:"username"`
	}
	if err := c.get(ctx, "getMe", nil, &me); err != nil {
		return "", "", fmt.Errorf("bot: %w", err)
	}
	bot = "@" + safetext.Line(me.Username, 64)
	var where struct {
		Type     string `json:"type"`
		Title    string `json:"title"`
		Username string `json:"username"`
		IsForum  bool   `json:"is_forum"`
	}
	if err := c.get(ctx, "getChat", map[string]any{"chat_id": c.cfg.ChatID}, &where); err != nil {
		return bot, "", fmt.Errorf("chat %s: %w", c.cfg.ChatID, err)
	}
	chat = safetext.Line(where.Title+where.Username, 64)
	if c.cfg.ThreadID > 0 && !where.IsForum {
		return bot, chat, errors.New("thread_id is set, but the chat has no topics")
	}
	if where.Type == "private" {
		return bot, chat, nil
	}
	// https://core.telegram.org/bots/api#chatmember
	var member struct {
		Status  string `json:"status"`
		Send    *bool  `json:"can_send_messages"`
		Post    *bool  `json:"can_post_messages"`
		IsThere *bool  `json:"is_member"`
	}
	err = c.get(ctx, "getChatMember", map[string]any{"chat_id": c.cfg.ChatID, "user_id": me.ID}, &member)
	var answer *reporter.SendError
	switch {
	case errors.As(err, &answer) && answer.Verdict == reporter.VerdictAccount:
		// The token was accepted before: this server does not have the method.
		return bot, chat + " (its rights there were not checked)", nil
	case err != nil:
		return bot, chat, fmt.Errorf("membership: %w", err)
	}
	no := func(right *bool) bool { return right != nil && !*right }
	switch {
	case member.Status == "left", member.Status == "kicked", no(member.IsThere):
		return bot, chat, errors.New("the bot is not a member of the chat")
	case member.Status == "restricted" && no(member.Send):
		return bot, chat, errors.New("the bot may not send messages in the chat")
	case where.Type == "channel" && (member.Status != "administrator" || no(member.Post)):
		return bot, chat, errors.New("the bot may not post in the channel")
	}
	return bot, chat, nil
}

// get makes a call that changes nothing, and decodes its result into into.
func (c *Channel) get(ctx context.Context, method string, params map[string]any, into any) error {
	if params == nil {
		params = map[string]any{}
	}
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	result, err := c.call(ctx, method, "application/json", body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(result, into); err != nil {
		return errors.New("telegram: the answer is not that of the Bot API: check api_url")
	}
	return nil
}

package telegram

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Verify asks Telegram for the bot and for the chat, without sending anything. The error says which of them is wrong, and
// shows no token.
func (c *Channel) Verify(ctx context.Context) error {
	if err := c.Check(ctx); err != nil {
		return fmt.Errorf("bot: %w", err)
	}
	body, err := json.Marshal(map[string]string{"chat_id": c.cfg.ChatID})
	if err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	_, err = c.call(ctx, "getChat", "application/json", body)
	// A group that has become a supergroup is followed when something is sent.
	if err != nil && !strings.Contains(err.Error(), "upgraded to a supergroup") {
		return fmt.Errorf("chat: %w", err)
	}
	return nil
}

package config_test

import (
	"strings"
	"testing"
)

// Receivers that share a bot must use the same connection, because its updates are received through one.
func TestReceiversOfOneBotHaveOneConnection(t *testing.T) {
	t.Parallel()
	const remedy = ` with the same bot; use the same for both, or remove telegram.listen, which receives the updates of a bot through one connection`
	for name, tc := range map[string]struct {
		first, second string // further settings of the two receivers
		token         string // of the second
		listen        bool
		want          string
	}{
		"the same":            {"", "", "1:aaaaaaaaaaaaaaaaaaaaaaaa", true, ""},
		"the default":         {"", "api_url: https://api.telegram.org/", "1:aaaaaaaaaaaaaaaaaaaaaaaa", true, ""},
		"another api_url":     {"", "api_url: http://127.0.0.1:1", "1:aaaaaaaaaaaaaaaaaaaaaaaa", true, `receivers[1].telegram.api_url: differs from that of receiver "a"` + remedy},
		"a proxy":             {"", "http_config: {proxy_url: http://127.0.0.1:1}", "1:aaaaaaaaaaaaaaaaaaaaaaaa", true, `receivers[1].telegram.http_config: differs from that of receiver "a"` + remedy},
		"the same proxy":      {"http_config: {proxy_url: http://127.0.0.1:1}", "http_config: {proxy_url: http://127.0.0.1:1}", "1:aaaaaaaaaaaaaaaaaaaaaaaa", true, ""},
		"without listen":      {"", "api_url: http://127.0.0.1:1", "1:aaaaaaaaaaaaaaaaaaaaaaaa", false, ""},
		"another bot's proxy": {"", "http_config: {proxy_url: http://127.0.0.1:1}", "2:aaaaaaaaaaaaaaaaaaaaaaaa", true, ""},
	} {
		text := "receivers:\n  - {name: a, telegram: {bot_token: '1:aaaaaaaaaaaaaaaaaaaaaaaa', chat_id: '-1', " + tc.first +
			"}}\n  - {name: b, telegram: {bot_token: '" + tc.token + "', chat_id: '-2', " + tc.second + "}}\n"
		if tc.listen {
			text += "telegram: {listen: true}\n"
		}
		got := problems(t, text)
		if tc.want == "" && got != "" || !strings.HasSuffix(got, tc.want) {
			t.Errorf("%s: %s\nwant: %s", name, got, tc.want)
		}
	}
}

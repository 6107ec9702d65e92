package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/secret"
)

type holder struct {
	Token secret.Text
	inner secret.Text
}

func TestSecretHidesItself(t *testing.T) {
	t.Parallel()
	const planted = "123456:planted-secret"
	h := holder{Token: secret.New(planted), inner: secret.New(planted)}
	outputs := map[string]func() string{
		"%v":        func() string { return fmt.Sprintf("%v", h) },
		"%+v":       func() string { return fmt.Sprintf("%+v", h.Token) },
		"%#v":       func() string { return fmt.Sprintf("%#v", h.Token) },
		"Sprint":    func() string { return fmt.Sprint(h.Token) },
		"%q":        func() string { return fmt.Sprintf("%q", h.Token) },
		"%d":        func() string { return fmt.Sprintf("%d", h.Token) },
		"%x":        func() string { return fmt.Sprintf("%x", h.Token) },
		"inner %v":  func() string { return fmt.Sprintf("%v", h) },
		"inner %+v": func() string { return fmt.Sprintf("%+v", h) },
		"inner %#v": func() string { return fmt.Sprintf("%#v", &h) },
		"error":     func() string { return fmt.Errorf("token %v: %w", h.Token, errors.New("x")).Error() },
		"json": func() string {
			b, err := json.Marshal(h)
			if err != nil {
				t.Error(err)
			}
			return string(b)
		},
		"yaml": func() string {
			b, err := yaml.Marshal(h.Token)
			if err != nil {
				t.Error(err)
			}
			return string(b)
		},
		"slog text": func() string {
			var b bytes.Buffer
			slog.New(slog.NewTextHandler(&b, nil)).Info("x", "token", h.Token, "holder", h)
			return b.String()
		},
		"slog json": func() string {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "token", h.Token, "holder", h)
			return b.String()
		},
	}
	for name, output := range outputs {
		out := output()
		if out == "" {
			t.Errorf("%s: no output", name)
		}
		if strings.Contains(out, planted) || strings.Contains(out, fmt.Sprintf("%x", planted)) {
			t.Errorf("%s shows the secret: %s", name, out)
		}
	}
	if h.Token.Reveal() != planted || h.inner.Reveal() != planted {
		t.Error("Reveal does not return the secret")
	}
}

// Package secret has the type of texts that must never be shown: a secret comes in from the configuration, and only Reveal returns
// it.
package secret

import "log/slog"

const hidden = "<secret>"

// Text is a secret that hides itself under fmt verbs, slog, JSON and YAML. The zero value is an empty secret.
type Text struct {
	// It is a pointer, because fmt prints unexported fields of a struct without calling their methods, and of a nested pointer it
	// prints only the address.
	value *string
}

// New returns value as a secret.
func New(value string) Text { return Text{value: &value} }

// Reveal returns the text of the secret. Call it only where the secret is used, never where it could be printed.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Empty tells whether the secret is "".
func (t Text) Empty() bool { return t.Reveal() == "" }

func (t Text) String() string {
	if t.Empty() {
		return ""
	}
	return hidden
}

// GoString hides the secret under %#v.
func (t Text) GoString() string { return "secret.Text(" + t.String() + ")" }

// LogValue hides the secret in slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText hides the secret in JSON and other formats that use encoding.TextMarshaler.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalYAML hides the secret in YAML.
func (t Text) MarshalYAML() (any, error) { return t.String(), nil }

// UnmarshalText sets the secret, for decoders of the configuration.
func (t *Text) UnmarshalText(b []byte) error {
	*t = New(string(b))
	return nil
}

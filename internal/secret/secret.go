// Package secret holds text that must never be shown: a secret comes in from the configuration, and only Reveal lets
// it out again.
package secret

import "log/slog"

const hidden = "<secret>"

// Text is a secret that hides itself under fmt verbs, slog, JSON and YAML. The zero value is an empty secret.
type Text struct {
	// A pointer, because fmt reaches into unexported fields of a holder without calling any method of ours, and prints
	// of a nested pointer only its address.
	value *string
}

// New hides value.
func New(value string) Text { return Text{value: &value} }

// Reveal returns the secret itself. Call it only where the secret is used, never where it could be printed.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Empty says whether there is a secret at all.
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

// MarshalText hides the secret in JSON and wherever else text marshalers are honoured.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalYAML hides the secret in YAML.
func (t Text) MarshalYAML() (any, error) { return t.String(), nil }

// UnmarshalText takes the secret from text, as configuration decoders do.
func (t *Text) UnmarshalText(b []byte) error {
	*t = New(string(b))
	return nil
}

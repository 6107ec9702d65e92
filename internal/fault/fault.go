// Package fault has the error for a wrong setting: a key, a text and a remedy come in from the package that owns the setting, and
// internal/config reads them and adds the line of the file.
package fault

import (
	"errors"
	"fmt"
)

// Error is a problem of the value of one key.
type Error struct {
	Key    string // relative to the part that was checked; list entries by index, metrics[0], or by name, queries{alerts}
	Text   string // what is wrong
	Remedy string // what to do; "" if that follows from the text
}

func (e *Error) Error() string {
	s := e.Text
	if e.Key != "" {
		s = e.Key + ": " + s
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// New returns an Error without remedy.
func New(key, format string, a ...any) error {
	return &Error{Key: key, Text: fmt.Sprintf(format, a...)}
}

// Each calls visit for every Error in the tree of err. Any other error in it becomes an Error without key. It calls nothing for nil.
func Each(err error, visit func(*Error)) {
	var e *Error
	switch joined := err.(type) { //nolint:errorlint // walks the tree itself
	case nil:
	case interface{ Unwrap() []error }:
		for _, one := range joined.Unwrap() {
			Each(one, visit)
		}
	default:
		if errors.As(err, &e) {
			visit(e)
			return
		}
		visit(&Error{Text: err.Error()})
	}
}

// In returns the Errors in err, joined, with prefix before each key; nil for nil.
func In(prefix string, err error) error {
	var all []error
	Each(err, func(e *Error) {
		key := prefix
		if e.Key != "" {
			key += "." + e.Key
		}
		all = append(all, &Error{Key: key, Text: e.Text, Remedy: e.Remedy})
	})
	return errors.Join(all...)
}

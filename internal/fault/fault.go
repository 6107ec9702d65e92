// Package fault ties what is wrong with a configuration to the key that it is about: packages that own a part of the file return
// such errors, and internal/config finds the line.
package fault

import (
	"errors"
	"fmt"
)

// Error is what is wrong with the value of one key.
type Error struct {
	Key    string // below the part that was checked; entries of a list by index, metrics[0], or by name, queries{alerts}
	Text   string
	Remedy string // what to do; "" if the text says it
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

// New makes an Error without a remedy.
func New(key, format string, a ...any) error {
	return &Error{Key: key, Text: fmt.Sprintf(format, a...)}
}

// Each calls visit for every Error in the tree of err, and for what else was joined with them as an Error without a key.
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

// In returns err with prefix before each key.
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

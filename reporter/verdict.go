package reporter

import (
	"errors"
	"fmt"
	"time"
)

// The verdict errors are what a channel says of a send that did not succeed. Any other error means: try again later.

// PermanentError means that the same send can never succeed. Stops says that the receiver itself is at fault (a revoked
// token, an unknown chat), so that no other send to it would succeed either.
type PermanentError struct {
	Stops bool
	Err   error
}

func (e *PermanentError) Error() string { return fmt.Sprintf("permanent: %v", e.Err) }
func (e *PermanentError) Unwrap() error { return e.Err }

// RetryAfterError means that the channel asked to be left alone for a while, which may be hours.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string { return fmt.Sprintf("retry after %v: %v", e.After, e.Err) }
func (e *RetryAfterError) Unwrap() error { return e.Err }

// MovedError means that the chat has a new address, which is to be used and remembered.
type MovedError struct {
	To  string
	Err error
}

func (e *MovedError) Error() string { return fmt.Sprintf("moved to %s: %v", e.To, e.Err) }
func (e *MovedError) Unwrap() error { return e.Err }

// AmbiguousError means that the request was written and no answer came: the message may or may not have arrived.
type AmbiguousError struct{ Err error }

func (e *AmbiguousError) Error() string { return fmt.Sprintf("answer lost: %v", e.Err) }
func (e *AmbiguousError) Unwrap() error { return e.Err }

// FormatError means that the channel refused our formatting, which is our defect; the text may be sent plain.
type FormatError struct{ Err error }

func (e *FormatError) Error() string { return fmt.Sprintf("formatting refused: %v", e.Err) }
func (e *FormatError) Unwrap() error { return e.Err }

// UnansweredError means that a server did not answer, or answered that it is overloaded or out of order: the same question
// may be answered later. It is no verdict of a channel.
type UnansweredError struct{ Err error }

func (e *UnansweredError) Error() string { return e.Err.Error() }
func (e *UnansweredError) Unwrap() error { return e.Err }

// ErrObsolete means that a message is not worth sending any more: what it would say is over.
var ErrObsolete = errors.New("obsolete")

// ErrNotFound means that the store, or a database asked for details, has nothing of that id.
var ErrNotFound = errors.New("not found")

// ErrBusy means that too much of the same kind is under way; later it may work.
var ErrBusy = errors.New("busy")

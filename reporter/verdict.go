package reporter

import (
	"errors"
	"fmt"
	"time"
)

// Verdict classifies a channel's answer to a send. It decides what the outbox does next.
type Verdict int

// The verdicts.
const (
	// VerdictRetry: the message was not sent; the same send may succeed later. It is also the verdict of errors without one.
	VerdictRetry Verdict = iota
	// VerdictWait: the message was not sent; nothing is sent to this chat before SendError.After has passed.
	VerdictWait
	// VerdictUnknown: the message may or may not have been sent.
	VerdictUnknown
	// VerdictMoved: the chat has the new address SendError.To.
	VerdictMoved
	// VerdictAccount: the account is refused (a revoked token), and with it every send.
	VerdictAccount
	// VerdictReceiver: the chat, the topic or the account's rights in it are refused, whatever the message.
	VerdictReceiver
	// VerdictMarkup: the formatting was refused.
	VerdictMarkup
	// VerdictPicture: the picture was refused, or pictures are not allowed in the chat.
	VerdictPicture
	// VerdictButtons: a button was refused; SendError.URL is its address, if the answer says which.
	VerdictButtons
	// VerdictReply: the message to reply to no longer exists.
	VerdictReply
	// VerdictRefused: the message was refused for another reason.
	VerdictRefused
	// VerdictGone: the message to edit no longer exists, or cannot be edited.
	VerdictGone
)

var verdictNames = [...]string{
	"error", "retry_after", "ambiguous", "moved", "account", "receiver", "markup", "picture", "buttons", "reply", "refused",
	"gone",
}

// Verdicts returns the names of all verdicts, as they are label values of metrics.
func Verdicts() []string { return verdictNames[:] }

func (v Verdict) String() string { return verdictNames[v] }

// SendError is the error of a channel for a send that did not succeed.
type SendError struct {
	Verdict Verdict
	After   time.Duration // of VerdictWait
	To      string        // of VerdictMoved
	URL     string        // of VerdictButtons
	Status  int           // HTTP status of the answer; 0 means none
	// Err is the channel's answer. It is shown to people, and never holds a secret.
	Err error
}

func (e *SendError) Error() string { return e.Err.Error() }
func (e *SendError) Unwrap() error { return e.Err }

// RetryAfterError is the error of a composer that is to be called again later. It does not count as a failed attempt.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string { return fmt.Sprintf("retry after %v: %v", e.After, e.Err) }
func (e *RetryAfterError) Unwrap() error { return e.Err }

// UnansweredError means that a server did not answer, or answered that it is overloaded or failing: the same query may succeed
// later. It is not a verdict of a channel.
type UnansweredError struct{ Err error }

func (e *UnansweredError) Error() string { return e.Err.Error() }
func (e *UnansweredError) Unwrap() error { return e.Err }

// ErrObsolete means that a message need not be sent any more, because its content no longer applies.
var ErrObsolete = errors.New("obsolete")

// ErrNotFound means that nothing of that id or name exists.
var ErrNotFound = errors.New("not found")

// ErrBusy means that too many operations of the same kind are in progress. A later try may succeed.
var ErrBusy = errors.New("busy")

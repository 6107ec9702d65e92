package reporter

import (
	"errors"
	"fmt"
	"time"
)

// Verdict is what a channel's answer to a send means for what comes next.
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
	// VerdictAccount: the account is refused (a revoked token), and so is every send with it.
	VerdictAccount
	// VerdictReceiver: the chat, the topic or the rights of the account in it are at fault, whatever the message.
	VerdictReceiver
	// VerdictMarkup: the formatting was refused.
	VerdictMarkup
	// VerdictPicture: the picture was refused, or pictures are not allowed in the chat.
	VerdictPicture
	// VerdictButtons: a button was refused; SendError.URL is its address, if the answer says which.
	VerdictButtons
	// VerdictReply: the message that this one answers does not exist any more.
	VerdictReply
	// VerdictRefused: the message was refused for another reason.
	VerdictRefused
	// VerdictGone: the message that was to be edited does not exist any more, or cannot be edited.
	VerdictGone
)

var verdictNames = [...]string{
	"error", "retry_after", "ambiguous", "moved", "account", "receiver", "markup", "picture", "buttons", "reply", "refused",
	"gone",
}

// Verdicts names all verdicts, as metrics show them.
func Verdicts() []string { return verdictNames[:] }

func (v Verdict) String() string { return verdictNames[v] }

// SendError is what a channel returns for a send that did not succeed.
type SendError struct {
	Verdict Verdict
	After   time.Duration // of VerdictWait
	To      string        // of VerdictMoved
	URL     string        // of VerdictButtons
	Status  int           // of the answer, if it has one, such as HTTP's
	// Err is what the channel answered, in its own words: it is shown to people, and holds no secret.
	Err error
}

func (e *SendError) Error() string { return e.Err.Error() }
func (e *SendError) Unwrap() error { return e.Err }

// RetryAfterError is what a composer returns to be asked again later, which is no failed attempt.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string { return fmt.Sprintf("retry after %v: %v", e.After, e.Err) }
func (e *RetryAfterError) Unwrap() error { return e.Err }

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

package reporter

import "time"

// Chat is the destination of a channel's sends, with its rate limits.
type Chat struct {
	Account string  // the sender, such as a bot's id (not a secret); each account has its own chats and limits
	Address string  // as configured, such as a chat's id
	Limits  []Limit // of sends to Address
}

// Limit allows at most N sends within any Per.
type Limit struct {
	Account bool // counts the sends to all chats of the account, instead of those to one chat
	N       int
	Per     time.Duration
}

// Gate is the stored state that decides whether and when sends may start. Each account, chat and receiver has one. Gates are
// stored, so that waits and limits hold for all processes and across restarts.
type Gate struct {
	Key       string
	WaitUntil time.Time   // nothing is sent before this time
	Failures  int         // consecutive failures; after one, a harmless call has to be answered before the next send
	Sent      []time.Time // times of the latest sends, for the limits, oldest first
	Reason    Reason      // why nothing can be sent until a person changes something; "" means not suspended
	Detail    string      // the channel's answer that led to Reason
	Since     time.Time   // when Reason was set
	MovedTo   string      // of a chat: its new address
}

// AccountGate is the key of an account's gate.
func AccountGate(account string) string { return "account " + account }

// ChatGate is the key of a chat's gate.
func ChatGate(account, address string) string { return "chat " + account + " " + address }

// ReceiverGate is the key of a receiver's gate.
func ReceiverGate(receiver string) string { return "receiver " + receiver }

// Reason is why a delivery was not sent, why it waits, or why a gate is suspended. The message catalogues have a text for each,
// under the key "reason_" + Reason.
type Reason string

// The reasons.
const (
	ReasonNone         Reason = ""
	ReasonNotAnswered  Reason = "not_answered" // the channel does not answer, or cannot be reached
	ReasonUnknown      Reason = "unknown"      // the answer to a send was lost: it may have arrived
	ReasonWait         Reason = "wait"         // the channel asked to wait
	ReasonAccount      Reason = "account"      // the account is refused
	ReasonReceiver     Reason = "receiver"     // the chat or topic is not there, or the account may not write in it
	ReasonRefused      Reason = "refused"      // the message itself was refused
	ReasonNotComposed  Reason = "not_composed" // the message could not be made
	ReasonGone         Reason = "gone"         // its subject is no longer stored
	ReasonUnconfigured Reason = "unconfigured" // the receiver is not in the configuration
	ReasonMissed       Reason = "missed"       // a report that was due while no process ran, longer ago than catch_up
	ReasonNotInTime    Reason = "not_in_time"  // it expired before it could be sent
	ReasonConflict     Reason = "conflict"     // another program receives the account's updates
)

// Reasons lists all reasons except ReasonNone.
func Reasons() []Reason {
	return []Reason{
		ReasonNotAnswered, ReasonUnknown, ReasonWait, ReasonAccount, ReasonReceiver, ReasonRefused, ReasonNotComposed, ReasonGone,
		ReasonUnconfigured, ReasonMissed, ReasonNotInTime, ReasonConflict,
	}
}

// Failures is the content of a notice: messages that were not sent, and suspended receivers or accounts.
type Failures struct {
	Deliveries  []Delivery // the first failed ones, without messages
	Count       int        // of all failed ones
	Suspended   []Gate
	Waiting     []Delivery    // the first deliveries that wait for one of Suspended
	WaitCount   int           // of all that wait
	GiveUpAfter time.Duration // how long they wait before they fail; 0 means not known
}

// Pass is a gate that a send has to pass, with the limits that apply there.
type Pass struct {
	Key    string
	Limits []Limit
	Yields bool // leaves a quarter of each limit to more urgent sends
}

// Most returns how many sends, including this one, may be counted within the limit's time.
func (p Pass) Most(l Limit) int {
	if p.Yields {
		return l.N - l.N/4
	}
	return l.N
}

// NoticeTo decides who is notified of a failure, and when.
type NoticeTo struct {
	Receiver string        // "" means nobody
	After    time.Duration // delay of the notice, during which other failures are added to it
	Apart    time.Duration // the least time between two notices
	// Suspension is set for a failure of a suspended receiver or account: the least time between the notice about the suspension
	// and one about the failure. A failure that the notice about the suspension named as waiting needs none. 0 means that the
	// failure has another cause.
	Suspension time.Duration
}

package reporter

import "time"

// Chat is where a channel sends to, and how fast it may.
type Chat struct {
	Account string  // who sends, such as a bot's id, which is no secret; chats and limits of two accounts are apart
	Address string  // the configured address, such as a chat's id
	Limits  []Limit // of the address
}

// Limit is how much a channel allows: at most N sends within any Per.
type Limit struct {
	Account bool // of all chats of the account together, not of one
	N       int
	Per     time.Duration
}

// Gate is what holds sends back: one of an account, one of each chat and one of each receiver. Gates are stored, so that
// waits and limits hold for all processes and across restarts.
type Gate struct {
	Key       string
	WaitUntil time.Time   // nothing is sent before
	Failures  int         // consecutive failures; after one, a harmless call has to be answered before the next send
	Sent      []time.Time // the latest sends, for the limits, oldest first
	Reason    Reason      // why nothing can be sent until a person changes something; "" if nothing is known against it
	Detail    string      // the channel's answer about that
	Since     time.Time   // of Reason
	MovedTo   string      // of a chat: its new address
}

// AccountGate is the key of an account's gate.
func AccountGate(account string) string { return "account " + account }

// ChatGate is the key of a chat's gate.
func ChatGate(account, address string) string { return "chat " + account + " " + address }

// ReceiverGate is the key of a receiver's gate.
func ReceiverGate(receiver string) string { return "receiver " + receiver }

// Reason says why a delivery was not sent, or waits, or why a gate is closed. The words for it are in the catalogues,
// under reason_ and its name.
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
	ReasonGone         Reason = "gone"         // what it is about is not stored any more
	ReasonUnconfigured Reason = "unconfigured" // the receiver is not in the configuration
	ReasonMissed       Reason = "missed"       // a report that was due while no process ran, too long ago
	ReasonNotInTime    Reason = "not_in_time"  // its turn did not come in time
	ReasonConflict     Reason = "conflict"     // another program receives the account's updates
)

// Reasons lists all reasons that need words.
func Reasons() []Reason {
	return []Reason{
		ReasonNotAnswered, ReasonUnknown, ReasonWait, ReasonAccount, ReasonReceiver, ReasonRefused, ReasonNotComposed, ReasonGone,
		ReasonUnconfigured, ReasonMissed, ReasonNotInTime, ReasonConflict,
	}
}

// Failures is what a notice is about: messages that were not sent, and receivers or accounts to which nothing can be sent.
type Failures struct {
	Deliveries  []Delivery // the first few, without messages
	Count       int        // of all of them
	Suspended   []Gate
	Waiting     []Delivery    // to those: the first few that wait
	WaitCount   int           // of all of these
	GiveUpAfter time.Duration // how long they wait; 0 is not known
}

// Pass is a gate that a send goes through, with the limits that hold there.
type Pass struct {
	Key    string
	Limits []Limit
	Yields bool // it leaves a quarter of each limit to sends that are more urgent
}

// Most is how many sends within the limit's time may be counted, this one among them.
func (p Pass) Most(l Limit) int {
	if p.Yields {
		return l.N - l.N/4
	}
	return l.N
}

// NoticeTo says who is notified of a failure, and when: after a while, in which others may join it, and not sooner than so
// long after the notice before.
type NoticeTo struct {
	Receiver     string // "" is nobody
	After, Apart time.Duration
	// Suspension is of a failure of a suspended receiver or account: it needs no notice where the one about the suspension
	// has named it as waiting, and none sooner than so long after that one. 0 is of any other failure.
	Suspension time.Duration
}

package reporter

import "time"

// DeliveryKind is the content of a delivery. It decides how the message is composed.
type DeliveryKind string

// The kinds of deliveries.
const (
	DeliveryReport     DeliveryKind = "report"
	DeliveryPostmortem DeliveryKind = "postmortem"
	DeliveryFiring     DeliveryKind = "firing" // notice that an incident has begun
	DeliveryDigest     DeliveryKind = "digest" // many postmortems in one message
	DeliveryNotice     DeliveryKind = "notice" // notice of messages that were not sent
	// DeliveryFiringDigest is many firing notices in one message.
	DeliveryFiringDigest DeliveryKind = "firing_digest"
	// DeliveryHeartbeatMissing is the notice that a heartbeat is missing, DeliveryHeartbeatReturned that it is received again.
	DeliveryHeartbeatMissing  DeliveryKind = "heartbeat_missing"
	DeliveryHeartbeatReturned DeliveryKind = "heartbeat_returned"
	// DeliveryHeartbeatsMissing and DeliveryHeartbeatsReturned are many heartbeat notices in one message.
	DeliveryHeartbeatsMissing  DeliveryKind = "heartbeats_missing"
	DeliveryHeartbeatsReturned DeliveryKind = "heartbeats_returned"
	// DeliveryAnswer is the answer to a command in a chat.
	DeliveryAnswer DeliveryKind = "answer"
)

// DeliveryKinds lists all kinds.
func DeliveryKinds() []DeliveryKind {
	return []DeliveryKind{
		DeliveryReport, DeliveryPostmortem, DeliveryFiring, DeliveryDigest, DeliveryFiringDigest, DeliveryNotice,
		DeliveryHeartbeatMissing, DeliveryHeartbeatReturned, DeliveryHeartbeatsMissing, DeliveryHeartbeatsReturned, DeliveryAnswer,
	}
}

// SubjectFailures is the subject of a notice about failed deliveries, which refer to it by NoticeID.
const SubjectFailures = "failures"

// NoticeOfStop ends the subject of a notice of suspension that was queued by a version without gates. The other notices of those
// versions have the id of one delivery as their subject.
const NoticeOfStop = ":stopped"

// DeliveryState is pending until all parts are sent, or until the delivery fails, is cancelled or is merged into another.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliverySent      DeliveryState = "sent"
	DeliveryGivenUp   DeliveryState = "given_up" // failed
	DeliveryCancelled DeliveryState = "cancelled"
	DeliveryMerged    DeliveryState = "merged"
)

// Delivery is one message for one receiver. It is stored before the request that causes it is answered: first with its Subject
// only, then with the composed message, then with its parts as they are sent.
type Delivery struct {
	ID   int64
	Key  string // unique: inserting a second delivery with the same key changes nothing
	Kind DeliveryKind
	// Subject is what the delivery is about, by Kind:
	//   - report: "NAME@DUE", see Subject
	//   - postmortem, firing: the incident's id
	//   - digest, firing_digest, heartbeats_missing, heartbeats_returned: the id of its first delivery
	//   - notice: SubjectFailures, or the id of a delivery (see NoticeOfStop)
	//   - heartbeat_missing, heartbeat_returned: the id of the outage
	//   - answer: the request, see AnswerText
	Subject  string
	Receiver string
	State    DeliveryState
	Message  *Message // nil until composed
	Parts    []Part   // nil until composed
	// Attempts counts the tries to compose and send; waits do not count. It is stored before the attempt begins, so that an
	// attempt that crashes the process counts too.
	Attempts    int
	ComposingAt time.Time // when the current composition began, or the one that the process crashed in
	Crashes     int       // consecutive compositions in which the process crashed
	Reason      Reason    // why it was not sent, or waits
	LastError   string    // as the server that refused it wrote it; never holds a secret
	CreatedAt   time.Time
	NextAttempt time.Time
	FinishedAt  time.Time
	MergedInto  int64  // id of the digest that replaces it; 0 means none
	ReplyTo     string // the channel's id of the message that it replies to, where that does not follow from Subject
	Replaced    bool   // its message was deleted in the chat, and is sent again
	NoticeID    int64  // id of the notice about its failure, or its wait for a suspended receiver; 0 means none
}

// DueDelivery is a pending delivery whose next attempt is due, without its text.
type DueDelivery struct {
	ID       int64
	Receiver string
	Kind     DeliveryKind
	Composed bool
	Crashes  int
	// Interrupted is set if a composition began and did not end. It is also set while this process composes it.
	Interrupted bool
}

// DeliveryKey returns the unique key of a delivery.
func DeliveryKey(kind DeliveryKind, subject, receiver string) string {
	return string(kind) + "/" + subject + "/" + receiver
}

// NewDelivery returns a pending delivery that is due at once.
func NewDelivery(kind DeliveryKind, subject, receiver string, now time.Time) Delivery {
	return Delivery{
		Key: DeliveryKey(kind, subject, receiver), Kind: kind, Subject: subject, Receiver: receiver,
		State: DeliveryPending, CreatedAt: now.UTC(), NextAttempt: now.UTC(),
	}
}

// Part is one send of a delivery. A part whose SentAt is set is not sent again, unless its message was deleted in the chat.
type Part struct {
	HTML      string
	Document  string    // file name; if set, the part is sent as a file with HTML as its content
	Picture   []byte    `json:",omitempty"` // a PNG; if set, it is sent with HTML as its caption
	Buttons   []Button  `json:",omitempty"` // below the text
	SendingAt time.Time // when the current send, or one whose outcome is unknown, began; zero once the outcome is known
	SentAt    time.Time
	MessageID string // the channel's id of the sent message
	Sends     int    `json:",omitempty"` // sends that were begun
	Ambiguous int    // sends whose answer was lost
	// Uncertain was set by versions that did not send again after two lost answers.
	Uncertain bool
	// Interrupted counts sends that were in progress when the process ended. Their outcome is unknown too.
	Interrupted int
	Plain       bool // sent as plain text, because the channel refused the markup
	NoReply     bool `json:",omitempty"` // not sent as a reply, because the message to reply to no longer exists
	// Key identifies the part in every send of it, so that the receiving side can drop repeats. No other part has the same.
	Key     string `json:",omitempty"`
	Dropped bool   `json:",omitempty"` // holds only a picture that the channel refused, and is not sent
	// Chat is the key of the gate of the chat that it was sent to, in which MessageID is unique; "" if an earlier version sent it.
	Chat     string    `json:",omitempty"`
	Caption  bool      `json:",omitempty"` // its text was sent as the caption of its picture
	Editing  bool      `json:",omitempty"` // an edit was begun whose outcome is unknown: the chat shows HTML and Buttons, or a later version
	EditedAt time.Time `json:",omitzero"`  // time of the last edit
}

// Unknown reports whether a send of the part has an unknown outcome. Later sends are marked as possible repeats.
func (p Part) Unknown() bool { return p.Ambiguous+p.Interrupted > 0 }

// SendOptions are the options of one send.
type SendOptions struct {
	To      string // address that the chat has moved to; "" means the configured one
	Repeat  bool   // an earlier send may have arrived: mark this one visibly
	ReplyTo string // the channel's id of the message to reply to; "" means none
}

// DueWork is the work that is due now, by receiver.
type DueWork struct {
	Due     []string  // receivers with a delivery or an edit whose next attempt is due
	Expired []string  // receivers with a delivery older than give_up_after
	Gates   []Gate    // all gates
	Next    time.Time // the earliest next attempt in the future; zero if there is none
}

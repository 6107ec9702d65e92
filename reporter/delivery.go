package reporter

import "time"

// DeliveryKind says what a delivery carries, and so who composes its message.
type DeliveryKind string

// The kinds of deliveries.
const (
	DeliveryReport     DeliveryKind = "report"
	DeliveryPostmortem DeliveryKind = "postmortem"
	DeliveryFiring     DeliveryKind = "firing" // says that an incident has begun
	DeliveryDigest     DeliveryKind = "digest" // many postmortems in one
	DeliveryNotice     DeliveryKind = "notice" // says what was not sent
	// DeliveryFiringDigest is many notices of a firing in one.
	DeliveryFiringDigest DeliveryKind = "firing_digest"
	// DeliveryHeartbeatMissing and DeliveryHeartbeatReturned say that a heartbeat is missing, and that it is received again.
	DeliveryHeartbeatMissing  DeliveryKind = "heartbeat_missing"
	DeliveryHeartbeatReturned DeliveryKind = "heartbeat_returned"
	// DeliveryHeartbeatsMissing and DeliveryHeartbeatsReturned are many of those in one.
	DeliveryHeartbeatsMissing  DeliveryKind = "heartbeats_missing"
	DeliveryHeartbeatsReturned DeliveryKind = "heartbeats_returned"
	// DeliveryAnswer answers what a person asked in a chat.
	DeliveryAnswer DeliveryKind = "answer"
)

// SubjectFailures is the subject of a notice about all failures that name it.
const SubjectFailures = "failures"

// NoticeOfStop ends the subject of a notice of versions before gates, which said that a receiver is suspended; their others
// are about one delivery.
const NoticeOfStop = ":stopped"

// DeliveryState is pending until all parts are sent, or until it is given up, cancelled or merged into another.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliverySent      DeliveryState = "sent"
	DeliveryGivenUp   DeliveryState = "given_up"
	DeliveryCancelled DeliveryState = "cancelled"
	DeliveryMerged    DeliveryState = "merged"
)

// Delivery is one message for one receiver. It is stored before the request that causes it is answered, first without its
// message (Subject says of what), then with it, then with its parts as they are sent.
type Delivery struct {
	ID   int64
	Key  string // unique: a second delivery of the same key is the same delivery
	Kind DeliveryKind
	// Subject is what it is about. Of a report "NAME@DUE" with DUE in RFC 3339 UTC, of a postmortem or the notice of a firing
	// the incident's id, of a digest the id of its first delivery, of a notice the id of the delivery and what of it, of a
	// heartbeat the id of the outage, of an answer what was asked (see AnswerText).
	Subject  string
	Receiver string
	State    DeliveryState
	Message  *Message // nil until composed
	Parts    []Part   // nil until composed
	// Attempts counts how often composing and sending were begun, waits apart. It is stored before the attempt begins, so
	// that an attempt that ends the process counts too.
	Attempts    int
	ComposingAt time.Time // when the composition that is under way, or ended with its process, began
	Crashes     int       // compositions in a row that ended with their process
	Reason      Reason    // why it was not sent, or waits
	LastError   string    // in the words of the server that refused it; never holds a secret
	CreatedAt   time.Time
	NextAttempt time.Time
	FinishedAt  time.Time
	MergedInto  int64  // the digest that it went out with; 0 means none
	ReplyTo     string // the channel's id of the message that it answers, where that does not follow from Subject
	Replaced    bool   // its message was deleted in the chat, and it is sent once more
	NoticeID    int64  // the notice that says that it was not sent, or waits for a suspended receiver; 0 means none
}

// DueDelivery is a pending delivery whose time has come, without its text.
type DueDelivery struct {
	ID       int64
	Receiver string
	Kind     DeliveryKind
	Composed bool
	Crashes  int
	// Interrupted says that a composition of it began and did not end; one that this process runs does so too.
	Interrupted bool
}

// DeliveryKey makes the unique key of a delivery.
func DeliveryKey(kind DeliveryKind, subject, receiver string) string {
	return string(kind) + "/" + subject + "/" + receiver
}

// NewDelivery is a pending delivery that is due at once.
func NewDelivery(kind DeliveryKind, subject, receiver string, now time.Time) Delivery {
	return Delivery{
		Key: DeliveryKey(kind, subject, receiver), Kind: kind, Subject: subject, Receiver: receiver,
		State: DeliveryPending, CreatedAt: now.UTC(), NextAttempt: now.UTC(),
	}
}

// Part is one send of a delivery. A part whose SentAt is set is never sent again, unless a person asks for that.
type Part struct {
	HTML      string
	Document  string    // file name; if set, the part is sent as a file and HTML is its content
	Picture   []byte    `json:",omitempty"` // a PNG; if set, it is sent with HTML as its caption
	Buttons   []Button  `json:",omitempty"` // links under the text
	SendingAt time.Time // when the send now under way, or lost, began; zero once its outcome is known
	SentAt    time.Time
	MessageID string // the channel's id of the sent message
	Sends     int    `json:",omitempty"` // sends that were begun
	Ambiguous int    // sends whose answer was lost
	// Uncertain was set by versions that did not send again after two lost answers.
	Uncertain bool
	// Interrupted counts sends that were under way when the process ended. Their outcome is unknown too.
	Interrupted int
	Plain       bool // sent without formatting, because the channel refused ours
	NoReply     bool `json:",omitempty"` // sent without naming the message that it answers, because that does not exist any more
	// Key names the part for channels that let the other side drop repeats: it is the same at each send, and no other part's.
	Key     string `json:",omitempty"`
	Dropped bool   `json:",omitempty"` // only a picture that the channel refused; it is not sent
	// Chat is the key of the gate of the chat that it was sent to, in which MessageID is known; "" if an earlier version sent it.
	Chat     string    `json:",omitempty"`
	Caption  bool      `json:",omitempty"` // its text was sent as the caption of its picture
	Editing  bool      `json:",omitempty"` // an edit was begun whose outcome is not known: it shows HTML and Buttons, or something later
	EditedAt time.Time `json:",omitzero"`  // when its text was last replaced
}

// Unknown says whether a send of the part may have arrived though it is not known to. From then on, the part is marked.
func (p Part) Unknown() bool { return p.Ambiguous+p.Interrupted > 0 }

// SendOptions says how a part is to be sent.
type SendOptions struct {
	To      string // where the chat has moved to; "" is its configured address
	Repeat  bool   // a send before may have arrived: mark this one visibly
	ReplyTo string // the channel's id of the message that this one answers; "" means none
}

// DueWork is who has something to do now.
type DueWork struct {
	Due     []string  // receivers with a delivery or an edit whose next attempt has come
	Expired []string  // receivers with a delivery that is too old
	Gates   []Gate    // all that there are
	Next    time.Time // the first next attempt to come; zero if there is none
}

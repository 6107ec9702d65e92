package reporter

import "time"

// Edit is a pending edit of a sent message. A message has at most one: a further change raises its version, and only the newest
// version is sent.
type Edit struct {
	Delivery int64 // id of the message's delivery
	Receiver string
	// Version counts the changes. A text that is composed after Version was read shows all changes up to it.
	Version     int64
	CreatedAt   time.Time // time of the oldest change that the message does not show yet
	NextAttempt time.Time
	Attempts    int    // consecutive failed attempts
	Composing   bool   // the text is being composed, or the process crashed while it was
	Crashes     int    // consecutive compositions in which the process crashed
	LastError   string // as the server that refused it wrote it; never holds a secret
}

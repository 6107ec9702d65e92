package reporter

import "time"

// Edit is what a sent message has to show of what has changed since. There is at most one of a message: a later change is a new version
// of it, and only the newest is sent.
type Edit struct {
	Delivery int64 // of the message
	Receiver string
	// Version is of the latest change. What is composed after it was read shows all changes up to it.
	Version     int64
	CreatedAt   time.Time // when the first change happened that the message does not show
	NextAttempt time.Time
	Attempts    int    // in a row that failed
	Composing   bool   // the text is being composed, or the process ended meanwhile
	Crashes     int    // compositions in a row that ended with their process
	LastError   string // in the words of whoever refused it; never holds a secret
}

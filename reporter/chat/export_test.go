package chat

import "time"

// HurriedEmpty is how long a hurried listener waits after an empty poll.
const HurriedEmpty = 50 * time.Millisecond

// HurriedMin and HurriedMax bound how long a hurried listener waits after polls that fail.
const (
	HurriedMin = 20 * time.Millisecond
	HurriedMax = 80 * time.Millisecond
)

// Hurry shortens all waits, for tests.
func (l *Listener) Hurry() {
	const short = HurriedMin
	l.pace = pace{
		lease: short, look: short, min: short, max: HurriedMax, empty: HurriedEmpty, elsewhere: short, longest: short, register: short,
	}
}

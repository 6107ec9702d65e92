package chat

import "time"

// HurriedEmpty is how long a hurried listener waits after an empty poll.
const HurriedEmpty = 50 * time.Millisecond

// Hurry shortens all waits, for tests.
func (l *Listener) Hurry() {
	const short = 20 * time.Millisecond
	l.pace = pace{lease: short, look: short, min: short, max: short, empty: HurriedEmpty, elsewhere: short, longest: short, register: short}
}

// Package faults tests the program under faults: webhooks and taps go in while processes, databases, disks and the Bot API fail, and the
// accepted ones are compared with the messages and entries that come out.
package faults

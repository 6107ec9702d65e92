// Package faults breaks the program on purpose: webhooks go in while processes, databases, disks and the Bot API fail, and
// what was accepted is compared with what arrived.
package faults

// Package render writes for people: a report, a postmortem or a delivery that failed comes in with a locale, a message
// in the HTML subset of chats goes out.
package render

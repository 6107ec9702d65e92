// Package render writes messages: a report, an incident or failed deliveries come in with a locale, text in the HTML subset of
// chats goes out.
package render

// Package reporter holds the nouns that its rooms hand to each other: figures and alert events come in, messages and
// deliveries go out. It imports no room below it, and no room below it imports a sibling.
package reporter

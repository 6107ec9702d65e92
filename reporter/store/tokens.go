package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// tokenBytes are the random bytes of reporter.ActionTokenLen characters.
const tokenBytes = 16

// ActionToken returns what names the incident and the receiver in the data of a button: reporter.ActionTokenLen characters that
// cannot be guessed, the same ones for the same pair as long as the incident is kept. reporter.ErrNotFound: there is no such
// incident.
func (s *Store) ActionToken(ctx context.Context, incident, receiver string) (token string, err error) {
	const stored = `SELECT token FROM action_tokens WHERE incident_id = $1 AND receiver = $2`
	err = s.reading().row(ctx, stored, incident, receiver).Scan(&token)
	if errors.Is(err, sql.ErrNoRows) {
		var random [tokenBytes]byte
		rand.Read(random[:])
		fresh := base64.RawURLEncoding.EncodeToString(random[:])
		// Two processes may compose at once: the first one's token counts.
		_, err = s.writing().exec(ctx, `INSERT INTO action_tokens (token, incident_id, receiver)
			SELECT CAST($1 AS TEXT), id, CAST($3 AS TEXT) FROM incidents WHERE id = $2 ON CONFLICT DO NOTHING`, fresh, incident, receiver)
		if err == nil {
			err = s.writing().row(ctx, stored, incident, receiver).Scan(&token)
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = reporter.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("token of incident %s: %w", incident, err)
	}
	return token, nil
}

// ActionOf returns what a token names. reporter.ErrNotFound: nothing that is kept.
func (s *Store) ActionOf(ctx context.Context, token string) (incident, receiver string, err error) {
	// What comes from a chat may be anything, also text that PostgreSQL refuses.
	if b, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(b) != tokenBytes {
		return "", "", fmt.Errorf("token of a button: %w", reporter.ErrNotFound)
	}
	err = s.reading().row(ctx, `SELECT incident_id, receiver FROM action_tokens WHERE token = $1`, token).Scan(&incident, &receiver)
	if errors.Is(err, sql.ErrNoRows) {
		err = reporter.ErrNotFound
	}
	if err != nil {
		return "", "", fmt.Errorf("token of a button: %w", err)
	}
	return incident, receiver, nil
}

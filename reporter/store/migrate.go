package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// migrationOfKeys is the number of the migration since which keys are hashes.
const migrationOfKeys = 6

// migrationOfSummaries is the number of the migration since which lists need not read alerts.
const migrationOfSummaries = 8

// migrationOfMessages is the number of the migration since which messages are found with their deliveries.
const migrationOfMessages = 13

// afterMigration does what SQL cannot do in both databases alike, in the transaction of the migration of that number.
func afterMigration(ctx context.Context, q querier, number int) error {
	switch number {
	case migrationOfKeys:
		return hashKeys(ctx, q)
	case migrationOfSummaries:
		return summarizeAll(ctx, q)
	case migrationOfMessages:
		return findMessages(ctx, q)
	}
	return nil
}

// hashKeys replaces keys of the form RECEIVER/GROUP KEY[/FINGERPRINT] by their hashes.
func hashKeys(ctx context.Context, q querier) error {
	rows, err := q.query(ctx, `SELECT DISTINCT key, receiver, group_key FROM incidents`)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	defer rows.Close()
	hashed := map[string]string{}
	for rows.Next() {
		var key, receiver, group string
		if err := rows.Scan(&key, &receiver, &group); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		of := []string{reporter.ClusterDefault, "", receiver, group}
		if fingerprint, ok := strings.CutPrefix(key, receiver+"/"+group+"/"); ok {
			of = append(of, fingerprint)
		}
		hashed[key] = reporter.IncidentKey(of...)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := rows.Close(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	for key, hash := range hashed {
		if _, err := q.exec(ctx, `UPDATE incidents SET key = $1 WHERE key = $2`, hash, key); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	return nil
}

// messagesAtOnce is how many deliveries findMessages reads at once.
const messagesAtOnce = 500

// findMessages keeps which delivery each message that was sent is of. The parts may hold what PostgreSQL does not read as JSON.
func findMessages(ctx context.Context, q querier) error {
	for after := int64(0); ; {
		batch, err := sentBatch(ctx, q, after)
		if err != nil {
			return err
		}
		for _, d := range batch {
			if err := saveMessages(ctx, q, d); err != nil {
				return err
			}
		}
		if len(batch) < messagesAtOnce {
			return nil
		}
		after = batch[len(batch)-1].ID
	}
}

// sentBatch returns deliveries after that id with the ids of their messages, and nothing else.
func sentBatch(ctx context.Context, q querier, after int64) (out []reporter.Delivery, err error) {
	rows, err := q.query(ctx, `SELECT id, receiver, parts FROM deliveries WHERE id > $1 AND parts IS NOT NULL ORDER BY id LIMIT $2`,
		after, messagesAtOnce)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d reporter.Delivery
		var parts string
		if err := rows.Scan(&d.ID, &d.Receiver, &parts); err != nil {
			return nil, fmt.Errorf("messages: %w", err)
		}
		if json.Unmarshal([]byte(parts), &d.Parts) != nil {
			d.Parts = nil // Replies to its messages are about nothing.
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	return out, nil
}

package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// migrationOfKeys is the number of the migration since which keys are hashes.
const migrationOfKeys = 6

// migrationOfSummaries is the number of the migration since which lists need not read alerts.
const migrationOfSummaries = 8

// afterMigration does what SQL cannot do in both databases alike, in the transaction of the migration of that number.
func afterMigration(ctx context.Context, q querier, number int) error {
	switch number {
	case migrationOfKeys:
		return hashKeys(ctx, q)
	case migrationOfSummaries:
		return summarizeAll(ctx, q)
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

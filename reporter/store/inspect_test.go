package store_test

import (
	"os"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

// Inspecting a state finds none, or its version, and leaves it as it is.
func TestInspect(t *testing.T) {
	t.Parallel()
	dir, dsn := t.TempDir(), database(t)
	inspect := map[string]func() (store.SchemaVersion, error){
		"sqlite":   func() (store.SchemaVersion, error) { return store.InspectSQLite(t.Context(), dir) },
		"postgres": func() (store.SchemaVersion, error) { return store.InspectPostgres(t.Context(), secret.New(dsn)) },
	}
	for name, of := range inspect {
		for range 2 { // the first did not create it
			if v, err := of(); err != nil || v.Have != 0 || v.Want == 0 || v.Err() == nil {
				t.Errorf("%s: nothing is there: %+v, %v, %v", name, v, err, v.Err())
			}
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%v were created: %v", files, err)
	}
	sqlite := storetest.Open(t, dir)
	openPostgres(t, dsn)
	for name, of := range inspect {
		if v, err := of(); err != nil || v.Have != v.Want || v.Err() != nil {
			t.Errorf("%s: the state of this version: %+v, %v, %v", name, v, err, v.Err())
		}
	}
	if err := sqlite.Close(); err != nil {
		t.Fatal(err)
	}
	for text, v := range map[string]store.SchemaVersion{
		"start the new version once":           {Have: 3, Want: 7},
		"use the version that runs on it":      {Have: 8, Want: 7},
		"has schema version 0, this program n": {Have: 0, Want: 7},
	} {
		if err := v.Err(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v", v, err)
		}
	}
}

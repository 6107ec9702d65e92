package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

const (
	// With less than leastSpace bytes free the program cannot run; littleSpace may not be enough for a day with many alerts.
	leastSpace  = 32 << 20
	littleSpace = 512 << 20
)

// doctorState checks that the state can be written, and that this version can use it.
func doctorState(ctx context.Context, c *config.Config) []Finding {
	const what = "state"
	if !c.State.DSN.Empty() {
		seen, err := store.ConditionOfPostgres(ctx, c.State.DSN)
		if err != nil {
			return []Finding{failed(what, err, "check state.dsn, the server and the user's rights")}
		}
		return append([]Finding{schemaFinding("PostgreSQL answers", seen)}, clockFinding(what, seen.Clock, seen.Asked)...)
	}
	dir, err := filepath.Abs(c.State.Path)
	if err != nil {
		return []Finding{failed(what, err, "check state.path")}
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{warned(what, dir+" does not exist",
			"the first start creates it; check state.path, which is relative to the working directory")}
	case err != nil:
		return []Finding{failed(what, err, "check state.path and its permissions")}
	case !info.IsDir():
		return []Finding{failed(what, fmt.Errorf("%s is not a directory", dir), "check state.path")}
	}
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return []Finding{failed(what, fmt.Errorf("cannot write: %w", err), "let the program's user write to "+dir)}
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return []Finding{failed(what, err, "check the permissions of "+dir)}
	}
	var out []Finding
	if free, known := freeSpace(dir); known && free < leastSpace {
		return []Finding{failed(what, fmt.Errorf("%s has %d MiB free", dir, free>>20), "make space, or set state.path to another disk")}
	} else if known && free < littleSpace {
		out = append(out, warned(what, fmt.Sprintf("%s has %d MiB free", dir, free>>20), "make space, or lower state.retention"))
	}
	seen, err := store.ConditionOfSQLite(ctx, dir)
	if err != nil {
		return append(out, failed(what, err, "restore it from a backup, or move it away to start with a new one"))
	}
	text := dir + " can be written"
	if seen.Running {
		text += ", a process runs on it"
	}
	file := filepath.Join(dir, "state.db")
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		out = append(out, warned(what, fmt.Sprintf("state.db may be read by others (mode %v)", info.Mode().Perm()), "chmod 600 "+file))
	}
	return append([]Finding{schemaFinding(text, seen)}, out...)
}

func freeSpace(dir string) (bytes int64, known bool) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, false
	}
	return int64(fs.Bavail) * int64(fs.Bsize), true //nolint:gosec,unconvert // their types differ between systems
}

func schemaFinding(text string, seen store.Condition) Finding {
	switch {
	case seen.Have == 0:
		return ok("state", "%s; the first start creates its schema (version %d)", text, seen.Want)
	case seen.Have > seen.Want:
		return failed("state", fmt.Errorf("has schema version %d, this program knows %d: a newer version wrote it", seen.Have, seen.Want),
			"run that version")
	case seen.Have < seen.Want:
		return ok("state", "%s; the next start upgrades its schema from version %d to %d", text, seen.Have, seen.Want)
	}
	return ok("state", "%s; schema version %d", text, seen.Have)
}

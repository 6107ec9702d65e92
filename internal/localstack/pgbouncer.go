package localstack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// PgBouncerOptions configures PgBouncer; all other settings have their defaults.
type PgBouncerOptions struct {
	PoolMode string // session, transaction or statement
	PoolSize int    // connections to the server; 0 means PgBouncer's default
}

// PgBouncer is a real PgBouncer in front of a PostgreSQL.
type PgBouncer struct{ d *daemon }

// StartPgBouncer starts a pooler in front of p, and waits until it is ready. It runs until Stop.
func StartPgBouncer(ctx context.Context, p *Postgres, o PgBouncerOptions) (*PgBouncer, error) {
	program, err := findProgram("", "pgbouncer", "/usr/sbin/pgbouncer")
	if err != nil {
		return nil, err
	}
	d, err := startDaemon(ctx, "pgbouncer", p.as, func(dir, host, port string) (*exec.Cmd, error) {
		users, config := filepath.Join(dir, "users.txt"), filepath.Join(dir, "pgbouncer.ini")
		text := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = %s\nlisten_port = %s\n"+
			"unix_socket_dir =\nauth_type = trust\nauth_file = %s\npool_mode = %s\n", p.port, host, port, users, o.PoolMode)
		if o.PoolSize > 0 {
			text += fmt.Sprintf("default_pool_size = %d\n", o.PoolSize)
		}
		for path, content := range map[string]string{users: "\"postgres\" \"\"\n", config: text} {
			// Another user reads them; they hold no secret.
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				return nil, err
			}
		}
		// PgBouncer refuses to run as root, and another user may have no access to the tools' directory.
		binary, err := os.ReadFile(program)
		if err != nil {
			return nil, err
		}
		own := filepath.Join(dir, "pgbouncer")
		// A process that is started while the file is open inherits it for a moment, in which the file cannot be executed ("text file
		// busy", https://go.dev/issue/22315): the lock prevents that.
		syscall.ForkLock.RLock()
		err = os.WriteFile(own, binary, 0o755)
		syscall.ForkLock.RUnlock()
		if err != nil {
			return nil, err
		}
		return exec.Command(own, config), nil
	})
	if err != nil {
		return nil, err
	}
	return &PgBouncer{d}, nil
}

// DSN is the address of a database behind the pooler.
func (b *PgBouncer) DSN(db string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", b.d.addr, db)
}

// Log returns the end of its log.
func (b *PgBouncer) Log() string { return b.d.out.String() }

// Stop ends the pooler.
func (b *PgBouncer) Stop() error { return b.d.stop() }

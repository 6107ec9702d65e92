package localstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresOptions configures a PostgreSQL server.
type PostgresOptions struct {
	Fsync bool // commits are written to the disk; off by default, because the data is temporary
	// CertPEM and KeyPEM switch TLS on.
	CertPEM, KeyPEM []byte
	// HBA are lines of pg_hba.conf before the default ones, which trust every client.
	HBA []string
}

// Postgres is a real PostgreSQL server on a free loopback port.
type Postgres struct {
	opts PostgresOptions
	bin  string // directory of the server's programs
	dir  string
	port int
	as   *syscall.Credential // user of the server; nil means the current one
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	out  *tailBuffer
}

// StartPostgres creates a database cluster, starts its server and waits until it is ready. It runs until Stop.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	as, err := postgresUser()
	if err != nil {
		return nil, err
	}
	dir, remove, err := toolDir("", "postgres")
	if err != nil {
		return nil, err
	}
	p := &Postgres{opts: o, bin: bin, dir: dir, as: as}
	if err := p.initialise(ctx); err != nil {
		remove()
		return nil, err
	}
	if err := p.start(ctx); err != nil {
		remove()
		return nil, err
	}
	return p, nil
}

// SharedPostgres is one server for all tests of a package, which starts at the first call of Server.
//
// Tests that use it run at the same moment: a test must not depend on the state of the whole server, such as sizes that transactions of
// other databases keep from shrinking.
type SharedPostgres struct {
	once   sync.Once
	server *Postgres
	err    error
}

// Server returns the running server.
func (s *SharedPostgres) Server() (*Postgres, error) {
	s.once.Do(func() { s.server, s.err = StartPostgres(context.Background(), PostgresOptions{}) })
	return s.server, s.err
}

// Stop ends the server, if one was started. It must follow all calls of Server.
func (s *SharedPostgres) Stop() error {
	if s.server == nil {
		return nil
	}
	return s.server.Stop()
}

// postgresBin finds the server's programs: on the PATH, or where Debian keeps them.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	return "", errors.New("PostgreSQL's server programs (initdb, postgres) are neither on the PATH nor below " +
		"/usr/lib/postgresql: run `make tools`")
}

// postgresUser returns the user of the server, which refuses to run as root.
func postgresUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
		}
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

func (p *Postgres) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: p.as, Setpgid: true}
}

func (p *Postgres) initialise(ctx context.Context) error {
	if p.as != nil {
		if err := os.Chown(p.dir, int(p.as.Uid), int(p.as.Gid)); err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = p.dir, p.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("postgres: initdb: %w: %s", err, out)
	}
	if len(p.opts.HBA) > 0 {
		path := filepath.Join(p.data(), "pg_hba.conf")
		rest, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		if err := p.write("data/pg_hba.conf", []byte(strings.Join(p.opts.HBA, "\n")+"\n"+string(rest))); err != nil {
			return err
		}
	}
	if p.opts.CertPEM == nil {
		return nil
	}
	return errors.Join(p.write("server.crt", p.opts.CertPEM), p.write("server.key", p.opts.KeyPEM))
}

// write writes a file of the server's user into the directory.
func (p *Postgres) write(name string, content []byte) error {
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if p.as == nil {
		return nil
	}
	if err := os.Chown(path, int(p.as.Uid), int(p.as.Gid)); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// StartStandby starts a streaming standby of p, which runs until its own Stop. Its data may be a moment old.
func (p *Postgres) StartStandby(ctx context.Context) (*Postgres, error) {
	dir, remove, err := toolDir("", "standby")
	if err != nil {
		return nil, err
	}
	s := &Postgres{opts: PostgresOptions{Fsync: p.opts.Fsync}, bin: p.bin, dir: dir, as: p.as}
	if s.as != nil {
		if err := os.Chown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			remove()
			return nil, fmt.Errorf("standby: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "pg_basebackup"), "-D", s.data(), "-h", "127.0.0.1",
		"-p", strconv.Itoa(p.port), "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = dir, s.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		remove()
		return nil, fmt.Errorf("standby: pg_basebackup: %w: %s", err, out)
	}
	if err := s.start(ctx); err != nil {
		remove()
		return nil, err
	}
	return s, nil
}

// Port is where the server listens on the loopback.
func (p *Postgres) Port() int { return p.port }

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// start starts the server, on its earlier port if it had one. It tries several ports, because another process may take one before the
// server listens on it.
func (p *Postgres) start(ctx context.Context) error {
	var err error
	for range toolAttempts {
		if p.port == 0 {
			addr, err := FreeAddress(ctx)
			if err != nil {
				return fmt.Errorf("postgres: free port: %w", err)
			}
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return fmt.Errorf("postgres: free port: %w", err)
			}
			if p.port, err = strconv.Atoi(port); err != nil {
				return fmt.Errorf("postgres: free port: %w", err)
			}
		}
		if err = p.launch(ctx); err == nil {
			return nil
		}
		if !strings.Contains(err.Error(), "could not bind") {
			break
		}
		p.port = 0
	}
	return err
}

func (p *Postgres) launch(ctx context.Context) error {
	sync := "off"
	if p.opts.Fsync {
		sync = "on"
	}
	args := []string{"-D", p.data()}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(p.port), "unix_socket_directories=" + p.dir,
		"fsync=" + sync, "synchronous_commit=" + sync, "full_page_writes=" + sync,
		"shared_buffers=128MB", "max_connections=300", "autovacuum=off", "jit=off", "timezone=UTC", "lc_messages=C",
	} {
		args = append(args, "-c", setting)
	}
	if p.opts.CertPEM != nil {
		args = append(args, "-c", "ssl=on", "-c", "ssl_cert_file="+filepath.Join(p.dir, "server.crt"),
			"-c", "ssl_key_file="+filepath.Join(p.dir, "server.key"))
	}
	p.out = &tailBuffer{max: 8 << 10}
	p.cmd = exec.Command(filepath.Join(p.bin, "postgres"), args...)
	p.cmd.Dir, p.cmd.SysProcAttr = p.dir, p.attributes()
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.WaitDelay = toolStopWithin
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	done := make(chan struct{})
	p.done = done
	cmd := p.cmd
	go func() {
		defer close(done)
		_ = cmd.Wait() // the output has the cause
	}()
	ready, cancel := context.WithTimeout(ctx, toolReadyWithin)
	defer cancel()
	tick := time.NewTicker(toolPoll)
	defer tick.Stop()
	for {
		if err := p.exec(ready, "postgres", "SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("postgres: ended before it was ready; its last output:\n%s", p.out)
		case <-ready.Done():
			return errors.Join(fmt.Errorf("postgres: not ready: %w; its last output:\n%s", ready.Err(), p.out), p.Kill())
		case <-tick.C:
		}
	}
}

func (p *Postgres) exec(ctx context.Context, db, sql string) error {
	conn, err := pgx.Connect(ctx, p.DSN(db))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// DSN is the address of a database, as a superuser.
func (p *Postgres) DSN(db string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", p.port, db)
}

// CreateDatabase makes an empty database.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	if err := p.exec(ctx, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("postgres: database %s: %w", name, err)
	}
	return nil
}

// CopyDatabase creates a database with the content of another one, which must have no connections.
func (p *Postgres) CopyDatabase(ctx context.Context, from, name string) error {
	sql := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE " + pgx.Identifier{from}.Sanitize()
	if err := p.exec(ctx, "postgres", sql); err != nil {
		return fmt.Errorf("postgres: database %s: %w", name, err)
	}
	return nil
}

// Halt ends the server and keeps its data, so that Restart can follow.
func (p *Postgres) Halt() error {
	// SIGQUIT is PostgreSQL's immediate shutdown, which does not wait for clients.
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	timer := time.NewTimer(toolStopWithin)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("postgres: did not stop within %v, killed", toolStopWithin), p.Kill())
	}
}

// Kill ends the server and its children with SIGKILL, as a crash of the machine would.
func (p *Postgres) Kill() error {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	return nil
}

// Restart starts the server again after Halt or Kill, on the same port and data.
func (p *Postgres) Restart(ctx context.Context) error { return p.start(ctx) }

// Stop ends the server and removes its data.
func (p *Postgres) Stop() error {
	return errors.Join(p.Halt(), os.RemoveAll(p.dir))
}

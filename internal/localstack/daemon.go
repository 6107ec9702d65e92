package localstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// daemon is a server on a loopback port, which is ready once it accepts connections.
type daemon struct {
	name string
	addr string
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	out  *tailBuffer
}

// startDaemon runs the command for a directory and a free address, as another user if as is set. It tries several ports, because another
// process may take one before the server listens on it.
func startDaemon(
	ctx context.Context, name string, as *syscall.Credential, command func(dir, host, port string) (*exec.Cmd, error),
) (*daemon, error) {
	dir, remove, err := toolDir("", name)
	if err != nil {
		return nil, err
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			remove()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for range toolAttempts {
		d := &daemon{name: name, dir: dir, done: make(chan struct{}), out: &tailBuffer{max: 8 << 10}}
		if err = d.start(ctx, as, command); err == nil {
			return d, nil
		}
		if !strings.Contains(strings.ToLower(err.Error()), "address already in use") {
			break
		}
	}
	remove()
	return nil, err
}

func (d *daemon) start(
	ctx context.Context, as *syscall.Credential, command func(dir, host, port string) (*exec.Cmd, error),
) error {
	var err error
	if d.addr, err = FreeAddress(ctx); err != nil {
		return fmt.Errorf("%s: free port: %w", d.name, err)
	}
	host, port, err := net.SplitHostPort(d.addr)
	if err != nil {
		return fmt.Errorf("%s: free port: %w", d.name, err)
	}
	if d.cmd, err = command(d.dir, host, port); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr, d.cmd.WaitDelay = d.dir, d.out, d.out, toolStopWithin
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	go func() {
		defer close(d.done)
		_ = d.cmd.Wait() // the output has the cause
	}()
	ready, cancel := context.WithTimeout(ctx, toolReadyWithin)
	defer cancel()
	tick := time.NewTicker(toolPoll)
	defer tick.Stop()
	for {
		var dialer net.Dialer
		if conn, err := dialer.DialContext(ready, "tcp", d.addr); err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-d.done:
			return fmt.Errorf("%s: ended before it was ready; its last output:\n%s", d.name, d.out)
		case <-ready.Done():
			return errors.Join(fmt.Errorf("%s: not ready: %w; its last output:\n%s", d.name, ready.Err(), d.out), d.stop())
		case <-tick.C:
		}
	}
}

// stop ends the process and removes its directory.
func (d *daemon) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(toolStopWithin)
	defer timer.Stop()
	select {
	case <-d.done:
	case <-timer.C:
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	return os.RemoveAll(d.dir)
}

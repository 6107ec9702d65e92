package localstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"
)

// RedisOptions configures a Redis.
type RedisOptions struct {
	// Masters is the number of nodes of a cluster, at least 3; 0 means a single Redis.
	Masters int
	// Users are lines of its ACL, such as "default off" or "reader on >secret ~* &* +@read".
	Users []string
}

// Redis is a real Redis, or a cluster of them.
type Redis struct{ nodes []*daemon }

// StartRedis starts a Redis, or a cluster, and waits until it is ready. It runs until Stop.
func StartRedis(ctx context.Context, o RedisOptions) (_ *Redis, err error) {
	program, err := findProgram("", "redis-server")
	if err != nil {
		return nil, err
	}
	r := &Redis{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Stop())
		}
	}()
	for range max(o.Masters, 1) {
		d, err := startDaemon(ctx, "redis", nil, func(dir, host, port string) (*exec.Cmd, error) {
			args := []string{"--bind", host, "--port", port, "--dir", dir, "--save", "", "--appendonly", "no"}
			if o.Masters > 0 {
				bus, err := FreeAddress(ctx)
				if err != nil {
					return nil, err
				}
				args = append(args, "--cluster-enabled", "yes", "--cluster-port", bus[strings.LastIndexByte(bus, ':')+1:])
			}
			for _, u := range o.Users {
				args = append(args, append([]string{"--user"}, strings.Fields(u)...)...)
			}
			return exec.Command(program, args...), nil
		})
		if err != nil {
			return nil, err
		}
		r.nodes = append(r.nodes, d)
	}
	if o.Masters > 0 {
		return r, r.join(ctx)
	}
	return r, nil
}

// join makes a cluster of the nodes.
func (r *Redis) join(ctx context.Context) error {
	cli, err := findProgram("", "redis-cli")
	if err != nil {
		return err
	}
	args := []string{"--cluster-replicas", "0", "--cluster-yes"}
	for _, n := range r.nodes {
		args = append([]string{n.addr}, args...)
	}
	ready, cancel := context.WithTimeout(ctx, toolReadyWithin)
	defer cancel()
	out, err := exec.CommandContext(ready, cli, append([]string{"--cluster", "create"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("redis: cluster: %w: %s", err, out)
	}
	// The nodes exchange their state a moment later.
	tick := time.NewTicker(toolPoll)
	defer tick.Stop()
	for _, n := range r.nodes {
		host, port, err := net.SplitHostPort(n.addr)
		if err != nil {
			return fmt.Errorf("redis: cluster: %w", err)
		}
		for {
			out, err := exec.CommandContext(ready, cli, "-h", host, "-p", port, "cluster", "info").CombinedOutput()
			if err == nil && strings.Contains(string(out), "cluster_state:ok") {
				break
			}
			select {
			case <-ready.Done():
				return fmt.Errorf("redis: cluster: %w: %s", ready.Err(), out)
			case <-tick.C:
			}
		}
	}
	return nil
}

// URL is the address of the first node.
func (r *Redis) URL() string { return "redis://" + r.nodes[0].addr }

// Addrs are the addresses of the nodes, as host:port.
func (r *Redis) Addrs() []string {
	var out []string
	for _, n := range r.nodes {
		out = append(out, n.addr)
	}
	return out
}

// Stop ends all nodes.
func (r *Redis) Stop() error {
	var errs []error
	for _, n := range r.nodes {
		errs = append(errs, n.stop())
	}
	return errors.Join(errs...)
}

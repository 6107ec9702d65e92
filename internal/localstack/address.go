package localstack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports of servers are below those that the system assigns to clients and to listeners on port 0 (from 32768 on Linux, 49152
// elsewhere), so that none of these takes the port of a server that starts or restarts.
const (
	firstPort = 20000
	lastPort  = 31999
)

// FreeAddress returns a free loopback address, as host:port, for a server that has to know its port before it starts. Another server that
// starts at the same moment may take it, which is rare.
func FreeAddress(ctx context.Context) (string, error) {
	var err error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort+1)))
		var l net.Listener
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", fmt.Errorf("free port: %w", err)
}

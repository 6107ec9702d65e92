package localstack

import (
	"net"
	"strconv"
	"testing"
)

// The system must never assign a port of FreeAddress to a listener on port 0.
func TestFreeAddressesAreNotThoseThatTheSystemGives(t *testing.T) {
	t.Parallel()
	for range 50 {
		addr, err := FreeAddress(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, text, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		if port, err := strconv.Atoi(text); err != nil || port < firstPort || port > lastPort {
			t.Errorf("port %s", text)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if port := l.Addr().(*net.TCPAddr).Port; port >= firstPort && port <= lastPort {
			t.Errorf("the system gave port %d", port)
		}
		l.Close()
	}
}

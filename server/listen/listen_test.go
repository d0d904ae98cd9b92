package listen

import (
	"net"
	"testing"
)

// An address of IPv4 admits nobody by IPv6; an empty host and [::] admit both.
func TestListenTakesAddressesAsTheyAreWritten(t *testing.T) {
	for host, want := range map[string][2]bool{"0.0.0.0": {true, false}, "127.0.0.1": {true, false}, "::": {true, true}, "": {true, true}, "::1": {false, true}} {
		l, err := Open(Addr{Host: host, Port: "0"}, "--listen")
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for i, ip := range []string{"127.0.0.1", "::1"} {
			nc, err := net.Dial("tcp", net.JoinHostPort(ip, port))
			if err == nil {
				nc.Close()
			}
			if (err == nil) != want[i] {
				t.Errorf("%q from %s: %v", host, ip, err)
			}
		}
		l.Close()
	}
}

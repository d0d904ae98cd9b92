package peer

import (
	"net"
	"net/netip"
	"os"
	"testing"
)

func TestUserOfAConnectionWithinTheMachine(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		other, local := netip.MustParseAddrPort(nc.LocalAddr().String()), netip.MustParseAddrPort(l.Addr().String())
		if uid, ok := UserOf(other, local); !ok || uid != os.Getuid() {
			t.Errorf("%s: user %d, %v", address, uid, ok)
		}
		nc.Close()
		l.Close()
		if _, ok := UserOf(netip.AddrPortFrom(other.Addr(), 1), local); ok {
			t.Errorf("%s: a user of no connection", address)
		}
	}
}

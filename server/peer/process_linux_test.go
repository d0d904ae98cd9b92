package peer

import (
	"errors"
	"io/fs"
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
		if uid, err := UserOf(other, local); err != nil || uid != os.Getuid() {
			t.Errorf("%s: user %d, %v", address, uid, err)
		}
		if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for _, from := range []netip.AddrPort{other, netip.AddrPortFrom(other.Addr(), 1)} {
			if _, err := UserOf(from, local); !errors.Is(err, fs.ErrNotExist) || SitsHere(from, local) {
				t.Errorf("%s: the user of what is no open connection: %v", from, err)
			}
		}
		nc.Close()
		l.Close()
	}
}

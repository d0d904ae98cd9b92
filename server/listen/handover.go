package listen

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// Socket is a listening socket for another process that goes on with it.
type Socket struct {
	// Listen is the name that both processes know it by: a FastCGI address as the configuration has it, or what the server calls
	// another one.
	Listen string
	// File is a descriptor of its own of the socket.
	File *os.File
}

// Listener listens on the socket, with a descriptor of its own.
func (s *Socket) Listener() (net.Listener, error) {
	l, err := net.FileListener(s.File)
	if err != nil {
		return nil, fmt.Errorf("cannot use the inherited socket fd=%d, %q: %v", s.File.Fd(), s.Listen, err)
	}
	return asUnix(l, s.Listen), nil
}

// IsAt says whether a socket with a name, which l listens on, is that of the address. php-fpm names a port with the address that it is
// bound to (fpm_sockets.c:fpm_sockets_hash_op).
func (c *FastCGI) IsAt(name string, l net.Listener) bool {
	network, addr := splitFastCGI(c.Address)
	bound, isTCP := l.Addr().(*net.TCPAddr)
	switch {
	case isTCP == (network == "unix"):
		return false
	case name == c.Address || !isTCP:
		return name == c.Address
	}
	want, err := net.ResolveTCPAddr(network, addr)
	if err != nil || want.Port == 0 || want.Port != bound.Port {
		return false
	}
	if want.IP == nil {
		return bound.IP.IsUnspecified()
	}
	return addrOf(want) == addrOf(bound)
}

// addrOf is the address without what the system adds to it.
func addrOf(a *net.TCPAddr) netip.Addr { return a.AddrPort().Addr().Unmap() }

// Descriptor is the number of a listener's descriptor. False: it is closed, or none of the system.
func Descriptor(l net.Listener) (fd int, ok bool) {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err == nil
}

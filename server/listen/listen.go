package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Addr is an address that visitors reach.
type Addr struct {
	Host string // a name or an IP address of this machine; empty: all addresses
	Port string // a number; "0" has the system choose one
	TLS  bool   // it speaks HTTPS
}

// String is HOST:PORT.
func (a Addr) String() string { return net.JoinHostPort(a.Host, a.Port) }

// Parse reads HOST:PORT, :PORT, PORT, http://HOST:PORT or https://HOST:PORT. Port 443 means HTTPS.
func Parse(s string) (Addr, error) {
	rest, isTLS := strings.CutPrefix(s, "https://")
	rest, isHTTP := strings.CutPrefix(rest, "http://")
	if _, err := strconv.ParseUint(rest, 10, 16); err == nil {
		rest = ":" + rest
	}
	host, port, err := net.SplitHostPort(rest)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || isTLS && isHTTP || strings.ContainsAny(host, "/ ") {
		return Addr{}, fmt.Errorf("listen: %q must be HOST:PORT, PORT, http://HOST:PORT or https://HOST:PORT", s)
	}
	return Addr{Host: host, Port: port, TLS: isTLS || !isHTTP && port == "443"}, nil
}

// tcpNetwork is the network to listen on at host: with "tcp" the Go library would take 0.0.0.0 for all addresses, those of IPv6
// too.
func tcpNetwork(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return "tcp4"
	}
	return "tcp"
}

// Error is an address that cannot be listened on, with what the operator can do about it.
type Error struct {
	Addr string // as messages call it
	Err  error
	Hint string // empty: nothing is known
}

func (e *Error) Error() string { return fmt.Sprintf("cannot listen on %s: %v", e.Addr, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Open opens one address; flag is the one that chooses it.
func Open(a Addr, flag string) (net.Listener, error) {
	l, err := net.Listen(tcpNetwork(a.Host), a.String())
	if err == nil {
		return l, nil
	}
	e := &Error{Addr: a.String(), Err: err}
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Err = syscall.EADDRINUSE
		e.Hint = "another program listens there; choose another port with " + flag
		if owner := portOwner(a.Port); owner != "" {
			e.Hint = owner + " listens there; stop it or choose another port with " + flag
		}
	case errors.Is(err, os.ErrPermission):
		e.Err = os.ErrPermission
		e.Hint = "ports below 1024 need rights: choose one above, or allow them with " +
			"'setcap cap_net_bind_service=+ep' on the phpserve binary, or start as root with --user"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Err = syscall.EADDRNOTAVAIL
		e.Hint = "this machine has no such address; use 0.0.0.0 or [::] for all of them"
	case errors.As(err, &dns):
		e.Err = dns
		e.Hint = "the host part must be an address of this machine, or empty for all"
	}
	return nil, e
}

// IsLoopback says whether only this machine can reach the listener.
func IsLoopback(l net.Listener) bool {
	ap, err := netip.ParseAddrPort(l.Addr().String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

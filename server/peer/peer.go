package peer

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Addr is who is at the other end of the connection.
func Addr(r *http.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// Host takes the port off a Host header.
func Host(host string) string {
	if !strings.Contains(host, ":") || strings.HasSuffix(host, "]") {
		return strings.Trim(host, "[]")
	}
	h, _, err := net.SplitHostPort(host)
	if err != nil {
		return host
	}
	return h
}

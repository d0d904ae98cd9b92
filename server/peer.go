package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// peerAddr is who is at the other end of the connection.
func peerAddr(r *http.Request) netip.AddrPort {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// hostOnly takes the port off a Host header.
func hostOnly(host string) string {
	if !strings.Contains(host, ":") || strings.HasSuffix(host, "]") {
		return strings.Trim(host, "[]")
	}
	h, _, err := net.SplitHostPort(host)
	if err != nil {
		return host
	}
	return h
}

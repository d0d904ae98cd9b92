package peer

import (
	"net/netip"
	"slices"
	"strings"
)

// Forwarded says whether a field is one that proxies tell the client or the original request in. These are believed
// only from a trusted proxy; from anybody else they are taken off, because applications that trust every proxy would
// believe them. X-Original-Url and X-Rewrite-Url replace the path in some frameworks (CVE-2018-14773).
func Forwarded(name string) bool {
	switch name {
	case "Forwarded", "Forwarded-For", "Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Real-Ip", "True-Client-Ip",
		"Cf-Connecting-Ip", "X-Original-Url", "X-Rewrite-Url":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded")
}

// Proxies knows whose X-Forwarded-* headers count.
type Proxies []netip.Prefix

// Contains says whether an address is that of a trusted proxy.
func (t Proxies) Contains(a netip.Addr) bool {
	return slices.ContainsFunc(t, func(p netip.Prefix) bool { return p.Contains(a) })
}

// parseHop reads one element of X-Forwarded-For, with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// LastOf is the last element of a comma-separated header: the one that the nearest proxy wrote.
func LastOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v := values[len(values)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

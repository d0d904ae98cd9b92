package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwardedField says whether a field is one that proxies tell the client or the original request in. These are believed
// only from a trusted proxy; from anybody else they are taken off, because applications that trust every proxy would
// believe them. X-Original-Url and X-Rewrite-Url replace the path in some frameworks (CVE-2018-14773).
func forwardedField(name string) bool {
	switch name {
	case "Forwarded", "Forwarded-For", "Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Real-Ip", "True-Client-Ip",
		"Cf-Connecting-Ip", "X-Original-Url", "X-Rewrite-Url":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded")
}

// trustedProxies knows whose X-Forwarded-* headers count.
type trustedProxies []netip.Prefix

func (t trustedProxies) contains(a netip.Addr) bool {
	return slices.ContainsFunc(t, func(p netip.Prefix) bool { return p.Contains(a) })
}

// apply finds the client behind trusted proxies. The list of X-Forwarded-For is read from the right, where the proxies
// that we trust have written; the first address that is not trusted is the client.
func (t trustedProxies) apply(x *exchange, r *http.Request) (fromProxy bool) {
	x.client = x.peer.Addr()
	if !t.contains(x.client) {
		for name := range r.Header {
			if forwardedField(name) {
				delete(r.Header, name)
			}
		}
		return false
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break
		}
		x.client = a
		if !t.contains(a) {
			break
		}
	}
	switch proto := lastOf(r.Header["X-Forwarded-Proto"]); strings.ToLower(proto) {
	case "https":
		x.https = true
	case "http":
		x.https = false
	}
	return true
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

// lastOf is the last element of a comma-separated header: the one that the nearest proxy wrote.
func lastOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v := values[len(values)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

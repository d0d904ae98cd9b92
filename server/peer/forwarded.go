package peer

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Client finds the client behind trusted proxies, and whether it speaks HTTPS, which https says of the connection. peer is at the other end
// of that. The list of X-Forwarded-For is read from the right, where the proxies that we trust have written; the first address that is
// not trusted is the client. What others than a trusted proxy say in such fields is taken out of h.
func (t Proxies) Client(peer netip.Addr, https bool, h http.Header) (client netip.Addr, overHTTPS, fromProxy bool) {
	if !t.Contains(peer) {
		for name := range h {
			if Forwarded(name) {
				delete(h, name)
			}
		}
		return peer, https, false
	}
	client = peer
	hops := strings.Split(strings.Join(h["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break
		}
		client = a
		if !t.Contains(a) {
			break
		}
	}
	switch proto := LastOf(h["X-Forwarded-Proto"]); strings.ToLower(proto) {
	case "https":
		https = true
	case "http":
		https = false
	}
	return client, https, true
}

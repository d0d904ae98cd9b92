package peer

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// FuzzForwarded: only trusted proxies say who the client is. Whatever a client that they do not trust writes in front changes nothing.
func FuzzForwarded(f *testing.F) {
	for _, s := range [][4]string{
		{"192.0.2.1", "198.51.100.7", "127.0.0.1", "https"},
		{"10.0.0.1", "198.51.100.7, 10.0.0.2", "1.2.3.4, ", "http,https"},
		{"10.0.0.1", "10.0.0.3,10.0.0.2", "x", ""},
		{"::1", "[2001:db8::1]:443", "unknown", "HTTPS"},
		{"10.0.0.1", "fe80::1%eth0", "", "on"},
		{"10.0.0.1", "::ffff:10.0.0.9", ",,", " https "},
		{"10.0.0.1", "198.51.100.7:80,nonsense", "10.0.0.1", "http"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	trusted := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	type seen struct {
		client netip.Addr
		https  bool
	}
	f.Fuzz(func(t *testing.T, peer, list, forged, proto string) {
		addr, err := netip.ParseAddr(peer)
		if err != nil {
			return
		}
		addr = addr.Unmap().WithZone("")
		apply := func(list string) (seen, http.Header) {
			r := &http.Request{Header: http.Header{"X-Forwarded-For": {list}, "X-Forwarded-Proto": {proto}, "Forwarded": {"for=" + list}, "X-Real-Ip": {list}}}
			client, https, _ := trusted.Client(addr, false, r.Header)
			return seen{client, https}, r.Header
		}
		x, header := apply(list)
		if !trusted.Contains(addr) {
			if x.client != addr || x.https || len(header) != 0 {
				t.Fatalf("%s is no proxy, but is believed: client %s, https %v, %v", addr, x.client, x.https, header)
			}
			return
		}
		if x.client.Zone() != "" || x.client.Is4In6() {
			t.Fatalf("the client is %s", x.client)
		}
		// The client is the proxy itself or of the list, and to the right of it there are trusted proxies only.
		if x.client != addr {
			hops, found := strings.Split(list, ","), false
			for i := len(hops) - 1; i >= 0 && !found; i-- {
				hop, ok := parseHop(strings.TrimSpace(hops[i]))
				if found = ok && hop == x.client; !found && (!ok || !trusted.Contains(hop)) {
					t.Fatalf("the client of %q is %s", list, x.client)
				}
			}
			if !found {
				t.Fatalf("the client %s is not in %q", x.client, list)
			}
		}
		if !trusted.Contains(x.client) {
			if again, _ := apply(forged + "," + list); again.client != x.client {
				t.Fatalf("%q in front of %q makes the client %s of %s", forged, list, again.client, x.client)
			}
		}
	})
}

package peer

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestForwardedSchemeIsTheNearestProxys(t *testing.T) {
	t.Parallel()
	trusted := Proxies{netip.MustParsePrefix("10.0.0.1/32")}
	for _, tt := range []struct {
		peer, proto string
		tls, want   bool
	}{
		{"10.0.0.1:1", "https", false, true},
		{"10.0.0.1:1", "HTTPS", false, true},
		{"10.0.0.1:1", "http", true, false},
		{"10.0.0.1:1", "http, https", false, true},
		{"10.0.0.1:1", "https, http", false, false},
		{"10.0.0.1:1", "wss", false, false},
		{"10.0.0.1:1", "", true, true},
		{"9.9.9.9:1", "https", false, false},
		{"9.9.9.9:1", "http", true, true},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-Proto": {tt.proto}}}
			if _, https, _ := trusted.Client(Addr(r).Addr(), tt.tls, r.Header); https != tt.want {
				t.Errorf("https = %v", https)
			}
		})
	}
}

func TestForwardedClientIsFoundFromTheRight(t *testing.T) {
	t.Parallel()
	trusted := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name, peer string
		fields     []string // of X-Forwarded-For
		want       string
	}{
		{"no field", "10.0.0.1:1", nil, "10.0.0.1"},
		{"empty field", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"one hop", "10.0.0.1:1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"what the client wrote does not count", "10.0.0.1:1", []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4"},
		{"a trusted address written by the client does not count", "10.0.0.1:1", []string{"10.9.9.9, 1.2.3.4"}, "1.2.3.4"},
		{"trusted hops are passed", "10.0.0.1:1", []string{"6.6.6.6, 1.2.3.4, 10.0.0.3, 10.0.0.2"}, "1.2.3.4"},
		{"several fields are one list", "10.0.0.1:1", []string{"6.6.6.6", "1.2.3.4, 10.0.0.3", "10.0.0.2"}, "1.2.3.4"},
		{"all trusted: the leftmost", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"garbage stops the walk", "10.0.0.1:1", []string{"1.2.3.4, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"garbage at the right", "10.0.0.1:1", []string{"1.2.3.4, ${jndi:x}"}, "10.0.0.1"},
		{"empty element at the right", "10.0.0.1:1", []string{"1.2.3.4,"}, "10.0.0.1"},
		{"with a port", "10.0.0.1:1", []string{"1.2.3.4:5678"}, "1.2.3.4"},
		{"IPv6", "10.0.0.1:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 with a port", "10.0.0.1:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"IPv4 in IPv6 is IPv4", "10.0.0.1:1", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		{"trusted IPv4 in IPv6 is passed", "10.0.0.1:1", []string{"1.2.3.4, ::ffff:10.0.0.2"}, "1.2.3.4"},
		{"zone is dropped", "10.0.0.1:1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"peer in IPv6 form", "[::ffff:10.0.0.1]:1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"trusted IPv6 peer", "[fd00::1]:1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"untrusted peer", "9.9.9.9:1", []string{"1.2.3.4"}, "9.9.9.9"},
		{"untrusted peer that names a trusted one", "9.9.9.9:1", []string{"10.0.0.1"}, "9.9.9.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
			if tt.fields != nil {
				r.Header["X-Forwarded-For"] = tt.fields
			}
			client, _, fromProxy := trusted.Client(Addr(r).Addr(), false, r.Header)
			if client.String() != tt.want {
				t.Errorf("client %v, want %s", client, tt.want)
			}
			if fromProxy == strings.HasPrefix(tt.name, "untrusted") {
				t.Errorf("from a proxy: %v", fromProxy)
			}
		})
	}
}

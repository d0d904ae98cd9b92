package server

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// The helpful page names paths of the machine; the plain one does not.
func TestErrorPageDetailIsForWhoSitsAtTheMachineOnly(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], map[string]string{"index.php": tellScript}, func(c *Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	})
	port := ts.addr[strings.LastIndexByte(ts.addr, ':'):]
	const shown, hidden = true, false
	for _, tt := range []struct {
		name   string
		head   string // what follows the request line
		helped bool
	}{
		{"localhost", "Host: localhost" + port, shown},
		{"localhost without port", "Host: localhost", shown},
		{"LocalHost.", "Host: LocalHost." + port, shown},
		{"IPv4", "Host: 127.0.0.1" + port, shown},
		{"another loopback address", "Host: 127.8.9.1" + port, shown},
		{"IPv6", "Host: [::1]" + port, shown},
		{"a name below localhost", "Host: shop.localhost" + port, shown},
		{"a browser's fields", "Host: localhost\r\nOrigin: http://localhost:3000\r\nReferer: http://127.0.0.1:8000/a?b=https://example.com\r\n" +
			"User-Agent: Mozilla/5.0\r\nAccept-Language: de\r\nSec-Fetch-Site: same-origin\r\nDnt: 1\r\nUpgrade-Insecure-Requests: 1\r\n" +
			"Sec-Ch-Ua-Platform: \"Linux\"\r\nX-Requested-With: XMLHttpRequest\r\nX-Csrf-Token: 1\r\nIf-None-Match: \"1\"", shown},

		{"a public name", "Host: example.com", hidden},
		{"DNS rebinding", "Host: rebind.example.com" + port, hidden},
		{"a name that begins like localhost", "Host: localhost.example.com", hidden},
		{"a name that ends like localhost", "Host: mylocalhost", hidden},
		{"an address in the name", "Host: 127.0.0.1.example.com", hidden},
		{"an address of the network", "Host: 192.168.1.2", hidden},
		{"any address", "Host: 0.0.0.0", hidden},
		{"a name of the network", "Host: devbox" + port, hidden},
		{"X-Forwarded-For", "Host: localhost\r\nX-Forwarded-For: 203.0.113.9", hidden},
		{"X-Forwarded-For that says loopback", "Host: localhost\r\nX-Forwarded-For: 127.0.0.1", hidden},
		{"X-Forwarded-For that is empty", "Host: localhost\r\nX-Forwarded-For:", hidden},
		{"lower case", "Host: localhost\r\nx-forwarded-for: 127.0.0.1", hidden},
		{"X-Forwarded-Proto", "Host: localhost\r\nX-Forwarded-Proto: https", hidden},
		{"X-Forwarded-Host", "Host: localhost\r\nX-Forwarded-Host: example.com", hidden},
		{"X-Forwarded", "Host: localhost\r\nX-Forwarded: for=1.2.3.4", hidden},
		{"Forwarded", "Host: localhost\r\nForwarded: for=unknown", hidden},
		{"Forwarded-For", "Host: localhost\r\nForwarded-For: x", hidden},
		{"Via", "Host: localhost\r\nVia: 1.1 proxy", hidden},
		{"X-Real-IP", "Host: localhost\r\nX-Real-IP: 203.0.113.9", hidden},
		{"Client-IP", "Host: localhost\r\nClient-IP: 203.0.113.9", hidden},
		{"X-Client-IP", "Host: localhost\r\nX-Client-IP: x", hidden},
		{"X-Cluster-Client-IP", "Host: localhost\r\nX-Cluster-Client-IP: x", hidden},
		{"True-Client-IP", "Host: localhost\r\nTrue-Client-IP: 203.0.113.9", hidden},
		{"cloudflared", "Host: localhost\r\nCF-Ray: 1-FRA\r\nCdn-Loop: cloudflare", hidden},
		{"CF-Visitor", "Host: localhost\r\nCF-Visitor: {\"scheme\":\"https\"}", hidden},
		{"Fastly", "Host: localhost\r\nFastly-Client: 1", hidden},
		{"Amazon", "Host: localhost\r\nX-Amzn-Trace-Id: Root=1", hidden},
		{"CloudFront", "Host: localhost\r\nX-Amz-Cf-Id: x", hidden},
		{"Azure", "Host: localhost\r\nX-Azure-Ref: x", hidden},
		{"IIS", "Host: localhost\r\nX-Arr-Log-Id: x", hidden},
		{"Envoy", "Host: localhost\r\nX-Envoy-External-Address: x", hidden},
		{"Fly", "Host: localhost\r\nFly-Client-Ip: x", hidden},
		{"Tailscale", "Host: localhost\r\nTailscale-User-Login: x", hidden},
		{"Varnish", "Host: localhost\r\nX-Varnish: 1", hidden},
		{"a forward proxy", "Host: localhost\r\nProxy-Connection: keep-alive", hidden},
		{"a field of the operator's own with the visitor's address", "Host: localhost\r\nX-My-Visitor: 203.0.113.9", hidden},
		{"the same for IPv6 with port", "Host: localhost\r\nX-My-Visitor: [2001:db8::1]:4711", hidden},
		{"a page of a public site", "Host: 127.0.0.1\r\nReferer: https://example.com/", hidden},
		{"a script of a public site", "Host: 127.0.0.1\r\nOrigin: https://example.com", hidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, target := range []string{"/nope", "/nope/"} {
				got := wire(t, ts, "GET "+target+" HTTP/1.1\r\n"+tt.head+"\r\nConnection: close\r\n\r\n")
				if !strings.HasPrefix(got, "HTTP/1.1 404") || strings.Contains(got, ts.root) != tt.helped {
					t.Errorf("GET %s, shown %v, want %v:\n%s", target, !tt.helped, tt.helped, got)
				}
			}
		})
	}
	t.Run("nginx with a bare proxy_pass", func(t *testing.T) {
		got := wire(t, ts, "GET /nope HTTP/1.0\r\nHost: 127.0.0.1"+port+"\r\nConnection: close\r\n\r\n")
		if !strings.Contains(got, " 404 ") || strings.Contains(got, ts.root) {
			t.Errorf("shown:\n%s", got)
		}
	})
	t.Run("an absolute URL names the host", func(t *testing.T) {
		got := wire(t, ts, "GET http://example.com/nope HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if !strings.Contains(got, " 404 ") || strings.Contains(got, ts.root) {
			t.Errorf("shown:\n%s", got)
		}
	})
}

func TestErrorPageDetailNeedsLoopbackOnBothEnds(t *testing.T) {
	for _, tt := range []struct {
		peer         string
		loopbackOnly bool
		want         bool
	}{
		{"127.0.0.1:5", true, true}, {"[::1]:5", true, true}, {"127.0.0.1:5", false, false}, {"192.0.2.1:5", true, false},
	} {
		config := DefaultConfig()
		s := &Server{loopbackOnly: tt.loopbackOnly, cfg: &config}
		r := &http.Request{Host: "localhost:8000", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}
		if got := s.isAtMachine(&exchange{peer: netip.MustParseAddrPort(tt.peer)}, r); got != tt.want {
			t.Errorf("peer %s, loopback only %v: %v", tt.peer, tt.loopbackOnly, got)
		}
	}
}

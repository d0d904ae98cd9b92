package peer

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// NamesThisMachine says whether a host, without port, can only be this machine: RFC 6761 section 6.3 keeps localhost and
// all names below it for that.
func NamesThisMachine(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// PassedOn says whether anything shows that a proxy or a tunnel passed a request on.
func PassedOn(r *http.Request) bool {
	if !r.ProtoAtLeast(1, 1) {
		return true // nginx speaks HTTP/1.0 to what is behind it and names that as the host; no browser does
	}
	for name, values := range r.Header {
		if Forwarded(name) || proxyField(name) {
			return true
		}
		for _, value := range values {
			switch name {
			case "Origin", "Referer":
				// The page that the visitor came from has the name that the visitor knows the site by.
				if u, err := url.Parse(value); err != nil || u.Host != "" && !NamesThisMachine(u.Hostname()) {
					return true
				}
			default:
				// Whatever a field is called: who writes an address into it says for whom it asks.
				if _, isAddress := parseHop(strings.TrimSpace(value)); isAddress {
					return true
				}
			}
		}
	}
	return false
}

// proxyField knows the fields that proxies, tunnels and content delivery networks add and that say nothing of the client.
func proxyField(name string) bool {
	switch name {
	case "Via", "Cdn-Loop", "Max-Forwards", "Proxy-Connection", "Proxy-Authorization", "X-Original-Host", "X-Original-Proto",
		"X-Original-Uri", "X-Scheme", "X-Host", "X-Url-Scheme", "X-Varnish", "X-Cloud-Trace-Context", "Front-End-Https",
		"X-Real-Port", "X-Real-Host", "Remote-Addr", "X-Remote-Addr", "X-Nginx-Proxy", "X-Request-Start", "X-Queue-Start", "Early-Data":
		return true
	}
	for _, prefix := range []string{
		"Cf-", "Cloudfront-", "Fastly-", "Fly-", "Ngrok-", "Tailscale-", "Proxy-", "Ssl-", "X-Amz-", "X-Amzn-", "X-Appengine-", "X-Arr-",
		"X-Azure-", "X-Client-", "X-Envoy-", "X-Ngrok-", "X-Proxy", "X-Ssl-", "X-Tls-", "X-Vercel-",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

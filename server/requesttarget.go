package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// checkTarget refuses a target that is neither a path nor a URL of this server's schemes, and hosts that are none: what
// applications build links and redirects of. An HTTP/1.0 request may have no host.
func checkTarget(r *http.Request) error {
	u := r.URL
	switch {
	case u.Opaque != "" || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return &badPathError{path: r.RequestURI, reason: "it is neither a path nor a URL of http or https", part: "target"}
	case u.Scheme != "" && u.Host == "": // RFC 9110 §4.2.1
		return &badPathError{path: r.RequestURI, reason: "it has no host", part: "target"}
	case r.Host != "" && !validHost(r.Host):
		return &badPathError{path: r.Host, reason: "it is not a name or address with an optional port", part: "host"}
	}
	return nil
}

// validHost accepts the names and addresses that a request can be for, with or without a port. RFC 3986 §3.2.2 allows more
// characters, but no site has such a name: those of other scripts arrive as Punycode.
func validHost(host string) bool {
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' || i == len("65535") {
			return false
		}
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		return ok && err == nil && ip.Is6() && ip.Zone() == ""
	}
	for i := range len(name) {
		c := name[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return name != ""
}

package server

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/phpserve/phpserve/server/files"
	"github.com/phpserve/phpserve/server/site"
)

// errHeaderTooLarge is a head of HTTP/2 over max_header_size; for one of HTTP/1, net/http answers the same.
var errHeaderTooLarge = errors.New("the request's header is larger than max_header_size")

// checkHead refuses a head that must not go any further.
func (s *Server) checkHead(r *http.Request) error {
	if r.ProtoMajor > 1 && headSize(r) > s.cfg.MaxHeaderBytes+headAllowance {
		return errHeaderTooLarge
	}
	if !isToken(r.Method) { // :method of HTTP/2 is not checked by net/http (RFC 9110 §9.1)
		return &files.PathError{Path: r.Method, Reason: "it is not a token", Part: "method"}
	}
	return checkTarget(r)
}

// headAllowance is for what a head has besides the fields that the limit is about: as much as net/http allows in HTTP/1.
const headAllowance = 4 << 10

// headSize is how large a header list is (RFC 9113 §6.5.2), without the 32 bytes for each field: a header is as large over HTTP/2 as
// over HTTP/1.
func headSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	return n
}

// isToken reports whether s is a token (RFC 9110 §5.6.2).
func isToken(s string) bool { return s != "" && strings.Trim(s, tokenBytes) == "" }

const tokenBytes = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// checkTarget refuses a target that is neither a path nor a URL of this server's schemes, and hosts that are none: what
// applications build links and redirects of. An HTTP/1.0 request may have no host.
func checkTarget(r *http.Request) error {
	u := r.URL
	switch {
	case u.Opaque != "" || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return &files.PathError{Path: r.RequestURI, Reason: "it is neither a path nor a URL of http or https", Part: "target"}
	case u.Scheme != "" && u.Host == "": // RFC 9110 §4.2.1
		return &files.PathError{Path: r.RequestURI, Reason: "it has no host", Part: "target"}
	case r.Host != "" && !validHost(r.Host), r.Host == "" && r.ProtoAtLeast(1, 1):
		return &files.PathError{Path: r.Host, Reason: "it is not a name or address with an optional port", Part: "host"}
	}
	return nil
}

// validHost accepts the names and addresses that a request can be for, with or without a port. RFC 3986 §3.2.2 allows more
// characters, but no site has such a name: those of other scripts arrive as Punycode.
func validHost(host string) bool {
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:i]
		if port := host[i+1:]; port != "" { // RFC 3986 §3.2.3: it may be empty
			if _, err := strconv.ParseUint(port, 10, 16); err != nil || len(port) > len("65535") {
				return false
			}
		}
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		return ok && err == nil && ip.Is6() && ip.Zone() == ""
	}
	return site.ValidHostName(name)
}

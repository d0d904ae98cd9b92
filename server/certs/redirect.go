package certs

import (
	"net/http"
	"strings"

	"github.com/phpserve/phpserve/server/peer"
)

// challengePath is where the answers to HTTP-01 challenges are looked for (RFC 8555 section 8.3).
const challengePath = "/.well-known/acme-challenge/"

// Plain is the handler of the plain listeners: it answers the challenges of our own orders, redirects to HTTPS what has a
// certificate, and leaves everything else to next.
func (s *Store) Plain(next http.Handler) http.Handler {
	if !s.https {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// All else below this path is redirected as other paths are, which those who look for the answers of another ACME client in
		// the document root follow (RFC 8555 section 8.3).
		if strings.HasPrefix(r.URL.Path, challengePath) && s.managed[tlsName(peer.Host(r.Host))] != nil &&
			s.issuer.HandleHTTPChallenge(w, r) {
			return
		}
		url := s.redirectURL(r)
		if url == "" {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h["Location"], h["Content-Length"] = []string{url}, []string{"0"}
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMovedPermanently)
		} else {
			w.WriteHeader(http.StatusPermanentRedirect) // RFC 9110 section 15.4.9: keeps the method and the body
		}
	})
}

// redirectURL is the https URL of a plain request; empty if it is to be answered as it is. The host must be one that
// there is a certificate for at this moment: so a Host header leads nobody to another server (CWE-601), and a site stays
// in reach over HTTP until its first certificate is there.
func (s *Store) redirectURL(r *http.Request) string {
	if !s.redirect || r.RequestURI == "*" || r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return ""
	}
	if s.trusted.Contains(peer.Addr(r).Addr()) && strings.EqualFold(peer.LastOf(r.Header["X-Forwarded-Proto"]), "https") {
		return "" // the client speaks HTTPS with the proxy already, a redirect would never end
	}
	host := tlsName(peer.Host(r.Host))
	if !s.has(host) {
		return ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		path += "?" + r.URL.RawQuery
	}
	return "https://" + host + s.port + path
}

// has says whether there is a certificate for a host.
func (s *Store) has(host string) bool {
	if m := s.managed[host]; m != nil {
		return m.ready.Load()
	}
	if host == "" || strings.Contains(host, "*") {
		return false
	}
	for _, f := range s.files {
		if f.current().Leaf.VerifyHostname(host) == nil {
			return true
		}
	}
	return false
}

// tlsName is a host name as certificates are looked up by.
func tlsName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

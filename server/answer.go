package server

import (
	"net/http"
	"net/url"
)

// serveTarget answers the request with what its URL leads to.
func (s *Server) serveTarget(x *exchange, r *http.Request, t *target) {
	switch {
	case t.scriptName != "":
		s.servePHP(x, r, t)
	case t.redirect != "":
		to := (&url.URL{Path: t.redirect, RawQuery: r.URL.RawQuery}).String()
		status := http.StatusMovedPermanently
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			status = http.StatusPermanentRedirect // keeps method and body, RFC 9110 §15.4.9
		}
		x.Header().Set("Location", to)
		x.WriteHeader(status)
	default:
		f, fnd, err := x.site.root.Open(t.static)
		if err != nil {
			s.fail(x, r, err, nil)
			return
		}
		defer f.Close()
		x.site.static.Serve(x, r, f, fnd)
	}
}

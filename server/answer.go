package server

import (
	"net/http"
	"net/url"

	"github.com/phpserve/phpserve/server/site"
)

// serveTarget answers the request with what its URL leads to.
func (s *Server) serveTarget(x *exchange, r *http.Request, t *site.Target) {
	switch {
	case t.ScriptName != "":
		s.servePHP(x, r, t)
	case t.Redirect != "":
		to := (&url.URL{Path: t.Redirect, RawQuery: r.URL.RawQuery}).String()
		status := http.StatusMovedPermanently
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			status = http.StatusPermanentRedirect // keeps method and body, RFC 9110 §15.4.9
		}
		x.Header().Set("Location", to)
		x.WriteHeader(status)
	default:
		f, fnd, err := x.site.Root.Open(t.Static)
		if err != nil {
			s.fail(x, r, err, nil)
			return
		}
		defer f.Close()
		x.site.Static.Serve(x, r, f, fnd)
	}
}

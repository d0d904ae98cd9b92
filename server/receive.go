package server

import "net/http"

// spoolBody reads the request's body to its end. limit is max_body_size, 0 for none.
func (s *Server) spoolBody(x *exchange, r *http.Request, limit int64) (*body, error) {
	return s.spools.receive(x.ResponseWriter, x.key, r, limit, s.cfg.BodyTimeout)
}

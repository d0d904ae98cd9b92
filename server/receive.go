package server

import (
	"net/http"

	"github.com/phpserve/phpserve/server/spool"
)

// spoolBody reads the request's body to its end. limit is max_body_size, 0 for none.
func (s *Server) spoolBody(x *exchange, r *http.Request, limit int64) (*spool.Body, error) {
	return s.spools.Receive(x.ResponseWriter, x.key, r, limit, s.cfg.BodyTimeout)
}

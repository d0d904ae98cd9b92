package server

import (
	"context"
	"net/http"

	"github.com/phpserve/phpserve/server/spool"
)

// spoolBody reads the request's body to its end. limit is max_body_size, 0 for none.
func (s *Server) spoolBody(x *exchange, r *http.Request, limit int64) (*spool.Body, error) {
	b, err := s.spools.Receive(x.ResponseWriter, x.key, r, limit, s.cfg.BodyTimeout)
	if err != nil && context.Cause(r.Context()) == errCutOff {
		err = errCutOff
	}
	return b, err
}

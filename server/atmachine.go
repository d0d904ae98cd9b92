package server

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/phpserve/phpserve/server/peer"
)

// mayHelp says whether this client may get the page with all that is known.
func (s *Server) mayHelp(x *exchange) bool {
	switch s.cfg.ErrorPages {
	case ErrorPagesHelpful:
		return true
	case ErrorPagesPlain:
		return false
	}
	return x.atMachine
}

// helpful says whether this client gets that page: it is mayHelp with a look at whose process the client is, which is too much for each
// request.
func (s *Server) helpful(x *exchange, r *http.Request) bool {
	if !s.mayHelp(x) || s.cfg.ErrorPages != ErrorPagesAuto {
		return s.mayHelp(x)
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return true // only in tests without a connection
	}
	ours, err := netip.ParseAddrPort(local.String())
	return err == nil && peer.SitsHere(x.peer, ours)
}

// isAtMachine says whether a request is from somebody who sits at this machine: the helpful page is for nobody else. A
// loopback address on both ends is not enough, because a proxy or a tunnel on this machine has it too. So the request must
// name this machine (which also stops a name of the web that leads to 127.0.0.1, DNS rebinding), and nothing in it may
// betray that somebody passed it on. It is asked before the fields of proxies are taken off.
func (s *Server) isAtMachine(x *exchange, r *http.Request) bool {
	return s.loopbackOnly && s.cfg.ErrorPages == ErrorPagesAuto && x.peer.Addr().IsLoopback() && peer.NamesThisMachine(peer.Host(r.Host)) && !peer.PassedOn(r)
}

package server

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/phpserve/phpserve/server/accept"
	"github.com/phpserve/phpserve/server/files"
	"github.com/phpserve/phpserve/server/peer"
	"github.com/phpserve/phpserve/server/site"
	"github.com/phpserve/phpserve/web"
)

// errMethod is a method that no site answers.
var errMethod = errors.New("method not allowed")

// ServeHTTP answers one request; the package documentation has the way it takes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, start: time.Now(), https: r.TLS != nil, writeTimeout: s.cfg.WriteTimeout}
	x.conn, x.watch = accept.ConnOf(r.Context())
	x.conn.Handle(s.cfg.WriteTimeout)
	if x.watch != nil && !x.watch.Begin(r.Body != http.NoBody) {
		panic(http.ErrAbortHandler) // the connection has just been closed to make room
	}
	s.handlers.begin()
	defer s.handlers.end()
	defer func() { // also when a handler panics
		x.end(r)
		if x.status == 0 {
			x.status = http.StatusInternalServerError // what the client gets is a closed connection
		}
		entry := x.entry()
		s.access.Write(&entry, r)
		x.observe()
		if (x.err != nil || x.broken) && context.Cause(r.Context()) == errCutOff {
			s.handlers.cut.Add(1)
		}
	}()
	// Transfer-Encoding next to Content-Length must end the connection (RFC 9112 §6.1), because a proxy in front may have
	// seen the body end elsewhere; net/http keeps from us whether there was a Content-Length. So must Transfer-Encoding in
	// HTTP/1.0, which net/http takes off unseen.
	x.close = len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1)
	if r.ProtoMajor == 1 && r.Body != http.NoBody {
		// For all who do not read the body, which net/http then does itself. HTTP/2 waits for none.
		_ = http.NewResponseController(w).SetReadDeadline(x.start.Add(s.cfg.BodyTimeout)) // a connection supports it
	}
	x.peer = peer.Addr(r)
	x.atMachine = s.isAtMachine(x, r)
	var fromProxy bool
	x.client, x.https, fromProxy = s.trusted.Client(x.peer.Addr(), x.https, r.Header)
	x.key = peer.Key(x.client, s.trusted)
	s.identify(x, r, fromProxy)
	x.host = peer.Host(r.Host)
	x.site = s.sites.Find(x.host)
	x.php = s.php[x.site]
	x.count()
	if name, _, ok := r.BasicAuth(); ok {
		x.user = name
	}
	if err := s.checkHead(r); err != nil {
		s.fail(x, r, err, nil)
	} else if r.TLS == nil {
		s.plain.ServeHTTP(x, r)
	} else {
		s.answer(x, r)
	}
	x.begin(http.StatusOK)
}

// answer routes the request.
func (s *Server) answer(x *exchange, r *http.Request) {
	switch r.Method {
	case http.MethodConnect, http.MethodTrace: // TRACE would give a page its HttpOnly cookies (CVE-2003-1567)
		s.fail(x, r, errMethod, nil)
		return
	case http.MethodOptions:
		if r.RequestURI == "*" {
			x.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
			x.WriteHeader(http.StatusNoContent)
			return
		}
	}
	urlPath, err := files.CleanPath(r.URL.EscapedPath())
	if err != nil {
		s.fail(x, r, err, nil)
		return
	}
	router := site.Router{Site: x.site}
	var steps []web.Step
	if s.mayHelp(x) {
		router.Notes = &steps
	}
	t, err := router.Route(urlPath)
	if err != nil {
		s.fail(x, r, err, steps)
		return
	}
	s.serveTarget(x, r, t)
}

// identify gives the request its id: the proxy's, if it is trusted and sane, else a new one.
func (s *Server) identify(x *exchange, r *http.Request, fromProxy bool) {
	name, known := s.cfg.RequestIDHeader, false
	if name != "" && fromProxy {
		if id := r.Header.Get(name); saneID(id) {
			x.id, known = id, true
		}
	}
	if !known {
		var raw [16]byte
		for i := range 2 {
			n := rand.Uint64()
			for j := range 8 {
				raw[8*i+j] = byte(n >> (8 * j))
			}
		}
		x.id = hex.EncodeToString(raw[:])
	}
	if name != "" {
		name = http.CanonicalHeaderKey(name)
		one := []string{x.id}
		x.Header()[name] = one
		if known {
			r.Header[name] = one
		} else {
			delete(r.Header, name) // PHP would see an id that is in no log
		}
	}
}

// saneID accepts what may stand in a log line and a header.
func saneID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	const sane = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+/=@"
	return strings.Trim(id, sane) == ""
}

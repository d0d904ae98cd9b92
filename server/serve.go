package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"

	"github.com/phpserve/phpserve/server/accept"
)

// serve starts to serve one listener.
func (s *Server) serve(l net.Listener, isTLS bool) {
	limited := accept.NewListener(l, &s.conns, s.trusted, func(err error) {
		if s.rare.due("accept", l.Addr().String()) {
			s.log.Warn("cannot accept a connection", "listen", l.Addr().String(), "error", err)
		}
	})
	if !isTLS {
		s.serveHTTP(limited.Plain(s.logRefused), s.cfg.MaxHeaderBytes)
		return
	}
	secure := &accept.TLSListener{
		Listener: limited, Config: s.tls.TLSConfig(), Timeout: s.cfg.HeaderTimeout, Refused: s.logRefused,
		Done: func() { s.metrics.Handshake(true) },
		Failed: func(peer net.Addr, reason string) {
			s.metrics.Handshake(false)
			s.log.Debug("TLS handshake failed", "client", peer.String(), "reason", reason)
		},
	}
	secure.Start()
	s.serving.Go(secure.Wait)
	s.serveHTTP(secure.HTTP1, s.cfg.MaxHeaderBytes)
	// For a field over its limit, package net/http ends the whole connection. It is given a limit that is met by nobody who is not
	// malicious, and ServeHTTP answers 431.
	s.serveHTTP(secure.HTTP2, max(1<<20, 2*s.cfg.MaxHeaderBytes))
}

// serveHTTP starts an http.Server on one listener.
func (s *Server) serveHTTP(l net.Listener, maxHeader int) {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return s.requests },
		ConnContext:       accept.WithConn,
		ConnState:         accept.ConnState,
		// OPTIONS * is answered, and logged, by our own handler.
		DisableGeneralOptionsHandler: true,
		HTTP2: &http.HTTP2Config{
			// The deadlines of responses are those of streams: this is for a client that reads nothing from its connection.
			WriteByteTimeout:     s.cfg.WriteTimeout,
			MaxConcurrentStreams: s.maxStreams(),
		},
		ErrorLog: log.New(&httpErrors{s.log}, "", 0),
	}
	s.http = append(s.http, h)
	s.serving.Go(func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.broke(fmt.Errorf("cannot go on serving %s: %v", l.Addr(), err))
		}
	})
}

// maxStreams is how many requests one HTTP/2 connection may have under way: as many as nginx allows (RFC 9113 §6.5.2 asks for 100),
// fewer where there are few descriptors.
func (s *Server) maxStreams() int {
	const usual, least = 128, 8
	if s.conns.Max == 0 {
		return usual
	}
	return min(usual, max(least, s.conns.Max/2))
}

// limitConns finds out how many connections there may be.
func (s *Server) limitConns() error {
	most, err := accept.MaxConnections(s.cfg.MaxConnections, len(s.listeners)+len(s.responders), s.mostWorkers())
	if err != nil {
		return err
	}
	const few = 64
	if s.cfg.MaxConnections == 0 && most > 0 && most < few {
		s.log.Warn("the limit on open files leaves room for few connections; raise it (ulimit -n, or LimitNOFILE= in a systemd unit)",
			"open_files", accept.OpenFilesLimit(), "max_connections", most)
	}
	s.conns.Max, s.conns.PerClient = most, max(most/2, 1)
	s.conns.Crowded = func() {
		if s.rare.due("connections", "") {
			s.log.Warn("all connections are in use: new ones wait", "max_connections", most)
		}
	}
	s.conns.Refused = func(client netip.Addr) {
		if s.rare.due("client connections", client.String()) {
			s.log.Warn("one client has half of all connections: it gets no more", "client", client.String(), "max_connections", most)
		}
	}
	return nil
}

// mostWorkers is how many workers there may be.
func (s *Server) mostWorkers() (n int) {
	for i := range s.cfg.Pools {
		n += s.cfg.Pools[i].MaxChildren
	}
	if s.cfg.ProcessMax > 0 {
		n = min(n, s.cfg.ProcessMax)
	}
	return n
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/phpserve/phpserve/manager"
)

// Server serves the sites of one Config.
type Server struct {
	cfg      *Config
	log      *slog.Logger
	stdout   io.Writer
	software string // SERVER_SOFTWARE

	access       *accessLog
	pools        map[string]*manager.Pool
	all          []*site
	sites        *sites
	trusted      trustedProxies
	tls          *certificates
	bodies       bodyBudget   // of request bodies on disk
	plain        http.Handler // answers what comes without TLS
	listeners    []net.Listener
	addrs        []listenAddr // of listeners, with the real port
	loopbackOnly bool

	http    []*http.Server
	serving sync.WaitGroup
	tails   sync.WaitGroup // scripts that go on after their response
	failed  chan error     // the first listener that broke
}

// New returns a server for cfg. php gives the PHP of each pool by the pool's name. Access lines for "-" go to stdout.
func New(cfg Config, php map[string]*manager.PHP, version string, logger *slog.Logger, stdout io.Writer) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	for i := range cfg.Pools {
		if php[cfg.Pools[i].Name] == nil {
			return nil, fmt.Errorf("[pool %s] has no PHP", cfg.Pools[i].Name)
		}
	}
	s := &Server{
		cfg: &cfg, log: logger, stdout: stdout, software: "phpserve/" + version,
		pools: map[string]*manager.Pool{}, trusted: cfg.TrustedProxies, failed: make(chan error, len(cfg.Listen)+1),
	}
	s.bodies.limit = cfg.SpoolBodies
	for i := range cfg.Pools {
		p := cfg.Pools[i]
		for _, site := range cfg.Sites {
			if site.Pool == p.Name {
				p.AdminRoots = append(p.AdminRoots, site.Root)
			}
		}
		pool, err := manager.NewPool(context.Background(), p, php[p.Name], dialer{}, logger)
		if err != nil {
			s.closePools(context.Background())
			return nil, err
		}
		s.pools[p.Name] = pool
	}
	return s, nil
}

// Start opens everything and begins to serve. When it returns an error, everything is closed again.
func (s *Server) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			s.Stop(canceled())
		}
	}()
	if err := s.openListeners(); err != nil {
		return err
	}
	if s.access, err = newAccessLog(s.cfg, s.stdout); err != nil {
		return err
	}
	for _, pool := range s.pools {
		if err := pool.Start(ctx); err != nil {
			return err
		}
	}
	for _, cfg := range s.cfg.Sites {
		site, err := newSite(cfg, s.pools[cfg.Pool])
		if err != nil {
			return err
		}
		s.all = append(s.all, site)
	}
	s.sites = newSites(s.all)
	if s.tls, err = newCertificates(s.cfg, s.log); err != nil {
		return err
	}
	s.plain = s.tls.plain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(w.(*exchange), r) }))
	for i, l := range s.listeners {
		s.serve(l, s.addrs[i].tls)
	}
	return s.tls.start(ctx)
}

// openListeners binds every address before anything else is started: a busy port is the most common failure.
func (s *Server) openListeners() error {
	s.loopbackOnly = true
	for _, text := range s.cfg.Listen {
		addr, err := parseListen(text)
		if err != nil {
			return err
		}
		l, err := listen(addr)
		if err != nil {
			return err
		}
		if _, port, err := net.SplitHostPort(l.Addr().String()); err == nil {
			addr.port = port
		}
		s.listeners, s.addrs = append(s.listeners, l), append(s.addrs, addr)
		s.loopbackOnly = s.loopbackOnly && isLoopback(l)
	}
	return nil
}

// LoopbackOnly says whether every address is one that only this machine can reach. It is known after Start.
func (s *Server) LoopbackOnly() bool { return s.loopbackOnly }

// serve starts an http.Server on one listener.
func (s *Server) serve(l net.Listener, isTLS bool) {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeaderBytes,
		// OPTIONS * is answered, and logged, by our own handler.
		DisableGeneralOptionsHandler: true,
		// The deadlines of responses are those of streams: this is for a client that reads nothing from its connection.
		HTTP2: &http.HTTP2Config{WriteByteTimeout: s.cfg.WriteTimeout},

		ErrorLog: log.New(&httpErrors{s.log}, "", 0),
	}
	if isTLS {
		h.TLSConfig = s.tls.config()
	} else {
		l = &clientListener{Listener: l, refused: s.logRefused}
		h.ConnContext, h.ConnState = withConn, connState
	}
	s.http = append(s.http, h)
	s.serving.Go(func() {
		var err error
		if isTLS {
			err = h.ServeTLS(l, "", "")
		} else {
			err = h.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("cannot go on serving %s: %v", l.Addr(), err)
		}
	})
}

// URLs are the addresses that the server answers on, for people.
func (s *Server) URLs() []string {
	var urls []string
	for i, a := range s.addrs {
		scheme, usual := "http", "80"
		if a.tls {
			scheme, usual = "https", "443"
		}
		host := a.host
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "localhost"
			if len(s.cfg.Sites) > 0 && len(s.cfg.Sites[0].Hosts) > 0 && a.tls {
				host = s.cfg.Sites[0].Hosts[0]
			}
		}
		if s.addrs[i].port == usual {
			urls = append(urls, scheme+"://"+host)
		} else {
			urls = append(urls, scheme+"://"+net.JoinHostPort(host, a.port))
		}
	}
	return urls
}

// Pool returns the pool of a name; nil if there is none.
func (s *Server) Pool(name string) *manager.Pool { return s.pools[name] }

// Failed yields an error when a listener breaks; the server is then to be stopped.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop stops accepting, lets running requests finish until ctx ends, and then ends everything.
func (s *Server) Stop(ctx context.Context) {
	var closing sync.WaitGroup
	for _, h := range s.http {
		closing.Go(func() {
			if err := h.Shutdown(ctx); err != nil {
				h.Close()
			}
		})
	}
	if len(s.http) == 0 {
		for _, l := range s.listeners {
			l.Close()
		}
	}
	closing.Wait()
	s.serving.Wait()
	s.closePools(ctx)
	s.tails.Wait()
	s.tls.stop()
	for _, site := range s.all {
		site.root.Close()
	}
	if err := s.access.close(); err != nil {
		s.log.Error("cannot close the access log", "error", err)
	}
}

// closePools ends all pools side by side.
func (s *Server) closePools(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range s.pools {
		wg.Go(func() { p.Stop(ctx) })
	}
	wg.Wait()
}

// canceled is a context for stopping without waiting.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// httpErrors passes what net/http reports to the log.
type httpErrors struct{ log *slog.Logger }

func (h *httpErrors) Write(p []byte) (int, error) {
	h.log.Debug("http", "text", string(p[:max(0, len(p)-1)]))
	return len(p), nil
}

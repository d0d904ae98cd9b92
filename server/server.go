package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/accept"
	"github.com/phpserve/phpserve/server/accesslog"
	"github.com/phpserve/phpserve/server/certs"
	"github.com/phpserve/phpserve/server/listen"
	"github.com/phpserve/phpserve/server/metrics"
	"github.com/phpserve/phpserve/server/peer"
	"github.com/phpserve/phpserve/server/site"
	"github.com/phpserve/phpserve/server/spool"
)

// Server serves the sites of one Config.
type Server struct {
	cfg      *Config
	log      *slog.Logger
	stdout   io.Writer
	version  string
	software string // SERVER_SOFTWARE of CGIPHP

	access       *accesslog.Log
	pools        map[string]*manager.Pool
	slots        map[string]*poolSlot
	all          []*site.Site
	sites        *site.Sites
	php          map[*site.Site]*poolSlot // of each site
	trusted      peer.Proxies
	tls          *certs.Store
	spools       *spool.Spools // of bodies and responses on their way
	plain        http.Handler  // answers what comes without TLS
	listeners    []net.Listener
	responders   []*responder
	inherited    map[string]net.Listener // of responders, by their address, and of admin; see Inherit
	addrs        []listen.Addr           // of listeners, with the real port
	admin        *admin                  // nil: none
	metrics      *metrics.Metrics        // nil: nothing is recorded
	recent       recentLog               // with an admin address
	opcaches     metrics.Opcaches        // with an admin address
	watch        *watch                  // with an admin address
	profiles     profiles
	rare         rareLog
	current      atomic.Pointer[Config] // in force
	loopbackOnly bool

	http    []*http.Server
	conns   accept.Limit // of all listeners but admin's
	serving sync.WaitGroup
	tails   sync.WaitGroup // scripts that go on after their response
	failed  chan error     // the first listener that broke

	mu        sync.Mutex     // guards pools against Pool during a reload
	reloading sync.Mutex     // one Reload or Reopen at a time, none behind Stop
	retiring  sync.WaitGroup // what reloads have replaced
	now       generation     // what runs; guarded by reloading
	stopped   bool           // Stop was here; guarded by reloading
	processes manager.ProcessLimit
	emergency emergency
	running   context.Context // ends when Stop no longer waits
	cancel    context.CancelFunc

	requests context.Context // above those of all requests; its end cuts them off
	cutOff   context.CancelCauseFunc
	handlers *handlers

	reloads    context.Context // ends when Stop begins
	endReloads context.CancelFunc
}

// New returns a server for cfg. php gives the PHP of each pool by the pool's name. Access lines for "-" go to stdout.
func New(cfg Config, php map[string]*manager.PHP, version string, logger *slog.Logger, stdout io.Writer) (*Server, error) {
	cfg, err := cfg.withASCIIHosts()
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: &cfg, log: logger, stdout: stdout, version: version, software: softwarePHP + version + softwareLike,
		pools: map[string]*manager.Pool{}, slots: map[string]*poolSlot{},
		inherited: map[string]net.Listener{}, trusted: cfg.TrustedProxies, failed: make(chan error, 1),
	}
	s.now = generation{cfg: s.cfg, php: php}
	s.current.Store(s.cfg)
	s.processes.SetMax(cfg.ProcessMax)
	s.emergency.set(cfg.EmergencyRestartThreshold, cfg.EmergencyRestartInterval)
	s.reloads, s.endReloads = context.WithCancel(context.Background())
	s.running, s.cancel = context.WithCancel(context.Background())
	s.requests, s.cutOff = context.WithCancelCause(context.Background())
	s.handlers = newHandlers()
	s.spools = spool.New(s.cfg.spoolConfig())
	if cfg.Admin != "" {
		s.log = slog.New(&recentHandler{Handler: logger.Handler(), to: &s.recent})
		s.metrics, s.watch, s.profiles.s = metrics.New(s, &s.opcaches, version), newWatch(s), s
		s.spools.CountRequests, s.spools.CountResponses = s.metrics.SpooledRequests, s.metrics.SpooledResponses
	}
	pools := make([]manager.PoolConfig, len(cfg.Pools))
	for i := range pools {
		pools[i] = cfg.pool(i)
	}
	err = s.newPools(s.running, pools, php, func(name string, pool *manager.Pool) {
		s.pools[name], s.slots[name] = pool, &poolSlot{metrics: s.metrics.Pool(name)}
		s.slots[name].put(s, pool)
	})
	if err != nil {
		s.cancel()
		closePools(s.running, s.pools)
		return nil, err
	}
	return s, nil
}

// SpooledBodies is how many bytes request bodies take on disk.
func (s *Server) SpooledBodies() int64 { return s.spools.Bodies.Taken() }

// openSites opens the document roots, and gives each site its pool.
func (s *Server) openSites() error {
	s.php = map[*site.Site]*poolSlot{}
	for _, cfg := range s.cfg.Sites {
		slot := s.slots[cfg.Pool]
		pool := slot.use.Load().Config()
		as, err := pool.Identity()
		if err != nil {
			return fmt.Errorf("[site %s] %v", cfg.Name(), err)
		}
		site, err := site.Open(cfg, as)
		if err != nil {
			return err
		}
		s.all, s.php[site] = append(s.all, site), slot
	}
	if len(s.all) == 0 {
		return nil // it serves FastCGI alone
	}
	sites, err := site.NewSites(s.all)
	s.sites = sites
	return err
}

// spoolConfig is what the server's spools may take.
func (c *Config) spoolConfig() spool.Config {
	var largest int64
	for i := range c.Sites {
		if largest = max(largest, c.Sites[i].MaxBodySize); c.Sites[i].MaxBodySize == 0 {
			largest = c.SpoolBodies
			break
		}
	}
	if len(c.Responders) > 0 { // how large a body may be is up to the web server
		largest = max(largest, c.SpoolBodies/2)
	}
	return spool.Config{
		Dir: c.SpoolDir, Memory: c.SpoolMemory, MemoryTotal: c.SpoolMemoryTotal, Disk: c.SpoolDisk, Responses: c.SpoolResponses,
		Bodies: c.SpoolBodies, LargestBody: largest,
	}
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
	if err := s.openResponders(); err != nil {
		return err
	}
	if err := s.openAdmin(); err != nil {
		return err
	}
	accesses, err := openAccessLogs(s.responders, s.cfg.Responders, s.log)
	if err != nil {
		return err
	}
	defer func() { accesses.release() }() // those that were not taken
	if s.access, err = accesslog.Open(s.cfg.AccessLog, s.cfg.AccessFormat, s.stdout, s.log); err != nil {
		return err
	}
	if err := startPools(ctx, s.pools); err != nil {
		return err
	}
	if err := s.openSites(); err != nil {
		return err
	}
	if s.tls, err = certs.New(&s.cfg.TLS, s.cfg.served(), s.log); err != nil {
		return err
	}
	s.plain = s.tls.Plain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(w.(*exchange), r) }))
	if err := s.limitConns(); err != nil {
		return err
	}
	for i, l := range s.listeners {
		s.serve(l, s.addrs[i].TLS)
	}
	for i, p := range s.responders {
		if err := p.aim(s.cfg.Responders[i], accesses.take(i)); err != nil {
			return err
		}
		p.start()
	}
	s.startAdmin()
	s.tls.Start(ctx)
	return nil
}

// openListeners binds every address before anything else is started: a busy port is the most common failure.
func (s *Server) openListeners() error {
	s.loopbackOnly = true
	for _, text := range s.cfg.Listen {
		addr, err := listen.Parse(text)
		if err != nil {
			return err
		}
		l, err := listen.Open(addr, "--listen")
		if err != nil {
			return err
		}
		if _, port, err := net.SplitHostPort(l.Addr().String()); err == nil {
			addr.Port = port
		}
		s.listeners, s.addrs = append(s.listeners, l), append(s.addrs, addr)
		s.loopbackOnly = s.loopbackOnly && listen.IsLoopback(l)
	}
	return nil
}

// LoopbackOnly says whether every address is one that only this machine can reach. It is known after Start.
func (s *Server) LoopbackOnly() bool { return s.loopbackOnly }

// URLs are the addresses that the server answers on, for people.
func (s *Server) URLs() []string {
	var urls []string
	for i, a := range s.addrs {
		scheme, usual := "http", "80"
		if a.TLS {
			scheme, usual = "https", "443"
		}
		host := a.Host
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "localhost"
			if len(s.cfg.Sites) > 0 && len(s.cfg.Sites[0].Hosts) > 0 && a.TLS {
				host = s.cfg.Sites[0].Hosts[0]
			}
		}
		if s.addrs[i].Port == usual {
			urls = append(urls, scheme+"://"+host)
		} else {
			urls = append(urls, scheme+"://"+net.JoinHostPort(host, a.Port))
		}
	}
	return urls
}

// Pool returns the pool of a name; nil if there is none.
func (s *Server) Pool(name string) *manager.Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pools[name]
}

// Pools returns all pools by name.
func (s *Server) Pools() []*manager.Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	pools := slices.Collect(maps.Values(s.pools))
	slices.SortFunc(pools, func(a, b *manager.Pool) int { return strings.Compare(a.Config().Name, b.Config().Name) })
	return pools
}

// Totals are the counters of all pools together.
type Totals struct {
	Busy, Idle int    // workers now
	Requests   uint64 // requests that had a worker, since the pools' start
}

// Totals returns the counters of all pools.
func (s *Server) Totals() (t Totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pools {
		stats := p.Stats()
		t.Busy, t.Idle, t.Requests = t.Busy+stats.Busy, t.Idle+stats.Idle, t.Requests+stats.Requests
	}
	return t
}

// broke reports a listener that broke; of several the first counts.
func (s *Server) broke(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Failed yields an error when a listener breaks; the server is then to be stopped.
func (s *Server) Failed() <-chan error { return s.failed }

// Reopen opens every access log and slowlog anew, for logrotate. One that cannot be opened goes on as it is.
func (s *Server) Reopen() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.stopped {
		return errStopped
	}
	errs := []error{s.access.Reopen()}
	for _, p := range s.responders {
		errs = append(errs, p.target.Load().access.log().Reopen())
	}
	for _, slot := range s.slots {
		errs = append(errs, slot.use.Load().reopenSlowlogs())
	}
	return errors.Join(errs...)
}

// Stop stops accepting, lets running requests finish until ctx ends, cuts off those that are left, and then ends everything.
func (s *Server) Stop(ctx context.Context) {
	s.admin.unready()
	s.endReloads()
	s.reloading.Lock() // one that is under way gives up
	s.stopped = true
	s.reloading.Unlock()
	closeNow, done := s.cutOffWith(ctx)
	var closing sync.WaitGroup
	for _, h := range s.http {
		closing.Go(func() {
			if err := h.Shutdown(closeNow); err != nil {
				h.Close()
			}
		})
	}
	for _, p := range s.responders {
		closing.Go(func() { p.stop(closeNow) })
	}
	if len(s.http) == 0 {
		for _, l := range s.listeners {
			l.Close()
		}
	}
	s.closeInherited()
	closing.Wait()
	s.serving.Wait()
	var pools sync.WaitGroup
	for _, slot := range s.slots {
		pools.Go(func() { slot.use.Load().stop(ctx) })
	}
	pools.Wait()
	s.retiring.Wait()
	done()
	s.handlers.wait()
	s.tails.Wait()
	s.tls.Stop()
	for _, site := range s.all {
		site.Root.Close()
	}
	if n := s.handlers.cut.Swap(0); n > 0 {
		s.log.Error("running requests were cut off: the time that they had to end was over", "requests", n)
	}
	s.closeAccessLogs()
	s.admin.stop()
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

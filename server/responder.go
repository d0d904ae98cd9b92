package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/safefile"
	"github.com/phpserve/phpserve/server/accept"
	"github.com/phpserve/phpserve/server/accesslog"
	"github.com/phpserve/phpserve/server/listen"
	"github.com/phpserve/phpserve/server/spool"
)

// ResponderConfig is an address at which a pool answers web servers that speak FastCGI, such as nginx: the listen.*
// directives of a php-fpm pool and those that are about its requests.
type ResponderConfig struct {
	// Pool is the name of the pool that runs the scripts.
	Pool string
	// Listen is the address: HOST:PORT, PORT for all addresses of the machine, or the path of a unix socket.
	Listen string
	// Backlog is listen.backlog: how many connections the kernel keeps until they are accepted. Zero or less: the most that
	// the system allows.
	Backlog int
	// Owner is listen.owner of a unix socket, a name or a uid. Empty: the user of phpserve.
	Owner string
	// Group is listen.group of a unix socket, a name or a gid. Empty: the group of an owner that is named, else that of phpserve.
	Group string
	// Mode is listen.mode of a unix socket. Zero: 0660.
	Mode uint32
	// ACLUsers and ACLGroups are listen.acl_users and listen.acl_groups: names of users and groups that may use a unix socket,
	// too. With any, Owner and Group are ignored.
	ACLUsers, ACLGroups []string
	// AllowedClients is listen.allowed_clients: who may connect to a TCP address. Nil: everybody.
	AllowedClients []netip.Addr
	// LimitExtensions is security.limit_extensions: how the name of a script must end. Empty: any.
	LimitExtensions []string
	// Access is the access log.
	Access accesslog.FPMConfig
	// Status are the pages about the pool.
	Status FPMStatusConfig
	// Chdir is the pool's working folder, where a request without DOCUMENT_ROOT is looked for.
	Chdir string
}

// socket is what the address is opened with.
func (c *ResponderConfig) socket() *listen.FastCGI {
	return &listen.FastCGI{
		Pool: c.Pool, Address: c.Listen, Backlog: c.Backlog, Owner: c.Owner, Group: c.Group, Mode: c.Mode, ACLUsers: c.ACLUsers, ACLGroups: c.ACLGroups,
	}
}

// responder answers at one address.
type responder struct {
	s        *Server
	listener net.Listener
	target   atomic.Pointer[responderTarget]

	accepting, serving sync.WaitGroup
	stopping           chan struct{} // closed by stop
	stopOnce           sync.Once

	mu      sync.Mutex // guards the fields below
	conns   map[*responderConn]struct{}
	closing bool
}

// responderConn is a connection of a web server.
type responderConn struct {
	net.Conn
	slot   *accept.Slot
	busy   bool        // runs a request; guarded by responder.mu
	served bool        // has run one; guarded by responder.mu
	said   atomic.Bool // something of its next request is here
}

// CloseWrite ends what the web server reads, where the system can.
func (c *responderConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Read notes that a request has begun.
func (c *responderConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.said.Swap(true) {
		c.slot.Talk()
	}
	return n, err
}

// Close gives the connection's place back, too.
func (c *responderConn) Close() error {
	c.slot.Leave()
	return c.Conn.Close()
}

// openResponders binds every FastCGI address.
func (s *Server) openResponders() error {
	for _, cfg := range s.cfg.Responders {
		p, err := s.openResponder(cfg)
		if err != nil {
			return err
		}
		s.responders = append(s.responders, p)
	}
	return nil
}

// openResponder binds one FastCGI address.
func (s *Server) openResponder(cfg ResponderConfig) (*responder, error) {
	l, err := s.listenResponder(&cfg)
	if err != nil {
		return nil, err
	}
	return &responder{s: s, listener: l, conns: map[*responderConn]struct{}{}, stopping: make(chan struct{})}, nil
}

// aim has the requests that come from now on run as cfg says. The log is the target's from then on, also after an error.
func (p *responder) aim(cfg ResponderConfig, access *sharedAccessLog) error {
	php := p.s.slots[cfg.Pool]
	pool := php.use.Load()
	cfgPool := pool.Config()
	as, err := cfgPool.Identity()
	if err != nil {
		access.release()
		return err
	}
	var root *safefile.Root
	if cfgPool.Chroot != "" {
		if root, err = safefile.OpenRoot(cfgPool.Chroot); err != nil {
			access.release()
			return fmt.Errorf("[pool %s] cannot look into the chroot: %w", cfg.Pool, err)
		}
	}
	p.replace(&responderTarget{log: p.s.log.With("pool", cfg.Pool), cfg: cfg, php: php, access: access, root: root, script: fpmScriptConfig{
		FixPathinfo: manager.INIBool(pool.INI("cgi.fix_pathinfo")), DiscardPath: manager.INIBool(pool.INI("cgi.discard_path")),
		DocRoot: pool.INI("doc_root"), LimitExtensions: cfg.LimitExtensions, Chdir: cfg.Chdir, Root: root, As: as,
		Pool: &cfgPool, Admin: len(cfgPool.PHPAdminValue) > 0, Cache: &scriptCache{},
	}})
	return nil
}

// start begins to accept.
func (p *responder) start() { p.accepting.Go(p.accept) }

func (p *responder) accept() {
	for {
		nc, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t := p.target.Load()
			if accept.Retry(err) {
				if p.s.rare.due("accept", t.cfg.Listen) {
					t.log.Warn("cannot accept a connection", "listen", t.cfg.Listen, "error", err)
				}
				time.Sleep(accept.Pause)
				continue
			}
			p.s.broke(fmt.Errorf("[pool %s] cannot go on listening on %s: %v", t.cfg.Pool, t.cfg.Listen, err))
			return
		}
		if who, ok := p.allowed(nc); !ok {
			p.target.Load().log.Error("Connection disallowed: IP address '" + who + "' has been dropped.") //nolint:sloglint // php-fpm's words
			nc.Close()
			continue
		}
		c := &responderConn{Conn: nc}
		if c.slot = p.s.conns.Enter(netip.Addr{}, func() { nc.Close() }, p.stopping); c.slot == nil {
			nc.Close() // stop was here
			continue
		}
		p.mu.Lock()
		if p.closing {
			p.mu.Unlock()
			c.Close()
			continue
		}
		p.conns[c] = struct{}{}
		p.mu.Unlock()
		p.serving.Add(1)
		r := fastcgi.NewResponder(c)
		r.Share(paramMemory{&p.s.spools.Memory})
		go p.serve(p.s.requests, c, r)
	}
}

// allowed holds listen.allowed_clients.
func (p *responder) allowed(nc net.Conn) (who string, ok bool) {
	tcp, isTCP := nc.RemoteAddr().(*net.TCPAddr)
	clients := p.target.Load().cfg.AllowedClients
	if clients == nil || !isTCP {
		return "", true
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	return addr.String(), slices.ContainsFunc(clients, func(a netip.Addr) bool { return a.Unmap() == addr })
}

// serve runs the requests of one connection, one after another. It has a share of p.serving, until it ends or the connection
// goes on without it.
func (p *responder) serve(ctx context.Context, c *responderConn, r *fastcgi.Responder) {
	peer := peerOf(c)
	for {
		in, err := r.Accept()
		if err != nil {
			p.refuse(c, err)
			break
		}
		if !p.setBusy(c, true) {
			break
		}
		q := &responderRequest{p: p, target: p.enter(), in: in, peer: peer}
		q.release = func() {
			p.s.tails.Add(1)
			go p.next(ctx, c, r, in) // which takes over the share
		}
		q.run(ctx)
		q.target.leave()
		if q.released {
			p.s.tails.Done()
			return
		}
		if !p.setBusy(c, false) || !in.KeepConn {
			break
		}
	}
	p.end(c, r)
}

// next goes on with a connection whose last request's script still runs.
func (p *responder) next(ctx context.Context, c *responderConn, r *fastcgi.Responder, last *fastcgi.Incoming) {
	if p.setBusy(c, false) && last.KeepConn {
		p.serve(ctx, c, r)
	} else {
		p.end(c, r)
	}
}

// end ends a connection.
func (p *responder) end(c *responderConn, r *fastcgi.Responder) {
	r.Close() // an error means that the web server has closed it already
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	p.serving.Done()
}

// refuse logs a connection that made no sense.
func (p *responder) refuse(c net.Conn, err error) {
	if protocol, ok := errors.AsType[*fastcgi.RequestError](err); ok {
		t := p.target.Load()
		t.log.Warn("connection closed: not FastCGI", "listen", t.cfg.Listen, "client", c.RemoteAddr().String(), "error", protocol)
	} else if errors.Is(err, fastcgi.ErrOverloaded) && p.s.rare.due("parameters", "") {
		p.target.Load().log.Warn("connection closed: spool.memory_total is used up", "error", err)
	}
}

// setBusy notes whether the connection runs a request; false says that it must end.
func (p *responder) setBusy(c *responderConn, busy bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.busy, c.served = busy, true
	if busy {
		return c.slot.Busy()
	}
	c.said.Store(false)
	c.slot.Rest()
	return !p.closing
}

// paramMemory is the memory of long parameters. Whose they are is known when they are all there.
type paramMemory struct{ budget *spool.Budget }

func (m paramMemory) Take(n int64) bool { return m.budget.Take(netip.Addr{}, n) }
func (m paramMemory) Give(n int64)      { m.budget.Give(netip.Addr{}, n) }

// How long a connection that says nothing may go on when its address is closed: a web server may be about to send a request, most
// likely so on one that it has just made.
const (
	kindness      = 20 * time.Millisecond
	freshKindness = time.Second
)

// stop stops accepting, lets running requests finish until ctx ends, and then ends everything.
func (p *responder) stop(ctx context.Context) {
	p.stopOnce.Do(func() { close(p.stopping) }) // Server.Stop may come again
	p.listener.Close()
	p.accepting.Wait()
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	old := time.AfterFunc(kindness, func() { p.closeConns(func(c *responderConn) bool { return c.silent() && c.served }) })
	defer old.Stop()
	fresh := time.AfterFunc(freshKindness, func() { p.closeConns((*responderConn).silent) })
	defer fresh.Stop()
	over := context.AfterFunc(ctx, func() { p.closeConns(func(*responderConn) bool { return true }) })
	defer over()
	p.serving.Wait()
}

// silent says that no request is under way. The caller holds responder.mu.
func (c *responderConn) silent() bool { return !c.busy && !c.said.Load() }

// closeConns closes some connections.
func (p *responder) closeConns(which func(*responderConn) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if which(c) {
			c.Close()
		}
	}
}

package server

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"github.com/phpserve/phpserve/server/listen"
)

// Socket is the listening socket of a FastCGI address, or of Config.Admin, for another process that goes on with it.
type Socket struct {
	// Listen is the address as [ResponderConfig] has it, or that of Config.Admin behind "admin:".
	Listen string
	// File is a descriptor of its own of the socket.
	File *os.File
}

// Sockets returns the listening sockets of the FastCGI addresses that are open, and of Config.Admin.
func (s *Server) Sockets() ([]Socket, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	var sockets []Socket
	add := func(name string, l net.Listener) error {
		f, err := listen.File(l)
		if err != nil {
			for _, s := range sockets {
				s.File.Close()
			}
			return fmt.Errorf("cannot hand the socket %s on: %w", name, err)
		}
		sockets = append(sockets, Socket{Listen: name, File: f})
		return nil
	}
	for _, p := range s.responders {
		if err := add(p.target.Load().cfg.Listen, p.listener); err != nil {
			return nil, err
		}
	}
	if s.admin != nil {
		if err := add(s.cfg.adminSocket(), s.admin.listener); err != nil {
			return nil, err
		}
	}
	return sockets, nil
}

// Listening is a FastCGI address that is open.
type Listening struct {
	// Listen is the address as [ResponderConfig] has it.
	Listen string
	// FD is the descriptor of its socket.
	FD int
}

// Listening tells which FastCGI addresses are open, for the log.
func (s *Server) Listening() (open []Listening) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	for _, p := range s.responders {
		conn, ok := p.listener.(syscall.Conn)
		if !ok {
			continue // no listener of the system
		}
		raw, err := conn.SyscallConn()
		if err != nil {
			continue // it is closed
		}
		l := Listening{Listen: p.target.Load().cfg.Listen}
		if raw.Control(func(fd uintptr) { l.FD = int(fd) }) == nil {
			open = append(open, l)
		}
	}
	return open
}

// LeaveSockets is called before Stop where another process listens on the sockets: unix sockets stay where they are, and who asks
// Config.Admin whether phpserve is ready asks that process from now on.
func (s *Server) LeaveSockets() {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	for _, p := range s.responders {
		if l, ok := p.listener.(*listen.Unix); ok {
			l.Leave()
		}
	}
	s.admin.leave()
}

// Inherit has Start listen on sockets that are open already, where an address of the configuration is one of theirs. The others
// are no longer wanted and are closed, unix sockets removed. It says which are used, and takes all over.
func (s *Server) Inherit(sockets []Socket) (used []Socket, err error) {
	for _, socket := range sockets {
		l, err := socket.listener()
		if err != nil {
			return used, err
		}
		i := slices.IndexFunc(s.cfg.Responders, func(c ResponderConfig) bool { return isAddress(&c, socket.Listen, l) })
		switch {
		case i >= 0:
			s.inherited[s.cfg.Responders[i].Listen] = l
		case s.isAdminSocket(socket):
			s.inherited[socket.Listen] = l
		default:
			l.Close()
			continue
		}
		used = append(used, socket)
	}
	return used, nil
}

// StandIn has Start serve, for as long as another process takes to begin anew, on the sockets of that one. Addresses that are none
// of theirs are only tried, and the sockets stay where they are.
func (s *Server) StandIn(sockets []Socket) error {
	var theirs []ResponderConfig
	for _, cfg := range s.cfg.Responders {
		listening := slices.IndexFunc(sockets, func(o Socket) bool { return o.Listen == cfg.Listen })
		if listening < 0 {
			l, err := listen.OpenFastCGI(cfg.socket(), s.log)
			if err != nil {
				return err
			}
			l.Close()
			continue
		}
		if err := s.inherit(cfg.Listen, sockets[listening]); err != nil {
			return err
		}
		theirs = append(theirs, cfg)
	}
	for _, socket := range sockets {
		if s.isAdminSocket(socket) {
			if err := s.inherit(socket.Listen, socket); err != nil {
				return err
			}
		}
	}
	cfg := *s.cfg
	cfg.Responders = theirs
	s.cfg, s.now.cfg = &cfg, &cfg
	s.current.Store(&cfg)
	return nil
}

// inherit has Start use a socket for an address.
func (s *Server) inherit(address string, socket Socket) error {
	l, err := socket.listener()
	if err != nil {
		return err
	}
	if u, ok := l.(*listen.Unix); ok {
		u.Leave()
	}
	s.inherited[address] = l
	return nil
}

// listener listens on the socket.
func (s *Socket) listener() (net.Listener, error) {
	l, err := net.FileListener(s.File)
	if err != nil {
		return nil, fmt.Errorf("cannot use the inherited socket fd=%d, %q: %v", s.File.Fd(), s.Listen, err)
	}
	return listen.AsUnix(l, s.Listen), nil
}

// isAdminSocket says whether a socket is that of Config.Admin.
func (s *Server) isAdminSocket(socket Socket) bool {
	return s.cfg.Admin != "" && socket.Listen == s.cfg.adminSocket()
}

// closeInherited closes what nobody has taken.
func (s *Server) closeInherited() {
	for _, l := range s.inherited {
		l.Close()
	}
	clear(s.inherited)
}

// listenResponder listens on an address, on an inherited socket where there is one.
func (s *Server) listenResponder(cfg *ResponderConfig) (net.Listener, error) {
	l := s.inherited[cfg.Listen]
	if l == nil {
		return listen.OpenFastCGI(cfg.socket(), s.log)
	}
	delete(s.inherited, cfg.Listen)
	if err := listen.ReopenFastCGI(l, cfg.socket()); err != nil {
		l.Close()
		return nil, &listen.Error{Addr: cfg.Listen, Err: fmt.Errorf("[pool %s] %w", cfg.Pool, err)}
	}
	return l, nil
}

// isAddress says whether a socket is that of an address. php-fpm names a port with the address that it is bound to
// (fpm_sockets.c:fpm_sockets_hash_op).
func isAddress(c *ResponderConfig, name string, l net.Listener) bool {
	network, addr := listen.SplitFastCGI(c.Listen)
	bound, isTCP := l.Addr().(*net.TCPAddr)
	switch {
	case isTCP == (network == "unix"):
		return false
	case name == c.Listen || !isTCP:
		return name == c.Listen
	}
	want, err := net.ResolveTCPAddr(network, addr)
	if err != nil || want.Port == 0 || want.Port != bound.Port {
		return false
	}
	if want.IP == nil {
		return bound.IP.IsUnspecified()
	}
	return addrOf(want) == addrOf(bound)
}

// addrOf is the address without what the system adds to it.
func addrOf(a *net.TCPAddr) netip.Addr { return a.AddrPort().Addr().Unmap() }

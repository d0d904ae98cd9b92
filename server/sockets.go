package server

import (
	"fmt"
	"net"
	"slices"

	"github.com/phpserve/phpserve/server/listen"
)

// Sockets returns the listening sockets of the FastCGI addresses that are open, and of Config.Admin.
func (s *Server) Sockets() ([]listen.Socket, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	var sockets []listen.Socket
	add := func(name string, l net.Listener) error {
		f, err := listen.File(l)
		if err != nil {
			for _, s := range sockets {
				s.File.Close()
			}
			return fmt.Errorf("cannot hand the socket %s on: %w", name, err)
		}
		sockets = append(sockets, listen.Socket{Listen: name, File: f})
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
		if fd, ok := listen.Descriptor(p.listener); ok {
			open = append(open, Listening{Listen: p.target.Load().cfg.Listen, FD: fd})
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
		listen.LeaveName(p.listener)
	}
	s.admin.leave()
}

// Inherit has Start listen on sockets that are open already, where an address of the configuration is one of theirs. The others
// are no longer wanted and are closed, unix sockets removed. It says which are used, and takes all over.
func (s *Server) Inherit(sockets []listen.Socket) (used []listen.Socket, err error) {
	for _, socket := range sockets {
		l, err := socket.Listener()
		if err != nil {
			return used, err
		}
		i := slices.IndexFunc(s.cfg.Responders, func(c ResponderConfig) bool { return c.socket().IsAt(socket.Listen, l) })
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
func (s *Server) StandIn(sockets []listen.Socket) error {
	var theirs []ResponderConfig
	for _, cfg := range s.cfg.Responders {
		listening := slices.IndexFunc(sockets, func(o listen.Socket) bool { return o.Listen == cfg.Listen })
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
func (s *Server) inherit(address string, socket listen.Socket) error {
	l, err := socket.Listener()
	if err != nil {
		return err
	}
	listen.LeaveName(l)
	s.inherited[address] = l
	return nil
}

// isAdminSocket says whether a socket is that of Config.Admin.
func (s *Server) isAdminSocket(socket listen.Socket) bool {
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

package server

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// Sockets returns the listening sockets of the FastCGI addresses, by these, for a process that goes on with them: descriptors of
// their own, which stay open behind Stop. A unix socket keeps its name from then on.
func (s *Server) Sockets() (map[string]*os.File, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	sockets := map[string]*os.File{}
	for _, p := range s.responders {
		if u, ok := p.listener.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		f, err := p.listener.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			for _, f := range sockets {
				f.Close()
			}
			return nil, fmt.Errorf("cannot hand over a listening socket: %w", err)
		}
		sockets[p.target.Load().cfg.Listen] = f
	}
	return sockets, nil
}

// inherit takes a listening socket that this process was started with.
func inherit(f *os.File, c *ResponderConfig) (net.Listener, error) {
	l, err := net.FileListener(f) // a descriptor of its own
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot use the inherited socket: %w", err)
	}
	if _, ok := l.(syscall.Conn); !ok {
		l.Close()
		return nil, fmt.Errorf("cannot use the inherited socket: %T", l)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(true) // as of one that this process has made
	}
	if err := reopenFastCGI(l, c); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/phpserve/phpserve/server/listen"
	"github.com/phpserve/phpserve/server/peer"
)

// limitedListener accepts TCP connections while there is room for them.
type limitedListener struct {
	net.Listener
	limit   *connLimit
	trusted peer.Proxies
	short   func(error) // is told what keeps it from accepting for a while

	closing sync.Once
	done    chan struct{} // closed by Close
}

func (s *Server) limited(l net.Listener) *limitedListener {
	return &limitedListener{
		Listener: l, limit: &s.conns, trusted: s.trusted, done: make(chan struct{}),
		short: func(err error) {
			if s.rare.due("accept", l.Addr().String()) {
				s.log.Warn("cannot accept a connection", "listen", l.Addr().String(), "error", err)
			}
		},
	}
}

// acceptTCP returns the next connection, with its place.
func (l *limitedListener) acceptTCP() (*net.TCPConn, *connSlot, error) {
	for {
		conn, err := l.Accept()
		if err != nil && listen.RetryAccept(err) && !errors.Is(err, net.ErrClosed) {
			l.short(err)
			select {
			case <-time.After(listen.AcceptPause):
			case <-l.done:
			}
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		var client netip.Addr
		if ap, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
			client = peer.Key(ap.Addr(), l.trusted)
		}
		slot := l.limit.enter(client, func() { conn.Close() }, l.done)
		if slot == nil {
			conn.Close()
			continue
		}
		return conn.(*net.TCPConn), slot, nil // all our listeners are TCP
	}
}

// Close may be called again: two servers of net/http may share a listener.
func (l *limitedListener) Close() (err error) {
	l.closing.Do(func() {
		close(l.done)
		err = l.Listener.Close()
	})
	return err
}

// slotListener accepts connections of operators, while there is room for them: theirs are not taken from the others'.
type slotListener struct {
	net.Listener
	limit *connLimit
	done  <-chan struct{} // closed when nobody accepts any more
}

func (l *slotListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if slot := l.limit.enter(netip.Addr{}, func() { conn.Close() }, l.done); slot != nil {
			return &slotConn{conn.(*net.TCPConn), slot}, nil // the admin address is a TCP one
		}
		conn.Close()
	}
}

// plainListener makes clientConns.
type plainListener struct {
	*limitedListener
	refused func(peer net.Addr, status int, head []byte)
}

func (l *plainListener) Accept() (net.Conn, error) {
	conn, slot, err := l.acceptTCP()
	if err != nil {
		return nil, err
	}
	return &clientConn{TCPConn: conn, watch: requestWatch{conn: conn, slot: slot, refused: l.refused}}, nil
}

// connKey finds a request's connection in its context: a *clientConn or a *secureConn; over HTTP/2 none.
type connKey struct{}

// withConn is the ConnContext of all listeners.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// connState is the ConnState of all listeners. For HTTP/1, net/http calls it from the goroutine that also runs the handlers.
func connState(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateIdle:
		switch c := conn.(type) {
		case *clientConn:
			c.watch.end()
		case *secureConn:
			c.watch.end()
		default:
			slotOf(conn).rest()
		}
	case http.StateActive:
		slotOf(conn).busy() // a connection that is being closed fails by itself
	}
}

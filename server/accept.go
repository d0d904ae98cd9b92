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

// newLimitedListener accepts from l within limit, where connections of trusted proxies count for no client. short is told what keeps it
// from accepting for a while, such as too many open files.
func newLimitedListener(l net.Listener, limit *connLimit, trusted peer.Proxies, short func(error)) *limitedListener {
	return &limitedListener{Listener: l, limit: limit, trusted: trusted, short: short, done: make(chan struct{})}
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

// newSlotListener accepts from l within limit, until done is closed.
func newSlotListener(l net.Listener, limit *connLimit, done <-chan struct{}) net.Listener {
	return &slotListener{l, limit, done}
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

// refusal is told of a request that net/http refuses before a handler has it: who sent it, the status, and how its head begins.
type refusal func(peer net.Addr, status int, head []byte)

// plainListener makes clientConns.
type plainListener struct {
	*limitedListener
	refused refusal
}

// plain is a listener whose connections speak HTTP/1 without TLS.
func (l *limitedListener) plain(refused refusal) net.Listener { return &plainListener{l, refused} }

func (l *plainListener) Accept() (net.Conn, error) {
	conn, slot, err := l.acceptTCP()
	if err != nil {
		return nil, err
	}
	return &clientConn{TCPConn: conn, watch: requestWatch{conn: conn, slot: slot, refused: l.refused}}, nil
}

// connKey finds a request's connection in its context: a *clientConn or a *secureConn; over HTTP/2 none.
type connKey struct{}

// connOf finds the connection of a request by the request's context: conn is nil with TLS, watch with HTTP/2.
func connOf(ctx context.Context) (conn *clientConn, watch *requestWatch) {
	switch c := ctx.Value(connKey{}).(type) {
	case *clientConn:
		return c, &c.watch
	case *secureConn:
		return nil, &c.watch
	}
	return nil, nil
}

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

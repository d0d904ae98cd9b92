package accept

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/phpserve/phpserve/server/peer"
)

// Listener accepts TCP connections while there is room for them: those of [Listener.Plain] or of a [TLSListener].
type Listener struct {
	net.Listener
	limit   *Limit
	trusted peer.Proxies
	short   func(error) // is told what keeps it from accepting for a while

	closing sync.Once
	done    chan struct{} // closed by Close
}

// NewListener accepts from l within limit, where connections of trusted proxies count for no client. short is told what keeps it
// from accepting for a while, such as too many open files.
func NewListener(l net.Listener, limit *Limit, trusted peer.Proxies, short func(error)) *Listener {
	return &Listener{Listener: l, limit: limit, trusted: trusted, short: short, done: make(chan struct{})}
}

// acceptTCP returns the next connection, with its place.
func (l *Listener) acceptTCP() (*net.TCPConn, *Slot, error) {
	for {
		conn, err := l.Accept()
		if err != nil && Retry(err) && !errors.Is(err, net.ErrClosed) {
			l.short(err)
			select {
			case <-time.After(Pause):
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
		slot := l.limit.Enter(client, func() { conn.Close() }, l.done)
		if slot == nil {
			conn.Close()
			continue
		}
		return conn.(*net.TCPConn), slot, nil // all our listeners are TCP
	}
}

// Close ends accepting. It may be called again: two servers of net/http may share a listener.
func (l *Listener) Close() (err error) {
	l.closing.Do(func() {
		close(l.done)
		err = l.Listener.Close()
	})
	return err
}

// slotListener accepts connections of operators, while there is room for them: theirs are not taken from the others'.
type slotListener struct {
	net.Listener
	limit *Limit
	done  <-chan struct{} // closed when nobody accepts any more
}

// Within accepts TCP connections from l within limit, until done is closed. [SlotOf] has the places of its connections.
func Within(l net.Listener, limit *Limit, done <-chan struct{}) net.Listener {
	return &slotListener{l, limit, done}
}

func (l *slotListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if slot := l.limit.Enter(netip.Addr{}, func() { conn.Close() }, l.done); slot != nil {
			return &slotConn{conn.(*net.TCPConn), slot}, nil // the admin address is a TCP one
		}
		conn.Close()
	}
}

// Refusal is told of a request that net/http refuses before a handler has it: who sent it, the status of the answer (400, 408, 431, 501
// and the like), and how its head begins, as it came; empty where nothing of it did. It may be called by several connections at once and
// must not keep head, which is used again. It must not be nil.
type Refusal func(peer net.Addr, status int, head []byte)

// plainListener makes Conns.
type plainListener struct {
	*Listener
	refused Refusal
}

// Plain is the listener for net/http whose connections speak HTTP/1 without TLS.
func (l *Listener) Plain(refused Refusal) net.Listener { return &plainListener{l, refused} }

func (l *plainListener) Accept() (net.Conn, error) {
	conn, slot, err := l.acceptTCP()
	if err != nil {
		return nil, err
	}
	return &Conn{TCPConn: conn, watch: Watch{conn: conn, slot: slot, refused: l.refused}}, nil
}

// connKey finds a request's connection in its context: a *Conn or a *secureConn; over HTTP/2 none.
type connKey struct{}

// ConnOf finds the connection of a request by the request's context: conn is nil with TLS, watch with HTTP/2.
func ConnOf(ctx context.Context) (conn *Conn, watch *Watch) {
	switch c := ctx.Value(connKey{}).(type) {
	case *Conn:
		return c, &c.watch
	case *secureConn:
		return nil, &c.watch
	}
	return nil, nil
}

// WithConn is the ConnContext of all servers of net/http that accept from a [Listener].
func WithConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// ConnState is the ConnState of all of them. For HTTP/1, net/http calls it from the goroutine that also runs the handlers.
func ConnState(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateIdle:
		switch c := conn.(type) {
		case *Conn:
			c.watch.end()
		case *secureConn:
			c.watch.end()
		default:
			SlotOf(conn).Rest()
		}
	case http.StateActive:
		SlotOf(conn).Busy() // a connection that is being closed fails by itself
	}
}

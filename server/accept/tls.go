package accept

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// secureConn is a TLS connection that speaks HTTP/1. net/http takes it for a plain one, but for the ConnectionState.
type secureConn struct {
	*tls.Conn
	watch Watch
}

func (c *secureConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.watch.read(p, n, err)
	return n, err
}

func (c *secureConn) Write(p []byte) (int, error) {
	if _, err := c.Conn.Write(c.watch.write(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *secureConn) Close() error {
	c.watch.close()
	return c.Conn.Close()
}

// slotConn is the TCP connection below TLS.
type slotConn struct {
	*net.TCPConn
	slot *Slot
}

func (c *slotConn) Close() error {
	c.slot.Leave()
	return c.TCPConn.Close()
}

// SlotOf is the place of a connection of [Within] or of HTTP/2; nil for others, which have theirs in their watch.
func SlotOf(conn net.Conn) *Slot {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if below, ok := conn.(*slotConn); ok {
		return below.slot
	}
	return nil
}

// TLSListener makes the handshakes of the connections that it accepts and hands them on by the protocol that they agreed on: only of
// a *tls.Conn would net/http speak HTTP/2, and only of something else may requests be watched.
type TLSListener struct {
	*Listener
	Config  *tls.Config
	Timeout time.Duration                      // for a handshake
	Failed  func(peer net.Addr, reason string) // is told of each handshake that failed
	Done    func()                             // is told of each that succeeded; may be nil
	Refused Refusal

	HTTP1, HTTP2 net.Listener   // for net/http; set by Start
	queue1       *connQueue     // HTTP1
	queue2       *connQueue     // HTTP2
	working      sync.WaitGroup // accepting and handshakes
	running      context.Context
	cancel       context.CancelFunc
}

// Start begins to accept. What it hands on are the listeners HTTP1 and HTTP2; to close either closes all.
func (l *TLSListener) Start() {
	l.running, l.cancel = context.WithCancel(context.Background())
	l.queue1, l.queue2 = newConnQueue(l), newConnQueue(l)
	l.HTTP1, l.HTTP2 = l.queue1, l.queue2
	l.working.Go(l.accept)
}

func (l *TLSListener) accept() {
	for {
		conn, slot, err := l.acceptTCP()
		if err != nil {
			l.queue1.fail(err)
			l.queue2.fail(err)
			return
		}
		l.working.Go(func() { l.shake(&slotConn{conn, slot}) })
	}
}

// shake makes one handshake.
func (l *TLSListener) shake(below *slotConn) {
	secure := tls.Server(below, l.Config)
	_ = below.SetDeadline(time.Now().Add(l.Timeout)) // only a closed connection refuses, and the handshake will say so
	if err := secure.HandshakeContext(l.running); err != nil {
		reason := err.Error()
		if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && header.Conn != nil && looksLikeHTTP(header.RecordHeader[:]) {
			reason = "the client speaks HTTP without TLS"
			_, _ = io.WriteString(below, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
				"This address speaks HTTPS: the URL must begin with https://\n")
		}
		l.Failed(below.RemoteAddr(), reason)
		below.Close()
		return
	}
	_ = below.SetDeadline(time.Time{})
	if l.Done != nil {
		l.Done()
	}
	switch secure.ConnectionState().NegotiatedProtocol {
	case "h2":
		l.queue2.put(secure)
	case "http/1.1", "": // whoever does not negotiate speaks it
		l.queue1.put(&secureConn{Conn: secure, watch: Watch{conn: secure, slot: below.slot, refused: l.Refused}})
	default: // of a challenge of ACME, for one, the handshake was all
		secure.Close()
	}
}

// looksLikeHTTP says whether the first bytes of a connection are those of a request without TLS.
func looksLikeHTTP(p []byte) bool {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodOptions, "DELET", "PATCH", "PRI *"} {
		if strings.HasPrefix(string(p), method[:min(len(method), len(p))]) {
			return true
		}
	}
	return false
}

// Close ends accepting and the handshakes under way.
func (l *TLSListener) Close() error {
	err := l.Listener.Close()
	l.cancel()
	return err
}

// Wait waits until nothing of the listener runs any more.
func (l *TLSListener) Wait() { l.working.Wait() }

// connQueue is a listener whose connections come from elsewhere.
type connQueue struct {
	*TLSListener
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
	err   error // why it ended; set before ended is closed
}

func newConnQueue(l *TLSListener) *connQueue {
	return &connQueue{TLSListener: l, conns: make(chan net.Conn), ended: make(chan struct{})}
}

// put hands a connection on.
func (q *connQueue) put(conn net.Conn) {
	select {
	case q.conns <- conn:
	case <-q.ended:
		conn.Close()
	}
}

func (q *connQueue) fail(err error) {
	q.once.Do(func() {
		q.err = err
		close(q.ended)
	})
}

// Accept implements net.Listener.
func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.ended:
		return nil, q.err
	}
}

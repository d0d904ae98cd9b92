package server

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
	watch requestWatch
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
	slot *connSlot
}

func (c *slotConn) Close() error {
	c.slot.leave()
	return c.TCPConn.Close()
}

// slotOf is the place of a connection of a slotListener or of HTTP/2; nil for others, which have theirs in their watch.
func slotOf(conn net.Conn) *connSlot {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if below, ok := conn.(*slotConn); ok {
		return below.slot
	}
	return nil
}

// tlsListener makes the handshakes of the connections that it accepts and hands them on by the protocol that they agreed on: only of
// a *tls.Conn would net/http speak HTTP/2, and only of something else may requests be watched.
type tlsListener struct {
	*limitedListener
	config  *tls.Config
	timeout time.Duration // for a handshake
	failed  func(peer net.Addr, reason string)
	done    func() // is told of each handshake that succeeded
	refused refusal

	http1, http2 *connQueue
	working      sync.WaitGroup // accepting and handshakes
	running      context.Context
	cancel       context.CancelFunc
}

// start begins to accept. What it hands on are the listeners http1 and http2; to close either closes all.
func (l *tlsListener) start() {
	l.running, l.cancel = context.WithCancel(context.Background())
	l.http1, l.http2 = newConnQueue(l), newConnQueue(l)
	l.working.Go(l.accept)
}

func (l *tlsListener) accept() {
	for {
		conn, slot, err := l.acceptTCP()
		if err != nil {
			l.http1.fail(err)
			l.http2.fail(err)
			return
		}
		l.working.Go(func() { l.shake(&slotConn{conn, slot}) })
	}
}

// shake makes one handshake.
func (l *tlsListener) shake(below *slotConn) {
	secure := tls.Server(below, l.config)
	_ = below.SetDeadline(time.Now().Add(l.timeout)) // only a closed connection refuses, and the handshake will say so
	if err := secure.HandshakeContext(l.running); err != nil {
		reason := err.Error()
		if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && header.Conn != nil && looksLikeHTTP(header.RecordHeader[:]) {
			reason = "the client speaks HTTP without TLS"
			_, _ = io.WriteString(below, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
				"This address speaks HTTPS: the URL must begin with https://\n")
		}
		l.failed(below.RemoteAddr(), reason)
		below.Close()
		return
	}
	_ = below.SetDeadline(time.Time{})
	if l.done != nil {
		l.done()
	}
	switch secure.ConnectionState().NegotiatedProtocol {
	case "h2":
		l.http2.put(secure)
	case "http/1.1", "": // whoever does not negotiate speaks it
		l.http1.put(&secureConn{Conn: secure, watch: requestWatch{conn: secure, slot: below.slot, refused: l.refused}})
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
func (l *tlsListener) Close() error {
	err := l.limitedListener.Close()
	l.cancel()
	return err
}

// wait waits until nothing of the listener runs any more.
func (l *tlsListener) wait() { l.working.Wait() }

// connQueue is a listener whose connections come from elsewhere.
type connQueue struct {
	*tlsListener
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
	err   error // why it ended; set before ended is closed
}

func newConnQueue(l *tlsListener) *connQueue {
	return &connQueue{tlsListener: l, conns: make(chan net.Conn), ended: make(chan struct{})}
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

package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// clientConn is an accepted plain connection. It does three things that net/http cannot: it joins the pieces that net/http
// writes for one part of a response into one system call, it gives the client timeouts.write for each of these, and it
// tells the access log about requests that net/http refuses by itself. Embedding the TCP connection keeps sendfile(2).
type clientConn struct {
	*net.TCPConn
	refused func(peer net.Addr, status int)
	handled bool // the request has reached a handler: what is written is no refusal of net/http

	writeTimeout time.Duration // timeouts.write, zero before the first request
	writeUntil   time.Time     // the write deadline

	holding bool
	small   []byte      // copies of short pieces: they are net/http's buffer
	held    net.Buffers // in order; long pieces are the handler's own and stay valid until release
}

// httpBuffer is the size of net/http's buffer: shorter pieces come from it.
const httpBuffer = 4 << 10

// handle tells that a request has reached a handler. Before the first one there is nothing to write that could block.
func (c *clientConn) handle(writeTimeout time.Duration) {
	if c != nil {
		c.handled, c.writeTimeout = true, writeTimeout
	}
}

// allow sets the deadline of the write that follows: at least timeouts.write from now, at most an eighth more, so that most
// writes find one that is late enough. One that passes while nothing is written harms nobody.
func (c *clientConn) allow() {
	if now := time.Now(); c.writeTimeout > 0 && c.writeUntil.Sub(now) < c.writeTimeout {
		c.writeUntil = now.Add(c.writeTimeout + c.writeTimeout/8)
		_ = c.TCPConn.SetWriteDeadline(c.writeUntil) // only a closed connection refuses, and the write will say so
	}
}

// SetWriteDeadline does nothing: it is how net/http takes the deadline off after each response, and allow sets another.
func (c *clientConn) SetWriteDeadline(time.Time) error { return nil }

// ReadFrom sends a piece of a file.
func (c *clientConn) ReadFrom(r io.Reader) (int64, error) {
	c.allow()
	return c.TCPConn.ReadFrom(r)
}

// hold keeps what is written until release. Only the handler of the connection's request calls these.
func (c *clientConn) hold() {
	if c != nil {
		c.holding = true
	}
}

// release writes what was held.
func (c *clientConn) release() error {
	if c == nil || !c.holding {
		return nil
	}
	c.holding = false
	if len(c.held) == 0 {
		return nil
	}
	c.allow()
	pieces := c.held // WriteTo consumes its receiver
	_, err := pieces.WriteTo(c.TCPConn)
	clear(c.held)
	c.held, c.small = c.held[:0], c.small[:0]
	return err
}

func (c *clientConn) Write(p []byte) (int, error) {
	if c.holding {
		if len(p) <= httpBuffer {
			if cap(c.small)-len(c.small) < len(p) {
				c.small = make([]byte, 0, 2*httpBuffer) // the pieces before keep the old one
			}
			start := len(c.small)
			c.small = append(c.small, p...)
			p = c.small[start:]
			c.held = append(c.held, p)
			return len(p), nil
		}
		c.held = append(c.held, p)
		return len(p), nil
	}
	if !c.handled {
		if status := refusalStatus(p); status != 0 {
			c.refused(c.RemoteAddr(), status)
		}
	}
	c.allow()
	return c.TCPConn.Write(p)
}

// refusalStatus is the status of an answer that net/http gives without a handler (net/http/server.go:conn.serve).
func refusalStatus(p []byte) int {
	const version = len("HTTP/1.1 ") // 1.0 to a client of that version
	if !bytes.HasPrefix(p, []byte("HTTP/1.")) || len(p) < version+3 {
		return 0
	}
	status, err := strconv.Atoi(string(p[version : version+3]))
	if err != nil {
		return 0
	}
	return status
}

// clientListener makes clientConns.
type clientListener struct {
	net.Listener
	refused func(peer net.Addr, status int)
}

func (l *clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, nil
	}
	return &clientConn{TCPConn: tcp, refused: l.refused}, nil
}

// connKey finds a request's clientConn in its context.
type connKey struct{}

// withConn is the ConnContext of plain listeners.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*clientConn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// connState is the ConnState of plain listeners. net/http calls it from the goroutine that also runs the handlers.
func connState(conn net.Conn, state http.ConnState) {
	if c, ok := conn.(*clientConn); ok && state == http.StateIdle {
		c.handled = false
	}
}

// logRefused writes the access line of a request that net/http refused before it had one.
func (s *Server) logRefused(peer net.Addr, status int) {
	x := &exchange{start: time.Now(), status: status}
	if ap, err := netip.ParseAddrPort(peer.String()); err == nil {
		x.client = ap.Addr().Unmap().WithZone("")
	}
	s.access.write(x, &http.Request{Method: "-", RequestURI: "-", Proto: "-", Header: http.Header{}})
}

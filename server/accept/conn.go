package accept

import (
	"io"
	"net"
	"time"
)

// Conn is an accepted plain connection. It does two things that net/http cannot: it joins the pieces that net/http
// writes for one part of a response into one system call, and it gives the client timeouts.write for each of these. Embedding the
// TCP connection keeps sendfile(2).
type Conn struct {
	*net.TCPConn
	watch Watch

	writeTimeout time.Duration // timeouts.write, zero before the first request
	writeUntil   time.Time     // the write deadline

	holding bool
	small   []byte      // copies of short pieces: they are net/http's buffer
	held    net.Buffers // in order; long pieces are the handler's own and stay valid until Release
}

// HTTPBuffer is the size of net/http's write buffer in bytes. A piece that is written and not longer may be that buffer, which is used
// again, so it is copied; a longer one is the handler's own.
const HTTPBuffer = 4 << 10

// Handle tells that a request has reached a handler: from now on each write to the client has writeTimeout (timeouts.write); zero: no
// limit. Before the first request there is nothing to write that could block. A nil Conn, one with TLS, does nothing: there it is
// net/http that sets deadlines.
func (c *Conn) Handle(writeTimeout time.Duration) {
	if c != nil {
		c.writeTimeout = writeTimeout
	}
}

// allow sets the deadline of the write that follows: at least timeouts.write from now, at most an eighth more, so that most
// writes find one that is late enough. One that passes while nothing is written harms nobody.
func (c *Conn) allow() {
	if now := time.Now(); c.writeTimeout > 0 && c.writeUntil.Sub(now) < c.writeTimeout {
		c.writeUntil = now.Add(c.writeTimeout + c.writeTimeout/8)
		_ = c.TCPConn.SetWriteDeadline(c.writeUntil) // only a closed connection refuses, and the write will say so
	}
}

// SetWriteDeadline does nothing: it is how net/http takes the deadline off after each response, and allow sets another.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// ReadFrom sends a piece of a file.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	c.allow()
	return c.TCPConn.ReadFrom(r)
}

// Hold keeps what is written until Release. Only the handler of the connection's request calls these.
func (c *Conn) Hold() {
	if c != nil {
		c.holding = true
	}
}

// Release writes what was held.
func (c *Conn) Release() error {
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

func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.watch.read(p, n, err)
	return n, err
}

// Close ends the connection and gives its place back.
func (c *Conn) Close() error {
	c.watch.close()
	return c.TCPConn.Close()
}

func (c *Conn) Write(p []byte) (int, error) {
	n := len(p)
	p = c.watch.write(p)
	if err := c.put(p); err != nil {
		return 0, err
	}
	return n, nil
}

// put writes p, or keeps it until Release.
func (c *Conn) put(p []byte) error {
	if c.holding {
		if len(p) <= HTTPBuffer {
			if cap(c.small)-len(c.small) < len(p) {
				c.small = make([]byte, 0, 2*HTTPBuffer) // the pieces before keep the old one
			}
			start := len(c.small)
			c.small = append(c.small, p...)
			p = c.small[start:]
		}
		c.held = append(c.held, p)
		return nil
	}
	c.allow()
	_, err := c.TCPConn.Write(p)
	return err
}

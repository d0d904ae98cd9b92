package fastcgi

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
)

const (
	// inlineBody is the longest body that Send writes itself. Together with the
	// usual parameters it stays below a socket's buffer, so that the write ends
	// even when the worker answers at length before it reads its input.
	inlineBody = 64 << 10

	// keepBuffer is the largest write buffer kept for the next request.
	keepBuffer = 256 << 10

	// maxEmpty bounds the records without content that may follow each other:
	// with full padding that is 64 KiB that say nothing.
	maxEmpty = 255
)

// Conn is the client side of one FastCGI connection. It carries one request at a
// time and is used by one goroutine at a time, except for Close, which may come
// from any goroutine and ends a blocked Send or Next.
type Conn struct {
	nc     net.Conn
	writer atomic.Pointer[bodyWriter] // of a large body on its way

	out  []byte // encoded request; the writer's while there is one
	in   []byte // read buffer, holds any one record
	r, w int    // in[r:w] is unread

	// id is that of the current request. php-cgi does not multiplex, it only
	// echoes the id (php-src main/fastcgi.c:fcgi_read_request): a new one for
	// every request, which nobody can guess, tells its answer from what another
	// process says there, such as a child that the script forked.
	id       uint16
	nextID   func(last uint16) uint16
	state    connState
	keep     bool  // the request asked for FCGI_KEEP_CONN
	answered bool  // a byte of the answer was received
	err      error // final: the connection is of no further use
}

// connState tells which call may come next.
type connState uint8

const (
	connIdle  connState = iota // Send
	connBusy                   // Next, until END_REQUEST
	connSpent                  // Close only
)

// Request is one request of the responder role (FastCGI 1.0 §6.2).
type Request struct {
	Params   []byte    // encoded pairs, see AppendParam; may be longer than one record
	Body     io.Reader // nil: none. It must not block for ever: the Conn waits for its last Read
	BodyLen  int64     // bytes to take from Body
	KeepConn bool      // FCGI_KEEP_CONN: the worker leaves the connection open
}

// Record is one record of the answer.
type Record struct {
	Type    RecordType // TypeStdout, TypeStderr or TypeEndRequest
	Content []byte     // never empty for STDOUT and STDERR; valid until the following Next
	End     EndRequest // only for TypeEndRequest
}

// EndRequest is the body of an END_REQUEST record (FastCGI 1.0 §5.5). php-cgi
// sends AppStatus 0 whatever the script's exit code was.
type EndRequest struct {
	AppStatus      uint32
	ProtocolStatus uint8 // 0 FCGI_REQUEST_COMPLETE, 1 CANT_MPX_CONN, 2 OVERLOADED, 3 UNKNOWN_ROLE
}

// NewConn returns a Conn on an open connection, which it owns from then on.
func NewConn(nc net.Conn) *Conn {
	if b, ok := nc.(interface{ SetWriteBuffer(int) error }); ok && runtime.GOOS != "linux" {
		// A unix socket of the BSDs and macOS buffers 8 KiB, less than inlineBody.
		// Best effort: only an early answer to a half-read small body needs it.
		_ = b.SetWriteBuffer(3 * inlineBody)
	}
	return &Conn{nc: nc, in: make([]byte, maxRecord), nextID: unguessable}
}

// Send sends a request: BEGIN_REQUEST, PARAMS, STDIN. With a body of at most
// 64 KiB all of it leaves in one write. A larger body is written by a goroutine
// while the caller is in Next; it is joined before Next returns END_REQUEST or a
// final error, and by Close. A write that fails there is not an error by itself:
// the worker may have answered without reading its input.
func (c *Conn) Send(r *Request) error {
	if c.err != nil {
		return c.err
	}
	if c.state != connIdle || c.r != c.w {
		panic("internal error: fastcgi Send on a connection that is not reusable")
	}
	length := r.BodyLen
	if r.Body == nil {
		length = 0
	} else if length < 0 {
		panic("internal error: fastcgi request with a body of unknown length")
	}
	c.id = c.nextID(c.id)
	c.out = appendRequest(c.out[:0], c.id, r)
	if length > inlineBody {
		c.begin(r)
		w := &bodyWriter{nc: c.nc, id: c.id, buf: c.out, body: r.Body, left: length, done: make(chan struct{})}
		c.writer.Store(w)
		go w.run()
		return nil
	}
	for length > 0 {
		n := min(length, alignedContent)
		var err error
		if c.out, err = appendBody(c.out, c.id, r.Body, int(n)); err != nil {
			return err // nothing was sent: the connection is as it was
		}
		length -= n
	}
	c.out = appendHeader(c.out, TypeStdin, c.id, 0)
	c.begin(r)
	if n, err := c.nc.Write(c.out); err != nil {
		return c.fail(&ConnError{Op: "send request", Unsent: n == 0, Err: err})
	}
	return nil
}

// unguessable is a request id that nobody can guess (math/rand/v2 draws from ChaCha8 with a seed of the system) and that is not the
// last one. 0 is for management records, FastCGI 1.0 §3.3.
func unguessable(last uint16) uint16 {
	for {
		if id := uint16(rand.Uint32()); id != 0 && id != last {
			return id
		}
	}
}

func (c *Conn) begin(r *Request) {
	c.state, c.keep, c.answered = connBusy, r.KeepConn, false
}

// appendRequest appends all that precedes STDIN.
func appendRequest(dst []byte, id uint16, r *Request) []byte {
	flags := byte(0)
	if r.KeepConn {
		flags = flagKeepConn
	}
	dst = appendHeader(dst, TypeBeginRequest, id, 8)
	dst = append(dst, 0, roleResponder, flags, 0, 0, 0, 0, 0)
	dst = AppendStream(dst, TypeParams, id, r.Params)
	return appendHeader(dst, TypeParams, id, 0)
}

// Next returns the next STDOUT, STDERR or END_REQUEST record, in the order the
// worker sent them. A connection that ends before END_REQUEST gives a
// *[ConnError] with io.ErrUnexpectedEOF; a record that FastCGI does not allow here
// gives a *[ProtocolError]; a body that could not be read, a *[BodyError]. These
// are final. A read deadline of the net.Conn that passes is not: Next may be
// called again.
func (c *Conn) Next() (Record, error) {
	if c.err != nil {
		return Record{}, c.err
	}
	if c.state != connBusy {
		panic("internal error: fastcgi Next without a request")
	}
	for empty := 0; ; empty++ {
		if c.w-c.r < headerSize {
			if err := c.fill(headerSize); err != nil {
				return Record{}, err
			}
		}
		h := c.in[c.r : c.r+headerSize]
		if err := checkHeader(h, c.id); err != nil {
			return Record{}, c.fail(err)
		}
		size := recordSize(h)
		if c.w-c.r < size {
			if err := c.fill(size); err != nil {
				return Record{}, err
			}
			h = c.in[c.r : c.r+headerSize] // fill may have moved it
		}
		t, end := RecordType(h[1]), c.r+size-int(h[6])
		content := c.in[c.r+headerSize : end : end]
		c.r += size
		if t == TypeEndRequest {
			return c.finish(content)
		}
		if len(content) > 0 {
			return Record{Type: t, Content: content}, nil
		}
		if empty == maxEmpty {
			return Record{}, c.fail(&ProtocolError{Type: t, Reason: "too many records without content"})
		}
	}
}

// checkHeader tells whether a worker may send a record with this header.
func checkHeader(h []byte, want uint16) error {
	t, id := RecordType(h[1]), binary.BigEndian.Uint16(h[2:])
	bad := func(reason string) error { return &ProtocolError{Type: t, Reason: reason} }
	switch {
	case h[0] != version:
		return bad("version " + strconv.Itoa(int(h[0])) + " instead of 1")
	case t != TypeStdout && t != TypeStderr && t != TypeEndRequest:
		return bad("not a record of an answer (type " + strconv.Itoa(int(t)) + ")")
	case id != want:
		return &ProtocolError{Type: t, Reason: "request id " + strconv.Itoa(int(id)) + " instead of " + strconv.Itoa(int(want)), Foreign: true}
	case t == TypeEndRequest && binary.BigEndian.Uint16(h[4:]) != endRequestSize:
		return bad("content of " + strconv.Itoa(int(binary.BigEndian.Uint16(h[4:]))) + " bytes instead of 8")
	}
	return nil
}

// fill reads until need bytes are unread. What is there moves to the front only
// when the rest would not fit behind it.
func (c *Conn) fill(need int) error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	} else if len(c.in)-c.r < need {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	for c.w-c.r < need {
		n, err := c.nc.Read(c.in[c.w:])
		c.w += n
		c.answered = c.answered || n > 0
		if err != nil && c.w-c.r < need {
			return c.readFailed(err)
		}
	}
	return nil
}

func (c *Conn) readFailed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &ConnError{Op: "read answer", Answered: c.answered, Err: err}
	}
	// A unix socket whose peer goes away with input unread, such as a killed
	// worker's, gives ECONNRESET where it would else give EOF.
	if err == io.EOF || errors.Is(err, syscall.ECONNRESET) {
		err = io.ErrUnexpectedEOF
	}
	return c.fail(&ConnError{Op: "read answer", Answered: c.answered, Err: err})
}

// fail makes err the connection's last word. A body that could not be read is
// the cause of whatever came after it, so it takes err's place.
func (c *Conn) fail(err error) error {
	var body *BodyError
	if w := c.writer.Load(); w != nil {
		var conn *ConnError
		if writeErr := w.stop(); errors.As(writeErr, &body) {
			err = body
		} else if writeErr != nil && !w.sent && errors.As(err, &conn) {
			conn.Unsent = true
		}
		c.writer.Store(nil)
	}
	c.state, c.err = connSpent, err
	return err
}

// finish ends the request at its END_REQUEST record.
func (c *Conn) finish(content []byte) (Record, error) {
	c.state = connSpent
	if c.keep {
		c.state = connIdle
	}
	if w := c.writer.Load(); w != nil {
		if w.join() != nil {
			c.state = connSpent
		}
		c.out = w.buf
		c.writer.Store(nil)
	}
	if cap(c.out) > keepBuffer {
		c.out = nil
	}
	end := EndRequest{AppStatus: binary.BigEndian.Uint32(content), ProtocolStatus: content[4]}
	return Record{Type: TypeEndRequest, End: end}, nil
}

// Buffered reports whether Next will return without reading from the connection.
func (c *Conn) Buffered() bool {
	for r := c.r; c.w-r >= headerSize; {
		h := c.in[r : r+headerSize]
		if checkHeader(h, c.id) != nil {
			return true
		}
		size := recordSize(h)
		if c.w-r < size {
			return false
		}
		if size-int(h[6]) > headerSize {
			return true
		}
		r += size // Next passes over a record without content
	}
	return false
}

// Reusable reports whether another Send may follow: the last request, if any,
// asked for KeepConn and has had its END_REQUEST, its body was taken in full, and
// no byte came after the answer.
func (c *Conn) Reusable() bool {
	return c.state == connIdle && c.err == nil && c.r == c.w
}

// NetConn returns the connection below, for deadlines.
func (c *Conn) NetConn() net.Conn { return c.nc }

// HangUp ends the connection behind what the worker has sent: Next gives that and then fails, also when another process
// holds the worker's end. What is still being sent fails. It may come from any goroutine.
func (c *Conn) HangUp() {
	if half, ok := c.nc.(interface {
		CloseRead() error
		CloseWrite() error
	}); ok { // an error means that the connection has ended
		_ = half.CloseRead()
		_ = half.CloseWrite()
	}
}

// Close closes the connection and waits for the body writer, so that the body is
// no longer read when it returns.
func (c *Conn) Close() error {
	err := c.nc.Close()
	if w := c.writer.Load(); w != nil {
		<-w.done
	}
	return err
}

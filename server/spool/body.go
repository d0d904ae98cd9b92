package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// ErrBodyTooLarge is a request body over the site's max_body_size.
var ErrBodyTooLarge = errors.New("the request body is larger than max_body_size")

// ClientError is a request that the client broke off or sent wrongly.
type ClientError struct{ err error }

func (e *ClientError) Error() string { return e.err.Error() }
func (e *ClientError) Unwrap() error { return e.err }

// Body is a request's whole body, in memory or in a file, so that a slow upload never holds a worker. The handler and each
// relay that sends it share it: a script that goes on behind its response may still read.
type Body struct {
	mem  bodyMemory
	file *bodyFile
	// Given is the file that a web server has the body in (REQUEST_BODY_FILE), which Close closes; nil: the body was received.
	Given *os.File
	// Size is the length of the whole body in bytes. Zero: it is empty.
	Size  int64
	users atomic.Int32
}

// NewBody returns a body with one user.
func NewBody() *Body {
	b := &Body{}
	b.users.Store(1)
	return b
}

// Share adds a user. Each calls Close once.
func (b *Body) Share() *Body {
	b.users.Add(1)
	return b
}

// Reader starts at the beginning: a request may be sent twice.
func (b *Body) Reader() io.Reader {
	switch {
	case b.Given != nil:
		return io.NewSectionReader(b.Given, 0, b.Size)
	case b.file != nil:
		return io.NewSectionReader(b.file, 0, b.Size)
	case len(b.mem.bytes) > 0:
		return bytes.NewReader(b.mem.bytes)
	}
	return nil
}

// Close ends one user's use, and with the last the file.
func (b *Body) Close() {
	if b.users.Add(-1) > 0 {
		return
	}
	b.mem.close()
	if b.file != nil {
		b.file.close()
	}
	if b.Given != nil {
		b.Given.Close() // it was only read
	}
}

// bodyLinger is how long the rest of a body that is not wanted may still come, so that the client gets to read the answer.
const bodyLinger = time.Second

// Receive reads a request's body to its end. client is who is charged for it, limit is max_body_size, 0 for none, and pause how long
// the client may send nothing. Its errors are ErrBodyTooLarge, ErrBodiesFull, a ClientError, or the disk's.
func (s *Spools) Receive(w http.ResponseWriter, client netip.Addr, r *http.Request, limit int64, pause time.Duration) (*Body, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return NewBody(), nil
	}
	control := http.NewResponseController(w)
	b, err := s.read(control, client, r, limit, pause)
	var deadline time.Time
	if err != nil {
		deadline = time.Now().Add(bodyLinger) // net/http goes on to read
	}
	_ = control.SetReadDeadline(deadline) // a connection that is gone needs no deadline
	return b, err
}

// read is Receive with a body. It leaves a read deadline behind.
func (s *Spools) read(control *http.ResponseController, client netip.Addr, r *http.Request, limit int64, pause time.Duration) (*Body, error) {
	if limit == 0 {
		limit = s.Bodies.limit
	}
	switch { // before a byte is read: no 100-continue is sent
	case limit > 0 && r.ContentLength > limit:
		return nil, ErrBodyTooLarge
	case r.ContentLength > s.cfg.Memory && !s.Bodies.room(client, r.ContentLength):
		return nil, ErrBodiesFull
	}
	in := &pausingReader{r: r.Body, control: control, pause: pause, left: limit, start: time.Now(), over: r.Context().Done()}
	// A read that waits is to end with its request, also where the connection does not.
	defer context.AfterFunc(r.Context(), func() { _ = control.SetReadDeadline(time.Unix(1, 0)) })()
	b := NewBody()
	if err := s.Fill(b, in, r.ContentLength, client); err != nil {
		b.Close()
		return nil, BodyError(err)
	}
	return b, nil
}

// Fill reads a body to its end; length is what was announced, 0 or less if nothing was.
func (s *Spools) Fill(b *Body, in io.Reader, length int64, client netip.Addr) error {
	want := s.cfg.Memory
	if length > 0 && length <= want {
		want = length
	}
	b.mem.client, b.mem.budget = client, &s.Memory
	whole, err := b.mem.read(in, want)
	switch {
	case err == io.EOF && length <= 0 || err == nil && whole && length == want:
		b.Size = int64(len(b.mem.bytes))
		return nil
	case err != nil:
		return err
	}
	if b.file, err = s.newFile(client); err != nil {
		return err
	}
	begin := b.mem.bytes
	b.Size, err = io.Copy(bodyWriter{b.file}, io.MultiReader(bytes.NewReader(begin), in))
	b.mem.close()
	return err
}

// bodyMemory is what of a body is in memory.
type bodyMemory struct {
	bytes  []byte
	client netip.Addr
	budget *Budget
	taken  int64 // of the budget
}

// freeBody is how much memory a body may take that is not counted, in bytes.
const freeBody = 16 << 10

// read reads want bytes, or less and io.EOF, or less where the budget allows no more: whole says that it is not so. The memory grows
// with what arrives: what a client only announces costs nothing.
func (m *bodyMemory) read(in io.Reader, want int64) (whole bool, err error) {
	m.bytes = make([]byte, 0, min(want, 4<<10))
	for {
		n, err := in.Read(m.bytes[len(m.bytes):cap(m.bytes)])
		m.bytes = m.bytes[:len(m.bytes)+n]
		if int64(len(m.bytes)) == want && (err == nil || err == io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if len(m.bytes) < cap(m.bytes) {
			continue
		}
		size := min(want, 4*int64(cap(m.bytes)))
		if size > freeBody {
			if !m.budget.Take(m.client, size-m.taken) {
				return false, nil
			}
			m.taken = size
		}
		m.bytes = append(make([]byte, 0, size), m.bytes...)
	}
}

// close gives the memory back.
func (m *bodyMemory) close() {
	m.bytes = nil
	if m.taken > 0 {
		m.budget.Give(m.client, m.taken)
		m.taken = 0
	}
}

// BodyError tells the client's failures from our own.
func BodyError(err error) error {
	var pathError *os.PathError
	switch {
	case errors.Is(err, ErrBodyTooLarge), errors.Is(err, ErrBodiesFull):
		return err
	case errors.As(err, &pathError):
		return fmt.Errorf("cannot write the spool file: %v", err)
	}
	return &ClientError{fmt.Errorf("cannot read the request body: %w", err)}
}

// minBodyRate is what a body must make on the whole once timeouts.body is over, in bytes per second: a client that sends one
// byte within each pause would never end.
const minBodyRate = 1 << 10

// errBodySlow is a body below minBodyRate.
var errBodySlow = fmt.Errorf("less than %d bytes per second: %w", minBodyRate, os.ErrDeadlineExceeded)

// pausingReader allows each read its pause, and the whole a limit and a time that grows with what has arrived.
type pausingReader struct {
	r       io.Reader
	control *http.ResponseController
	pause   time.Duration
	left    int64 // 0 at the beginning: no limit; then counted down below zero
	read    int64
	start   time.Time
	over    <-chan struct{} // closed at the end of the request
}

func (p *pausingReader) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.pause)) // unsupported only in tests without a connection
	select {
	case <-p.over: // whose own deadline this one may have undone
		return 0, context.Canceled
	default:
	}
	n, err := p.r.Read(b)
	p.read += int64(n)
	if p.left > 0 && p.read > p.left {
		return 0, ErrBodyTooLarge
	}
	if err == nil && time.Since(p.start) > p.pause+time.Duration(p.read/minBodyRate)*time.Second {
		return 0, errBodySlow
	}
	return n, err
}

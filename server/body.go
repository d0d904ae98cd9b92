package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// errBodyTooLarge is a request body over the site's max_body_size.
var errBodyTooLarge = errors.New("the request body is larger than max_body_size")

// clientError is a request that the client broke off or sent wrongly.
type clientError struct{ err error }

func (e *clientError) Error() string { return e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// body is a request's whole body, in memory or in a file, so that a slow upload never holds a worker. The handler and each
// relay that sends it share it: a script that goes on behind its response may still read.
type body struct {
	mem   []byte
	file  *bodyFile
	given *os.File // of the web server: REQUEST_BODY_FILE
	size  int64
	users atomic.Int32
}

// newBody returns a body with one user.
func newBody() *body {
	b := &body{}
	b.users.Store(1)
	return b
}

// share adds a user. Each calls close once.
func (b *body) share() *body {
	b.users.Add(1)
	return b
}

// reader starts at the beginning: a request may be sent twice.
func (b *body) reader() io.Reader {
	switch {
	case b.given != nil:
		return io.NewSectionReader(b.given, 0, b.size)
	case b.file != nil:
		return io.NewSectionReader(b.file, 0, b.size)
	case len(b.mem) > 0:
		return bytes.NewReader(b.mem)
	}
	return nil
}

// close ends one user's use, and with the last the file.
func (b *body) close() {
	if b.users.Add(-1) > 0 {
		return
	}
	if b.file != nil {
		b.file.close()
	}
	if b.given != nil {
		b.given.Close() // it was only read
	}
}

// bodyLinger is how long the rest of a body that is not wanted may still come, so that the client gets to read the answer.
const bodyLinger = time.Second

// spoolBody reads the request's body to its end. limit is max_body_size, 0 for none.
func spoolBody(w http.ResponseWriter, r *http.Request, c *Config, budget *bodyBudget, limit int64) (*body, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return newBody(), nil
	}
	control := http.NewResponseController(w)
	b, err := readBody(control, r, c, budget, limit)
	var deadline time.Time
	if err != nil {
		deadline = time.Now().Add(bodyLinger) // net/http goes on to read
	}
	_ = control.SetReadDeadline(deadline) // a connection that is gone needs no deadline
	return b, err
}

// readBody is spoolBody with a body. It leaves a read deadline behind.
func readBody(control *http.ResponseController, r *http.Request, c *Config, budget *bodyBudget, limit int64) (*body, error) {
	b := newBody()
	if limit == 0 {
		limit = budget.limit
	}
	switch { // before a byte is read: no 100-continue is sent
	case limit > 0 && r.ContentLength > limit:
		return nil, errBodyTooLarge
	case r.ContentLength > c.SpoolMemory && !budget.room(r.ContentLength):
		return nil, errBodiesFull
	}
	in := &pausingReader{r: r.Body, control: control, pause: c.BodyTimeout, left: limit, start: time.Now()}
	want := c.SpoolMemory
	if n := r.ContentLength; n > 0 && n <= want {
		want = n
	}
	mem, err := readMemory(in, want)
	switch {
	case err == io.EOF && r.ContentLength <= 0 || err == nil && r.ContentLength == want:
		b.mem, b.size = mem, int64(len(mem))
		return b, nil
	case err != nil:
		return nil, bodyError(err)
	}
	if b.file, err = newBodyFile(c.SpoolDir, budget); err != nil {
		return nil, err
	}
	if b.size, err = io.Copy(bodyWriter{b.file}, io.MultiReader(bytes.NewReader(mem), in)); err != nil {
		b.close()
		return nil, bodyError(err)
	}
	return b, nil
}

// readMemory reads want bytes, or less and io.EOF. The memory grows with what arrives: what a client only announces costs
// nothing.
func readMemory(in io.Reader, want int64) ([]byte, error) {
	mem := make([]byte, 0, min(want, 4<<10))
	for {
		n, err := in.Read(mem[len(mem):cap(mem)])
		mem = mem[:len(mem)+n]
		if int64(len(mem)) == want && (err == nil || err == io.EOF) {
			return mem, nil
		}
		if err != nil {
			return mem, err
		}
		if len(mem) == cap(mem) {
			mem = append(make([]byte, 0, min(want, 4*int64(cap(mem)))), mem...)
		}
	}
}

// bodyError tells the client's failures from our own.
func bodyError(err error) error {
	var pathError *os.PathError
	switch {
	case errors.Is(err, errBodyTooLarge), errors.Is(err, errBodiesFull):
		return err
	case errors.As(err, &pathError):
		return fmt.Errorf("cannot write the spool file: %v", err)
	}
	return &clientError{fmt.Errorf("cannot read the request body: %w", err)}
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
}

func (p *pausingReader) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.pause)) // unsupported only in tests without a connection
	n, err := p.r.Read(b)
	p.read += int64(n)
	if p.left > 0 && p.read > p.left {
		return 0, errBodyTooLarge
	}
	if err == nil && time.Since(p.start) > p.pause+time.Duration(p.read/minBodyRate)*time.Second {
		return 0, errBodySlow
	}
	return n, err
}

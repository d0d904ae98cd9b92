package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// errBodyTooLarge is a request body over the site's max_body_size.
var errBodyTooLarge = errors.New("the request body is larger than max_body_size")

// clientError is a request that the client broke off or sent wrongly.
type clientError struct{ err error }

func (e *clientError) Error() string { return e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// body is a request's whole body, in memory or in a file, so that a slow upload never holds a worker.
type body struct {
	mem  []byte
	file *os.File
	size int64
}

// reader starts at the beginning: a request may be sent twice.
func (b *body) reader() io.Reader {
	switch {
	case b.file != nil:
		return io.NewSectionReader(b.file, 0, b.size)
	case len(b.mem) > 0:
		return bytes.NewReader(b.mem)
	}
	return nil
}

func (b *body) close() {
	if b.file != nil {
		b.file.Close()
	}
}

// spoolBody reads the request's body to its end. limit is max_body_size, 0 for none.
func spoolBody(w http.ResponseWriter, r *http.Request, c *Config, limit int64) (*body, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return &body{}, nil
	}
	if limit > 0 && r.ContentLength > limit {
		return nil, errBodyTooLarge // before a byte is read: no 100-continue is sent
	}
	control := http.NewResponseController(w)
	defer control.SetReadDeadline(time.Time{}) //nolint:errcheck // a connection that is gone needs no deadline
	in := &pausingReader{r: r.Body, control: control, pause: c.BodyTimeout, left: limit}
	b := &body{}
	if n := r.ContentLength; n > 0 && n <= c.SpoolMemory {
		b.mem = make([]byte, n)
		if _, err := io.ReadFull(in, b.mem); err != nil {
			return nil, bodyError(err)
		}
		b.size = n
		return b, nil
	}
	var mem bytes.Buffer
	n, err := io.CopyN(&mem, in, c.SpoolMemory)
	if err == io.EOF {
		b.mem, b.size = mem.Bytes(), n
		return b, nil
	}
	if err != nil {
		return nil, bodyError(err)
	}
	if b.file, err = spoolFile(c.SpoolDir); err != nil {
		return nil, err
	}
	if _, err = b.file.Write(mem.Bytes()); err == nil {
		var more int64
		more, err = io.Copy(writerOnly{b.file}, in)
		b.size = n + more
	}
	if err != nil {
		b.close()
		return nil, bodyError(err)
	}
	return b, nil
}

// writerOnly hides the file's ReadFrom, which would not see the deadlines of pausingReader.
type writerOnly struct{ io.Writer }

// bodyError tells the client's failures from our own.
func bodyError(err error) error {
	var pathError *os.PathError
	switch {
	case errors.Is(err, errBodyTooLarge):
		return err
	case errors.As(err, &pathError):
		return fmt.Errorf("cannot write the spool file: %v", err)
	}
	return &clientError{fmt.Errorf("cannot read the request body: %w", err)}
}

// pausingReader allows each read its pause and the whole a limit.
type pausingReader struct {
	r       io.Reader
	control *http.ResponseController
	pause   time.Duration
	left    int64 // 0 at the beginning: no limit; then counted down below zero
	read    int64
}

func (p *pausingReader) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.pause)) // unsupported only in tests without a connection
	n, err := p.r.Read(b)
	p.read += int64(n)
	if p.left > 0 && p.read > p.left {
		return 0, errBodyTooLarge
	}
	return n, err
}

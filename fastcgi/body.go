package fastcgi

import (
	"io"
	"net"
	"slices"
	"time"
)

// bodyGrace is how long the worker may take, after its END_REQUEST, to read what
// is left of the body. php-cgi reads the rest before it sends END_REQUEST
// (php-src main/SAPI.c:sapi_deactivate), so this only waits for our goroutine.
const bodyGrace = 100 * time.Millisecond

// bodyWriter writes one request with a large body.
type bodyWriter struct {
	nc   net.Conn
	id   uint16
	buf  []byte // what precedes the body; reused for its records
	body io.Reader
	left int64
	done chan struct{} // closed when run has returned; err and buf may be read then
	err  error
	sent bool // a byte was written; as err
}

func (w *bodyWriter) run() {
	defer close(w.done)
	if w.err = w.write(); w.err != nil && isBodyError(w.err) {
		// The worker would wait for the rest for ever, and Next for the worker.
		_ = w.nc.Close()
	}
}

func (w *bodyWriter) write() error {
	for {
		for w.left > 0 && len(w.buf) < inlineBody {
			n := min(w.left, alignedContent)
			var err error
			if w.buf, err = appendBody(w.buf, w.id, w.body, int(n)); err != nil {
				return err
			}
			w.left -= n
		}
		last := w.left == 0
		if last {
			w.buf = appendHeader(w.buf, TypeStdin, w.id, 0)
		}
		n, err := w.nc.Write(w.buf)
		w.sent = w.sent || n > 0
		if err != nil || last {
			return err
		}
		w.buf = w.buf[:0]
	}
}

// join waits for the writer to end by itself, then makes it.
func (w *bodyWriter) join() error {
	timer := time.NewTimer(bodyGrace)
	defer timer.Stop()
	select {
	case <-w.done:
		return w.err
	case <-timer.C:
		return w.stop()
	}
}

// stop ends the writer. It leaves a write deadline in the past behind.
func (w *bodyWriter) stop() error {
	_ = w.nc.SetWriteDeadline(time.Unix(1, 0)) // fails only on a closed connection, which ends the writer too
	<-w.done
	return w.err
}

// appendBody appends one STDIN record of n bytes of body.
func appendBody(dst []byte, id uint16, body io.Reader, n int) ([]byte, error) {
	dst = slices.Grow(dst, headerSize+n+headerSize)
	dst = appendHeader(dst, TypeStdin, id, n)
	start := len(dst)
	dst = dst[:start+n]
	if _, err := io.ReadFull(body, dst[start:]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return dst, &BodyError{Err: err}
	}
	return dst, nil
}

func isBodyError(err error) bool {
	_, ok := err.(*BodyError)
	return ok
}

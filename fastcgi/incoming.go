package fastcgi

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// Incoming is a request of a web server.
type Incoming struct {
	// Params are the encoded pairs, see [NextParam]; valid until the following Accept.
	Params []byte
	// Role is 1 for a responder, 2 for an authorizer, 3 for a filter (FastCGI 1.0 §6).
	Role uint16
	// KeepConn is FCGI_KEEP_CONN: the web server wants the connection to stay open.
	KeepConn bool

	r *Responder
}

// ErrAborted says that the web server gave up on a request, by ABORT_REQUEST (FastCGI 1.0 §5.4).
var ErrAborted = errors.New("the web server aborted the request")

// Body reads STDIN (FastCGI 1.0 §6.2). It fails with [ErrAborted], with io.ErrUnexpectedEOF where the connection ends before
// the stream does, with a *[RequestError], or where nothing comes for five minutes.
func (in *Incoming) Body() io.Reader { return (*incomingBody)(in.r) }

type incomingBody Responder

func (b *incomingBody) Read(p []byte) (int, error) {
	r := (*Responder)(b)
	if r.in.Buffered() == 0 && !r.over && !r.aborted {
		if err := r.nc.SetReadDeadline(time.Now().Add(bodyPause)); err != nil {
			return 0, noEOF(err)
		}
		defer r.nc.SetReadDeadline(time.Time{}) //nolint:errcheck // a connection that has ended needs none
	}
	for r.content == 0 {
		if r.aborted {
			return 0, ErrAborted
		}
		if r.over {
			return 0, io.EOF
		}
		t, err := r.next()
		switch {
		case err != nil:
			return 0, noEOF(err)
		case t == TypeStdin && r.content == 0:
			r.over = true
		case t == TypeData:
			err = r.skip()
		case t != TypeStdin:
			err = &RequestError{Type: t, Reason: "the request's body has not ended"}
		}
		if err != nil {
			return 0, noEOF(err)
		}
	}
	n, err := r.in.Read(p[:min(len(p), r.content)])
	r.content -= n
	return n, noEOF(err)
}

// OnAbort calls cancel when the web server aborts the request or closes the connection. It is called when Body is no longer
// read; stop ends it, and waits until it has ended.
func (in *Incoming) OnAbort(cancel func()) (stop func()) {
	r, done := in.r, make(chan struct{})
	stopping := make(chan struct{})
	go func() {
		defer close(done)
		if r.gone() {
			select {
			case <-stopping:
			default:
				cancel()
			}
		}
	}()
	return func() {
		close(stopping)
		_ = r.nc.SetReadDeadline(time.Unix(1, 0)) // an error means that the connection has ended, and so has gone
		<-done
		_ = r.nc.SetReadDeadline(time.Time{})
	}
}

// gone reads until the web server gives up (true) or sends something else than the rest of this request's body, such as its
// next request (false).
func (r *Responder) gone() bool {
	for {
		if r.skip() != nil {
			return true
		}
		h, err := r.in.Peek(headerSize)
		if err != nil {
			return true
		}
		t := RecordType(h[1])
		if h[0] != version || binary.BigEndian.Uint16(h[2:]) != r.id || t != TypeStdin && t != TypeData && t != TypeAbortRequest {
			return false
		}
		if _, _, err := r.header(); err != nil {
			return true
		}
		switch {
		case t == TypeAbortRequest:
			r.aborted, r.over = true, true
			return true
		case t == TypeStdin && r.content == 0:
			r.over = true
		}
	}
}

// Aborted reports whether the web server sent ABORT_REQUEST: it waits for END_REQUEST (FastCGI 1.0 §5.4), unlike one that has
// closed the connection.
func (in *Incoming) Aborted() bool { return in.r.aborted }

// WriteStdout adds to the answer. What is written may stay in a buffer until Flush, End, or until much has come together.
func (in *Incoming) WriteStdout(p []byte) error { return in.r.stream(TypeStdout, p) }

// WriteStderr adds to what the web server logs of the request; it is buffered as WriteStdout.
func (in *Incoming) WriteStderr(p []byte) error { return in.r.stream(TypeStderr, p) }

// Flush sends what is in the buffer.
func (in *Incoming) Flush() error { return in.r.Flush() }

// End ends the answer (FastCGI 1.0 §5.5) and sends what is in the buffer.
func (in *Incoming) End(appStatus uint32, protocolStatus uint8) error {
	in.r.end(in.r.id, appStatus, protocolStatus)
	return in.r.Flush()
}

// Break ends the connection without an end of the answer, which a web server takes for a failure.
func (in *Incoming) Break() {
	in.r.broken = true
	in.r.nc.Close()
}

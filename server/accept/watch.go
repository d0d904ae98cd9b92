package accept

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// Watch sees the bytes of an HTTP/1 connection on their way to and from net/http, and does what net/http cannot: it tells the
// access log about requests that net/http refuses by itself, answers 408 to those that are not complete in time, and gives the
// response the reason phrase of the script.
type Watch struct {
	conn    net.Conn // to write to
	slot    *Slot
	refused Refusal

	mu      sync.Mutex // guards the fields below: net/http reads while a handler runs
	handled bool       // a handler has the request: what is written is no refusal of net/http
	body    bool       // it has a body: what is read is not of the next request
	slow    bool       // the deadline for the head has passed
	head    []byte     // what has come of the next request, its beginning
	status  int        // that reason is for; 0: every response has that of net/http
	reason  string
}

// maxWatchedHead is how much of a head is kept for the log, in bytes.
const maxWatchedHead = 2 << 10

// read notes what was read.
func (w *Watch) read(p []byte, n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	talks := false
	switch {
	case n > 0 && (!w.handled || !w.body):
		talks = len(w.head) == 0
		w.head = append(w.head, p[:min(n, maxWatchedHead-len(w.head))]...)
	case n > 0 && len(p) == 1: // net/http looks for the client's leaving behind the body (connReader.backgroundRead)
		w.head = append(w.head[:0], p[0])
	}
	if talks && !w.handled {
		w.slot.Talk()
	}
	if err != nil && !w.handled {
		w.slow = errors.Is(err, os.ErrDeadlineExceeded)
	}
}

// Begin notes that a handler has the request; false says that the connection is being closed.
func (w *Watch) Begin(body bool) bool {
	w.mu.Lock()
	w.handled, w.body = true, body
	_, rest, _ := bytes.Cut(w.head, []byte("\n\r\n"))
	if body {
		rest = nil
	}
	w.head = append(w.head[:0], rest...)
	w.status, w.reason = 0, ""
	w.mu.Unlock()
	return w.slot.Busy()
}

// end notes that the request is over.
func (w *Watch) end() {
	w.mu.Lock()
	w.handled = false
	w.mu.Unlock()
	w.slot.Rest()
}

// SetReason gives the next response of a status its reason phrase. Where neither the script nor HTTP has one the response has none
// (RFC 9112 §4), as with nginx; net/http would make one up.
func (w *Watch) SetReason(status int, reason string) {
	if text := http.StatusText(status); w != nil && (text == "" || reason != "" && reason != text) {
		w.mu.Lock()
		w.status, w.reason = status, reason
		w.mu.Unlock()
	}
}

// write sees what net/http is about to write and returns what is to be written in its place.
func (w *Watch) write(p []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handled && w.status == 0 {
		return p
	}
	status := statusLine(p)
	switch {
	case status == 0:
	case !w.handled:
		if w.slow { // what was there by then made no sense to net/http
			status, p = http.StatusRequestTimeout, []byte(lateAnswer)
		}
		w.refused(w.conn.RemoteAddr(), status, w.head)
		w.head = w.head[:0]
	case status == w.status:
		_, rest, found := bytes.Cut(p, []byte("\r\n"))
		if found {
			const before = len("HTTP/1.1 200 ")
			line := append(append(make([]byte, 0, len(p)+len(w.reason)), p[:before]...), w.reason...)
			p = append(append(line, "\r\n"...), rest...)
		}
		w.status = 0
	}
	return p
}

// lateAnswer is what a request gets whose head is not complete in time.
const lateAnswer = "HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n408 Request Timeout"

// lateTimeout bounds the writing of lateAnswer to a client that does not read.
const lateTimeout = time.Second

// close is for when net/http closes the connection. One on which nothing has come was idle.
func (w *Watch) close() {
	w.mu.Lock()
	late := w.slow && !w.handled && len(bytes.Trim(w.head, "\r\n")) > 0
	if late {
		w.refused(w.conn.RemoteAddr(), http.StatusRequestTimeout, w.head)
		w.head = nil
	}
	w.mu.Unlock()
	if late {
		_ = w.conn.SetWriteDeadline(time.Now().Add(lateTimeout))
		_, _ = io.WriteString(w.conn, lateAnswer) // a client that has gone misses nothing
	}
	w.slot.Leave()
}

// statusLine is the status of a response that begins with p; 0: none begins there.
func statusLine(p []byte) int {
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

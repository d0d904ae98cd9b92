package server

import (
	"io"
	"net/http"
	"net/netip"
	"time"
)

// exchange is one request with all that is learned about it on the way; it is also the ResponseWriter that the handlers
// see, because it counts what is sent.
type exchange struct {
	http.ResponseWriter
	conn   *clientConn // nil for HTTPS
	start  time.Time
	id     string         // request id
	peer   netip.AddrPort // who is at the other end of the connection
	client netip.Addr     // who asks: the peer, or whom a trusted proxy names
	https  bool
	host   string // host of the request, without port
	site   *site
	close  bool // the connection ends with this response

	status int
	bytes  int64
	err    error // why the answer is an error, if it is

	// Of a request that reached PHP.
	pool      string
	script    string
	pid       int
	queueTime time.Duration
	phpTime   time.Duration
	stderr    string // what PHP said, for the error page
	user      string // REMOTE_USER of the log: the name in Basic credentials
}

func (x *exchange) WriteHeader(status int) {
	if status >= 200 {
		x.begin(status)
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	x.begin(http.StatusOK)
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}

// ReadFrom keeps sendfile(2) possible for static files.
func (x *exchange) ReadFrom(r io.Reader) (int64, error) {
	x.begin(http.StatusOK)
	n, err := io.Copy(x.ResponseWriter, r)
	x.bytes += n
	return n, err
}

// begin notes the status of a response whose head is about to be sent.
func (x *exchange) begin(status int) {
	if x.status != 0 {
		return
	}
	x.status = status
	if x.close {
		x.Header()["Connection"] = []string{"close"}
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// sent says whether anything of the response is on its way.
func (x *exchange) sent() bool { return x.status != 0 }

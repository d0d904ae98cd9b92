package server

import (
	"io"
	"math"
	"net/http"
	"net/netip"
	"time"

	"github.com/phpserve/phpserve/server/accept"
	"github.com/phpserve/phpserve/server/accesslog"
	"github.com/phpserve/phpserve/server/metrics"
	"github.com/phpserve/phpserve/server/site"
)

// exchange is one request with all that is learned about it on the way; it is also the ResponseWriter that the handlers
// see, because it counts what is sent.
type exchange struct {
	http.ResponseWriter
	conn   *accept.Conn  // nil for HTTPS; it sets its write deadlines by itself
	watch  *accept.Watch // nil for HTTP/2
	start  time.Time
	id     string         // request id
	peer   netip.AddrPort // who is at the other end of the connection
	client netip.Addr     // who asks: the peer, or whom a trusted proxy names
	key    netip.Addr     // peer.Key of client
	https  bool
	host   string // host of the request, without port
	site   *site.Site
	php    *poolSlot // of the site
	close  bool      // the connection ends with this response
	// atMachine: the request is from somebody who sits at this machine.
	atMachine bool
	timed     bool // a write deadline is set

	writeTimeout time.Duration // timeouts.write

	status int
	bytes  int64
	err    error // why the answer is an error, if it is
	broken bool  // a part of the response could not be sent

	// Of a request that reached PHP.
	pool   string
	script string
	// scriptName is SCRIPT_NAME, clientText REMOTE_ADDR.
	scriptName, clientText string
	pid                    int
	queueTime              time.Duration
	phpTime                time.Duration
	stderr                 string // what PHP said, for the error page
	user                   string // REMOTE_USER of the log: the name in Basic credentials

	metrics *metrics.Pool // nil: nothing is recorded
}

func (x *exchange) WriteHeader(status int) {
	if status >= 200 {
		x.begin(status)
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	x.begin(http.StatusOK)
	if !x.timed {
		x.allowWrite()
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	x.broken = x.broken || err != nil
	return n, err
}

// sendPiece is how much of a static file a client must accept within timeouts.write, in bytes.
const sendPiece = 256 << 10

// ReadFrom keeps sendfile(2) possible for static files, which only unwraps one io.LimitedReader (net/sendfile.go). It sends
// in pieces, because timeouts.write is for a part and not for the whole of a large file.
func (x *exchange) ReadFrom(r io.Reader) (total int64, err error) {
	x.begin(http.StatusOK)
	whole, ok := r.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	for whole.N > 0 && err == nil {
		x.allowWrite()
		piece := &io.LimitedReader{R: whole.R, N: min(whole.N, sendPiece)}
		var n int64
		n, err = io.Copy(x.ResponseWriter, piece)
		x.bytes, total, whole.N = x.bytes+n, total+n, whole.N-n
		if piece.N > 0 {
			break // the end of the file, or of the client
		}
	}
	x.broken = x.broken || err != nil
	return total, err
}

// allowWrite gives the client its time for the next part of the response.
func (x *exchange) allowWrite() { x.setWriteDeadline(time.Now().Add(x.writeTimeout)) }

// pauseWrite takes the deadline off while there is nothing to write. Over HTTP/2 the stream would be reset all the same.
func (x *exchange) pauseWrite() { x.setWriteDeadline(time.Time{}) }

func (x *exchange) setWriteDeadline(t time.Time) {
	x.timed = !t.IsZero()
	if x.conn == nil {
		// Unsupported by nothing that the server is run with.
		_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(t)
	}
}

// end gives the client its time for what net/http writes after the handler. Over HTTP/2 that is a body whose Write has set
// the deadline, or what no flow control holds up; a deadline that reaches a stream after its end would keep it in memory.
func (x *exchange) end(r *http.Request) {
	if r.ProtoMajor == 1 {
		x.allowWrite()
	}
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

// entry is what the access log tells of the request.
func (x *exchange) entry() accesslog.Entry {
	return accesslog.Entry{
		Client: x.client, User: x.user, Start: x.start, Status: x.status, Bytes: x.bytes, ID: x.id,
		Pool: x.pool, Script: x.script, PID: x.pid, QueueTime: x.queueTime, PHPTime: x.phpTime, Err: x.err,
	}
}

package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
)

// headLimit is the most that a script's response head may take, in bytes.
const headLimit = 64 << 10

// relay carries one request to one worker and its response back. The worker is drained as fast as it writes: a response
// that is complete at once is sent by the handler alone, any other by the handler out of a spool that a goroutine fills.
type relay struct {
	s      *Server
	x      *exchange
	r      *http.Request
	worker *manager.Worker
	conn   *fastcgi.Conn
	token  []byte

	head     fastcgi.Head
	headDone bool
	raw      []byte // STDOUT so far: the head, then what follows it
	bodyAt   int    // where in raw the head ends
	finished bool   // the script called fastcgi_finish_request()
	ended    bool   // END_REQUEST was seen
	stderr   []byte // since the last message was logged
	stderrN  int    // bytes of FCGI_STDERR in all
	said     string // the beginning of FCGI_STDERR, for the error page

	timedOut atomic.Bool
	timer    *time.Timer
	abort    aborter
	started  time.Time

	gatherUntil time.Time // when streaming begins at the latest; zero before the head is there
}

// aborter breaks a connection out of its read when the client has gone.
type aborter struct {
	mu   sync.Mutex
	conn *fastcgi.Conn
	off  bool
	hit  bool
	stop func() bool
}

func (a *aborter) arm(ctx context.Context, conn *fastcgi.Conn) {
	a.conn = conn
	a.stop = context.AfterFunc(ctx, a.fire)
}

func (a *aborter) fire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.off {
		a.hit = true
		_ = a.conn.NetConn().SetDeadline(time.Unix(1, 0)) // only a closed connection refuses, and that is as good
	}
}

// setReadDeadline sets the connection's deadline, unless the client's going has set it for good.
func (a *aborter) setReadDeadline(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.hit {
		_ = a.conn.NetConn().SetReadDeadline(t) // as in fire
	}
}

// disarm lets the request go on whatever the client does.
func (a *aborter) disarm() {
	a.stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.off = true
	if a.hit {
		_ = a.conn.NetConn().SetDeadline(time.Time{}) // as in fire
	}
}

// errClientGone is a client that did not wait for its response.
var errClientGone = errors.New("the client closed the connection")

// errScript is a script that PHP ended with an error and that had nothing to show for it, which only a developer may see
// explained.
var errScript = errors.New("the script ended with an error")

// errTerminated is a request that ran into request_terminate_timeout.
var errTerminated = errors.New("the script ran longer than request_terminate_timeout")

// workerError is a worker that did not finish its request.
type workerError struct {
	err    error
	unsent bool // the worker had not taken a byte of the request: even an unsafe one may be repeated
	how    string
}

func (e *workerError) Error() string {
	if e.how != "" {
		return "the worker " + e.how
	}
	return e.err.Error()
}
func (e *workerError) Unwrap() error { return e.err }

// run sends the request and delivers the response. Its error is nil once a response is delivered or on its way; then
// x.err may still say that it was cut short.
func (y *relay) run(req *fastcgi.Request) error {
	y.started = time.Now()
	y.abort.arm(y.r.Context(), y.conn)
	if limit := y.s.terminateTimeout(y.x.site); limit > 0 {
		y.timer = time.AfterFunc(limit, func() {
			y.timedOut.Store(true)
			y.worker.Kill("request_terminate_timeout")
		})
	}
	if err := y.conn.Send(req); err != nil {
		return y.fail(y.readError(err))
	}
	y.s.awaitAnswer(y.conn, req)
	for !y.headDone || !y.complete() && len(y.raw) < gatherLimit && y.moreSoon() {
		err := y.step(y.collect)
		if y.gathered(err) {
			break
		}
		if err != nil {
			return y.fail(err)
		}
		if y.ended && !y.headDone {
			return y.fail(&fastcgi.HeadError{Reason: "the script ended before its response head was complete"})
		}
	}
	if !y.gatherUntil.IsZero() {
		y.abort.setReadDeadline(time.Time{})
	}
	switch {
	case y.ended:
		y.release(manager.Done)
		y.x.phpTime = time.Since(y.started)
		if y.head.Status == http.StatusInternalServerError && len(y.raw) == y.bodyAt && y.s.helpful(y.x) {
			return errScript
		}
		return y.deliver()
	case y.finished:
		y.x.phpTime = time.Since(y.started)
		y.detach()
		y.s.tails.Go(func() { y.tail(nil) })
		return y.deliver()
	}
	return y.stream()
}

const (
	// gatherTime is how long the handler waits for the rest of a response before it begins to stream what is there. It is
	// too short to be noticed, but most pages are complete by then and leave with their length, in one piece.
	gatherTime = time.Millisecond
	// gatherLimit is how much of a response is gathered, in bytes.
	gatherLimit = 256 << 10
)

// moreSoon waits for the next record, gatherTime in all.
func (y *relay) moreSoon() bool {
	if y.conn.Buffered() {
		return true
	}
	if y.gatherUntil.IsZero() {
		y.gatherUntil = time.Now().Add(gatherTime)
		y.abort.setReadDeadline(y.gatherUntil)
	}
	return true
}

// gathered says whether err is only the end of gatherTime.
func (y *relay) gathered(err error) bool {
	return !y.gatherUntil.IsZero() && errors.Is(err, os.ErrDeadlineExceeded) && !y.timedOut.Load() && !y.abort.hitNow()
}

// complete says whether all of the response that the client gets is there.
func (y *relay) complete() bool { return y.ended || y.finished }

// step handles the worker's next record; stdout takes what is for the client.
func (y *relay) step(stdout func([]byte) error) error {
	rec, err := y.conn.Next()
	if err != nil {
		return y.readError(err)
	}
	switch rec.Type {
	case fastcgi.TypeStdout:
		if !y.finished {
			return stdout(rec.Content)
		}
		if !y.headDone { // the response is empty: what comes with its head is dropped
			err := y.collect(rec.Content)
			if y.headDone {
				y.raw = y.raw[:y.bodyAt]
			}
			return err
		}
	case fastcgi.TypeStderr:
		y.takeStderr(rec.Content)
	case fastcgi.TypeEndRequest:
		y.ended = true
	}
	return nil
}

// collect gathers STDOUT until the head is complete and behind it.
func (y *relay) collect(p []byte) error {
	y.raw = append(y.raw, p...)
	if y.headDone {
		return nil
	}
	head, n, done, err := fastcgi.ParseHead(y.raw, headLimit)
	if err != nil || !done {
		return err
	}
	y.head, y.headDone, y.bodyAt = head, true, n
	return nil
}

// takeStderr looks for the end of the response among the script's messages and logs these.
func (y *relay) takeStderr(p []byte) {
	if before, after, ok := bytes.Cut(p, y.token); ok {
		y.finished = true
		p = append(bytes.Clone(before), bytes.TrimLeft(after, "\n")...)
	}
	room := stderrLimit - y.stderrN
	y.stderrN += len(p)
	switch {
	case room <= 0:
		return
	case len(p) > room:
		p = append(bytes.Clone(p[:room]), " [more was dropped]\n"...)
	}
	y.stderr = append(y.stderr, p...)
	if end := bytes.LastIndexByte(y.stderr, '\n'); end >= 0 && !y.conn.Buffered() {
		y.flushStderr()
	}
}

// flushStderr logs what the script said and keeps its beginning.
func (y *relay) flushStderr() {
	if len(y.stderr) == 0 {
		return
	}
	text := string(y.stderr)
	y.stderr = y.stderr[:0]
	logPHP(y.s.log, y.x, text)
	if room := saidLimit - len(y.said); room > 0 {
		y.said += text[:min(room, len(text))]
	}
}

// readError says what the failure of the connection means.
func (y *relay) readError(err error) error {
	switch {
	case y.timedOut.Load():
		return errTerminated
	case y.abort.hitNow():
		return errClientGone
	}
	if _, ok := errors.AsType[*fastcgi.ProtocolError](err); ok {
		return err // the worker did not die, and another would hardly do better
	}
	var conn *fastcgi.ConnError
	return &workerError{err: err, unsent: errors.As(err, &conn) && conn.Unsent}
}

func (a *aborter) hitNow() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hit
}

// fail gives the worker back after an error and completes the error with how the worker ended.
func (y *relay) fail(err error) error {
	outcome := manager.Broken
	if errors.Is(err, errClientGone) {
		outcome = manager.Aborted
	}
	worker := y.worker
	y.release(outcome)
	if we, ok := errors.AsType[*workerError](err); ok {
		select {
		case <-worker.Done():
			we.how = worker.ExitText()
		case <-time.After(exitReportWait):
		}
	}
	return err
}

// exitReportWait is how long an error page waits to learn how its worker ended.
const exitReportWait = 200 * time.Millisecond

// release gives the worker back.
func (y *relay) release(o manager.Outcome) {
	if y.timer != nil {
		y.timer.Stop()
	}
	y.abort.disarm()
	y.flushStderr()
	if o == manager.Done && !y.conn.Reusable() {
		o = manager.Aborted
	}
	y.worker.Release(o)
}

// deliver sends a response that is complete: the length is known.
func (y *relay) deliver() error {
	status := y.writeHead(int64(len(y.raw) - y.bodyAt))
	if y.bodyAllowed(status) {
		large := len(y.raw) > httpBuffer
		if large {
			y.x.allowWrite()
			y.x.conn.hold()
		}
		_, err := y.x.Write(y.raw[y.bodyAt:])
		if large && err == nil {
			err = y.x.conn.release()
		}
		if err != nil {
			y.x.err = errClientGone
		}
	}
	return nil
}

// writeHead sends status and header fields; length is the body's, or -1 if it is not known yet.
func (y *relay) writeHead(length int64) int {
	h := y.x.Header()
	maps.Copy(h, y.head.Header)
	status := y.head.Status
	switch {
	case status == http.StatusNoContent:
		h.Del("Content-Length")
	case status == http.StatusNotModified || y.r.Method == http.MethodHead:
		// The length is that of a GET, which only the script can know.
	case length >= 0:
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // keeps net/http from guessing
	}
	y.x.WriteHeader(status)
	return status
}

func (y *relay) bodyAllowed(status int) bool {
	return y.r.Method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified
}

// stream sends a response that PHP is still writing.
func (y *relay) stream() error {
	spool := newResponseSpool(y.s.cfg)
	status := y.writeHead(-1)
	send := y.bodyAllowed(status)
	if rest := y.raw[y.bodyAt:]; send && len(rest) > 0 {
		if _, err := spool.Write(rest); err != nil {
			return y.fail(err)
		}
	}
	x := y.x
	y.s.tails.Go(func() { y.tail(spool) })
	x.allowWrite()
	err := copySpool(x, spool, send)
	spool.leave()
	x.phpTime = time.Since(y.started)
	if err != nil {
		x.err = err
		// Part of the response is out: the only honest end is to break the connection off.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// copySpool writes what arrives in the spool to the client, each piece at once.
func copySpool(x *exchange, spool *responseSpool, send bool) error {
	control := http.NewResponseController(x.ResponseWriter)
	left := announced(x.Header())
	for {
		p, err := spool.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case !send:
			continue
		}
		tooLong := left >= 0 && int64(len(p)) > left
		if tooLong {
			p = p[:left]
		}
		left -= int64(len(p))
		x.allowWrite()
		x.conn.hold()
		_, err = x.Write(p)
		if err == nil {
			err = control.Flush()
		}
		if released := x.conn.release(); err != nil || released != nil {
			return errClientGone
		}
		if tooLong {
			return nil // the script announced less than it sent: the rest is dropped, as nginx does
		}
	}
}

// announced is the Content-Length of a response head, -1 without one.
func announced(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return -1 // net/http sends it no more than we believe it
	}
	return n
}

// tail drains the worker to the end of its request, into the spool if there is one, and gives it back.
func (y *relay) tail(spool *responseSpool) {
	var spoolErr error
	sink := func(p []byte) error {
		if spool == nil {
			return nil
		}
		_, err := spool.Write(p)
		return err
	}
	for !y.ended {
		was := y.finished
		err := y.step(sink)
		if y.finished && !was {
			y.detach()
			if spool != nil {
				spool.end(nil)
			}
		}
		if err == nil {
			continue
		}
		if errors.Is(err, errReaderGone) {
			err = errClientGone
		}
		if spool != nil {
			spool.end(err)
		}
		spoolErr = err
		break
	}
	if spoolErr != nil {
		if err := y.fail(spoolErr); !y.finished || !errors.Is(err, errClientGone) {
			y.s.log.Warn("request broke off", "pool", y.x.pool, "pid", y.x.pid, "script", y.x.script, "request_id", y.x.id, "error", err)
		}
		return
	}
	if spool != nil {
		spool.end(nil)
	}
	y.release(manager.Done)
}

// detach lets a script go on after its response: neither the client nor request_terminate_timeout ends it
// (request_terminate_timeout_track_finished of php-fpm is off).
func (y *relay) detach() {
	y.abort.disarm()
	if y.timer != nil {
		y.timer.Stop()
	}
}

// saidLimit is how much of FCGI_STDERR is kept for the error page, in bytes.
const saidLimit = 4 << 10

package server

import (
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/spool"
)

// headLimit is the most that a script's response head may take, in bytes; fields that are more are left out.
const headLimit = 64 << 10

// relay carries one request to one worker and its response back. The worker is drained as fast as it writes: a response
// that is complete at once is sent by the handler alone, any other by the handler out of a spool that a goroutine fills.
type relay struct {
	s      *Server
	x      *exchange
	r      *http.Request
	worker *manager.Worker
	conn   *fastcgi.Conn
	body   *spool.Body // its own share, until release

	head     fastcgi.Head
	headDone bool
	raw      []byte // STDOUT so far: the head, then what follows it
	rawTaken int64  // of the memory budget, for raw
	bodyAt   int    // where in raw the head ends
	finished bool   // the script called fastcgi_finish_request()
	ended    bool   // END_REQUEST was seen
	sent     bool   // the request was
	messages messageBuffer
	going    bool   // the script goes on, and a goroutine with it
	said     string // the beginning of FCGI_STDERR, for the error page

	deadline time.Time // by request_terminate_timeout; zero: none
	// trackFinished is request_terminate_timeout_track_finished.
	trackFinished bool
	timedOut      atomic.Bool
	timer         *time.Timer
	abort         aborter
	started       time.Time

	gatherUntil time.Time // when streaming begins at the latest; zero before the head is there
}

// errClientGone is a client that did not wait for its response.
var errClientGone = errors.New("the client closed the connection")

// errScript is a script that PHP ended with an error and that had nothing to show for it, which only a developer may see
// explained.
var errScript = errors.New("the script ended with an error")

// errTerminated is a request that ran into request_terminate_timeout.
var errTerminated = errors.New("the script ran longer than request_terminate_timeout")

// run sends the request and delivers the response. Its error is nil once a response is delivered or on its way; then
// x.err may still say that it was cut short.
func (y *relay) run(req *fastcgi.Request) error {
	y.started = time.Now()
	y.abort.arm(y.r.Context(), y.conn)
	if !y.deadline.IsZero() {
		y.timer = time.AfterFunc(time.Until(y.deadline), func() {
			y.timedOut.Store(true)
			y.worker.Kill("request_terminate_timeout")
		})
	}
	if err := y.conn.Send(req); err != nil {
		return y.fail(y.readError(err))
	}
	y.sent = true
	for !y.headDone || !y.complete() && y.mayGather() && y.moreSoon() {
		err := y.step(y.collect)
		if y.gathered(err) {
			break
		}
		if head, ok := errors.AsType[*fastcgi.HeadError](err); ok {
			y.goOn()
			y.s.tails.Go(func() { y.tail(nil, nil) })
			return head
		}
		if err != nil {
			return y.fail(err)
		}
		if y.ended && !y.headDone {
			// PHP ends every head: another process has spoken in its place.
			return y.fail(&fastcgi.HeadError{Reason: "the script ended before its response head was complete"})
		}
	}
	if !y.gatherUntil.IsZero() {
		y.abort.setReadDeadline(time.Time{})
	}
	if !y.complete() && !y.over() {
		return y.stream()
	}
	if y.ended && y.head.Status == http.StatusInternalServerError && len(y.raw) == y.bodyAt && y.s.helpful(y.x, y.r) {
		y.release(manager.Done)
		return errScript
	}
	if y.bodyAllowed(y.head.Status) && !y.hasRoom() {
		return y.deliverSpooled()
	}
	y.settle()
	if y.ended {
		y.release(manager.Done)
	} else {
		y.s.tails.Go(func() { y.tail(nil, nil) })
	}
	return y.deliver()
}

// settle is for a response that is complete: what the client does from now on does not concern the script.
func (y *relay) settle() {
	y.x.phpTime = time.Since(y.started)
	switch {
	case y.ended:
		y.abort.disarm()
		if y.timer != nil {
			y.timer.Stop()
		}
	case y.finished:
		y.detach()
	default:
		y.goOn()
	}
}

// goOn lets the script come to its end by itself although the client gets no more of it: its work may be far from done. Its time
// is still that of request_terminate_timeout.
func (y *relay) goOn() {
	y.going = true
	y.x.phpTime, y.x.stderr = time.Since(y.started), y.said
	y.headDone = true // what comes now is dropped
	y.abort.disarm()
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
	y.takeServerFields()
	if len(head.Dropped) > 0 { // a front controller is one script, and its pages lose different things
		y.s.log.Warn("a part of a script's response head was left out", "lines", head.Dropped, "pool", y.x.pool,
			"script", y.x.script, "request_id", y.x.id)
	}
	return nil
}

// readError says what the failure of the connection means.
func (y *relay) readError(err error) error { return failureOf(err, y.timedOut.Load(), &y.abort) }

// fail gives the worker back after an error and completes the error with how the worker ended.
func (y *relay) fail(err error) error {
	outcome := manager.Broken
	if isOver(err) {
		if y.sent {
			y.desert()
			return err
		}
		outcome = manager.Aborted
	}
	worker := y.worker
	y.release(outcome)
	explain(err, worker)
	return err
}

// desert leaves the script to itself, because its client has left.
func (y *relay) desert() {
	y.abort.disarm()
	if y.timer != nil {
		y.timer.Stop()
	}
	x := &exchange{pool: y.x.pool, pid: y.x.pid, script: y.x.script, id: y.x.id} // y.x is the handler's
	d := &deserted{
		conn: y.conn, worker: y.worker, messages: y.messages, deadline: y.deadline, trackFinished: y.trackFinished, body: y.body,
		log: func(messages []string) { logPHP(y.s.log, x, messages) },
	}
	y.s.tails.Go(d.listen)
}

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
	y.body.Close() // the connection is done with it: it has joined its writer
}

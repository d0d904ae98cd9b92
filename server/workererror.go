package server

import (
	"errors"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
)

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

// failureOf says what the failure of a worker's connection means.
func failureOf(err error, timedOut bool, abort *aborter) error {
	switch {
	case timedOut:
		return errTerminated
	case abort.hitNow() || abort.why() == errCutOff: // also where the end of the worker came first
		return abort.why()
	}
	if protocol, ok := errors.AsType[*fastcgi.ProtocolError](err); ok && !protocol.Foreign {
		return err // the worker did not die, and another would hardly do better
	}
	var conn *fastcgi.ConnError
	return &workerError{err: err, unsent: errors.As(err, &conn) && conn.Unsent}
}

// exitReportWait is how long an error waits to learn how its worker ended.
const exitReportWait = 200 * time.Millisecond

// explain completes an error with how the worker ended.
func explain(err error, worker *manager.Worker) {
	if we, ok := errors.AsType[*workerError](err); ok {
		select {
		case <-worker.Done():
			we.how = worker.ExitText()
		case <-time.After(exitReportWait): // its parent may be stopped, too
		}
		we.unsent = we.unsent || worker.Untouched()
	}
}

// mayRepeat says whether a request whose worker was lost may go to another one: once if that can do no harm (RFC 9110 §9.2.1), and
// as often as needed while the workers cannot have started it, because they had died idle and the pool did not know yet. sent: the
// client has a part of the response.
func mayRepeat(err error, sent, repeated bool, method string) (lost *workerError, ok bool) {
	lost, ok = errors.AsType[*workerError](err)
	return lost, ok && !sent && (lost.unsent || !repeated && safeMethod(method))
}

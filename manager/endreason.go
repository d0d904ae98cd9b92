package manager

import "strings"

// causeTimeout is how the causes of ends by request_terminate_timeout begin.
const causeTimeout = "request_terminate_timeout"

// EndReason is why a worker's process ended.
type EndReason uint8

// The reasons, in the order of [Stats.EndedBy].
const (
	EndStopped     EndReason = iota // it was asked to: there were too many, or the pool was replaced or stopped
	EndMaxRequests                  // it was asked to: pm.max_requests
	EndTimeout                      // it was killed: request_terminate_timeout
	EndKilled                       // it was killed for another reason of phpserve's
	EndSignal                       // by a signal that was not phpserve's, such as that of a crash
	EndExited                       // by itself
	EndReasons                      // their number
)

func (r EndReason) String() string {
	return [...]string{"stopped", "max_requests", "terminate_timeout", "killed", "signal", "exited"}[r]
}

// ending is how a worker ended.
type ending struct {
	reason  EndReason
	was     State   // what it did until then; killed where phpserve killed it
	cause   string  // why phpserve killed it
	running Request // zero: none
	stops   bool    // its pool stops
}

// howItEnded tells how a worker ended. It is called before the state is dead, with Pool.mu held.
func (w *Worker) howItEnded() ending {
	e := ending{was: w.state, cause: w.killCause, running: w.request}
	if w.endedFirst() {
		e.was, e.cause = w.killedWhile, ""
	}
	switch {
	case e.was == StateStopping && w.limit > 0 && w.requests >= w.limit:
		e.reason = EndMaxRequests
	case e.was == StateStopping:
		e.reason = EndStopped
	case e.was == StateKilled && strings.HasPrefix(e.cause, causeTimeout):
		e.reason = EndTimeout
	case e.was == StateKilled:
		e.reason = EndKilled
	case w.proc.status.signal != "":
		e.reason = EndSignal
	default:
		e.reason = EndExited
	}
	return e
}

// endedFirst says whether a worker that phpserve had decided to kill ended before it was. That is the rule where its connection broke:
// what ends a worker from outside, such as a crash or the kernel that is out of memory, shows there first. Pool.mu must be held.
func (w *Worker) endedFirst() bool {
	status := w.proc.status
	return w.state == StateKilled && (!w.killSent || status.known && status.signal != "SIGKILL")
}

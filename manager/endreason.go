package manager

import "strings"

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

// endReason says why a worker ended. It is called before the state is dead, with Pool.mu held.
func (w *Worker) endReason() EndReason {
	status := w.proc.status
	switch {
	case w.state == StateStopping && w.limit > 0 && w.requests >= w.limit:
		return EndMaxRequests
	case w.state == StateStopping:
		return EndStopped
	case w.state == StateKilled && (status.signal == "SIGKILL" || !status.known): // else it was quicker than phpserve's signal
		if strings.HasPrefix(w.killCause, "request_terminate_timeout") {
			return EndTimeout
		}
		return EndKilled
	case status.signal != "":
		return EndSignal
	}
	return EndExited
}

package manager

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// isGone says whether err is the answer that a process does not exist. Any other error, such as that of too many open files,
// is no answer: it must not be taken for one.
func isGone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrProcessDone)
}

// pollInterval is how often the end of a process is looked for where the system offers no event for it.
const pollInterval = 50 * time.Millisecond

// polledProcess is a process without a handle of the kernel's.
type polledProcess struct{ pid int }

// wait waits for the end of the process, or of done.
func (p polledProcess) wait(done <-chan struct{}) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for processExists(p.pid) {
		bury(p.pid) // it would exist for ever if it is phpserve's to bury
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

func (p polledProcess) signal(s syscall.Signal) {
	if process, err := os.FindProcess(p.pid); err == nil { // else it is gone
		_ = process.Signal(s) // it may have ended this moment
		_ = process.Release() // never fails
	}
}

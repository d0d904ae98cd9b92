//go:build unix

package manager

import (
	"syscall"
	"time"
)

// awaitByPolling waits for the end of a process that is nobody's child, where the system offers no event for it.
func awaitByPolling(pid int) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			return
		}
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	}
}

//go:build unix

package manager

import (
	"os"
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
		buryOrphan(pid)
	}
}

// buryOrphan takes note of the end of a worker that phpserve inherited, as process 1 of a container.
func buryOrphan(pid int) {
	if os.Getpid() == 1 {
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // ECHILD: it is somebody else's
	}
}

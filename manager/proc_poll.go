//go:build unix

package manager

import (
	"errors"
	"syscall"
)

// processExists says whether there is a process, be it a dead one that nobody has buried yet.
func processExists(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// bury takes note of the end of a worker that phpserve has inherited from its zygote. It must have ended; who is somebody else's
// child stays as it is, with an unknown end.
func bury(pid int) exitStatus {
	var status syscall.WaitStatus
	if got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); err != nil || got != pid {
		return exitStatus{}
	}
	return fromWaitStatus(status)
}

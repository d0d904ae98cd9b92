package manager

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ownPriority is the nice value of this thread, 0 where that cannot be told.
func ownPriority() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return 20 - n // the system call counts from 40 down to 1: getpriority(2)
}

// ResetThread gives this thread, and so what it executes or starts, a nice value, for the front end's may be better than that of PHP,
// and the timers of the main thread, which are those that phpserve was started with. On Linux each thread has its own.
func ResetThread(nice int) {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice) // to give priority up is always allowed
	if text, err := os.ReadFile("/proc/self/timerslack_ns"); err == nil {
		if slack, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 0); err == nil {
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) // who may not read it has not changed it
		}
	}
}

package manager

import "golang.org/x/sys/unix"

// ownPriority is the nice value of this thread, 0 where that cannot be told.
func ownPriority() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return 20 - n // the system call counts from 40 down to 1: getpriority(2)
}

// setPriority gives this thread, and so what it starts, a nice value: the front end's may be better than that of PHP. On Linux
// each thread has its own. To give priority up is always allowed.
func setPriority(nice int) { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice) }

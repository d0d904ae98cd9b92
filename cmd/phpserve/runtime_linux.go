package main

import (
	"math"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// monitorSlack is by how much the Go runtime's monitor may oversleep. It is the 10 ms that the runtime itself lets
// it sleep at most (runtime/proc.go:sysmon).
const monitorSlack = "10000000" // nanoseconds

// calmMonitor lets the kernel put off the wake-ups of the Go runtime's monitor thread. Whenever there is something to do it
// wakes every 20 µs to look for goroutines that stay in a system call. For a server whose requests wait for PHP most of the
// time that is up to a fifth of its processor time, more on virtual machines, where each timer costs an exit.
//
// The kernel allows it to who has CAP_SYS_NICE, such as root (proc(5), timerslack_ns); without that all stays as it was.
func calmMonitor() {
	tasks, err := os.Open("/proc/self/task")
	if err != nil {
		return
	}
	defer tasks.Close()
	// In the order of their making: the main thread, then the monitor, the first that runtime/proc.go:main starts.
	if threads, err := tasks.Readdirnames(2); err == nil && len(threads) == 2 {
		_ = os.WriteFile(filepath.Join("/proc", threads[1], "timerslack_ns"), []byte(monitorSlack), 0)
	}
}

// frontPriority is the nice value of the front end where the kernel allows it and the operator chose none: what it does for a
// request takes microseconds, and PHP's milliseconds wait better behind it than it behind them.
const frontPriority = -10

// favourFrontEnd lets phpserve's own threads run before those of PHP, whose processes keep the priority that phpserve was
// started with (package manager). It needs CAP_SYS_NICE or a limit (RLIMIT_NICE) that allows it; without, nothing changes.
func favourFrontEnd() {
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || n != 20 { // 20 - nice value
		return
	}
	// A new thread has the priority of the one that made it: a second look finds those that were made meanwhile.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, thread := range threads {
			if tid, err := strconv.Atoi(thread.Name()); err == nil {
				_ = unix.Setpriority(unix.PRIO_PROCESS, tid, frontPriority) // not allowed, or ended
			}
		}
	}
}

// closeToChildren keeps descriptors that phpserve was started with from PHP and its programs.
func closeToChildren() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // Linux 5.11; before it they are inherited as ever
}

// resetThread gives this thread the nice value and the timers that phpserve was started with, for another program.
func resetThread() {
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && 20-n == frontPriority {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0) // to give priority up is always allowed
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // to the default
}

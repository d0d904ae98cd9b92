package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// monitorSlack is by how much the Go runtime's monitor may oversleep. Threads that it makes have it, too, and run timers of the server:
// it must not be long.
const monitorSlack = "1000000" // nanoseconds

// calmMonitor lets the kernel put off the wake-ups of the Go runtime's monitor thread. Whenever there is something to do it
// wakes every 20 µs to look for goroutines that stay in a system call. For a server whose requests wait for PHP most of the
// time that is up to a fifth of its processor time, more on virtual machines, where each timer costs an exit.
//
// The kernel allows it to who has CAP_SYS_NICE, such as root (proc(5), timerslack_ns); without that all stays as it was.
func calmMonitor() {
	if threads := firstThreads(); len(threads) == 2 {
		_ = os.WriteFile(filepath.Join("/proc", threads[1], "timerslack_ns"), []byte(monitorSlack), 0)
	}
}

// firstThreads are the main thread and the monitor, the first that runtime/proc.go:main starts.
func firstThreads() []string {
	tasks, err := os.Open("/proc/self/task")
	if err != nil {
		return nil
	}
	defer tasks.Close()
	threads, _ := tasks.Readdirnames(2) // in the order of their making; an error is the end
	return threads
}

// mainThreadSlack is that with which phpserve was started.
func mainThreadSlack() []byte {
	text, _ := os.ReadFile("/proc/self/timerslack_ns") // not everybody may
	return bytes.TrimSpace(text)
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
	first, slack := firstThreads(), mainThreadSlack()
	// A new thread has the priority of the one that made it: a second look finds those that were made meanwhile.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, thread := range threads {
			if !slices.Contains(first, thread.Name()) && len(slack) > 0 {
				_ = os.WriteFile(filepath.Join("/proc", thread.Name(), "timerslack_ns"), slack, 0) // as above
			}
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

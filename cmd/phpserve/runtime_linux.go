package main

import (
	"os"
	"path/filepath"
)

// monitorSlack is by how much the Go runtime's monitor may oversleep. It stays below the 10 ms that the runtime itself lets
// it sleep at most (runtime/proc.go:sysmon).
const monitorSlack = "5000000" // nanoseconds

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

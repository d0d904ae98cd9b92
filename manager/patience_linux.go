package manager

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// ownTime tells how much of some time a process had for itself: in which it ran or waited for something of its own choice. Not its
// own is the time in which it was ready to run and another had the processor, and that in which memory came from the disk.
type ownTime struct {
	pid    int
	looked bool

	// What the last look saw.
	ran, queued time.Duration // on a processor, and waiting for one
	faults      string        // how often it had to wait for its own memory
}

// of is its own part of the time since the last look.
func (o *ownTime) of(interval time.Duration) time.Duration {
	const majorFaults = 9 // majflt of proc_pid_stat(5)
	fields, err := statOf(o.pid)
	if err != nil || len(fields) <= majorFaults {
		return interval // it has ended, or is hidden
	}
	ran, queued, err := scheduled(o.pid)
	if err != nil {
		return interval // this kernel does not count it
	}
	before := *o
	o.looked, o.ran, o.queued, o.faults = true, ran, queued, fields[majorFaults]
	switch {
	case !before.looked:
		return interval - min(interval, queued)
	case o.faults != before.faults:
		return 0
	case ran == before.ran && fields[0] == "R": // what waits is counted when it is over
		return 0
	}
	return max(0, interval-(queued-before.queued))
}

// scheduled is how long a process has run, and how long it has waited for a processor: /proc/PID/schedstat (sched-stats of the
// kernel's documentation).
func scheduled(pid int) (ran, queued time.Duration, err error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat")
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscan(string(text), &ran, &queued)
	return ran, queued, err
}

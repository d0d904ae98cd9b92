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
	seen := ownTime{faults: fields[majorFaults]}
	if seen.ran, seen.queued, err = scheduled(o.pid); err != nil {
		seen.ran, seen.queued = 0, 0 // this kernel does not count it; others say zero then
	}
	return o.since(interval, fields[0] == "R", seen)
}

// since is of with what this look saw. Where the kernel counts nothing, the time in which the process was not ready to run is its own: one
// that runs for ever is left to the clock.
func (o *ownTime) since(interval time.Duration, ready bool, seen ownTime) time.Duration {
	before := *o
	o.looked, o.ran, o.queued, o.faults = true, seen.ran, seen.queued, seen.faults
	switch {
	case before.looked && seen.faults != before.faults:
		return 0
	case ready && seen.ran == before.ran: // what waits is counted when it is over
		return 0
	}
	return max(0, interval-(seen.queued-before.queued))
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

package manager

import (
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is what a process has used so far, by the clock of clock_getcpuclockid(3), in nanoseconds.
func processorTime(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of linux/posix-timers.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

package manager

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the processor time that the worker's process has used so far, if the pool is to know it: the clock of
// clock_getcpuclockid(3), in nanoseconds.
func (w *Worker) cpuTime() time.Duration {
	if !w.pool.cfg.Observe {
		return 0
	}
	const schedClock = 2 // CPUCLOCK_SCHED of linux/posix-timers.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^w.proc.pid<<3|schedClock), &t); err != nil {
		return 0 // the process is gone
	}
	return time.Duration(t.Nano())
}

package manager

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// usageOf reads statm (proc_pid_statm(5)) and the clock of a process.
func usageOf(pid int) (u Usage, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return u, err
	}
	const resident, shared = 1, 2
	fields := bytes.Fields(text)
	if len(fields) <= shared {
		return u, fmt.Errorf("/proc/%d/statm: %q", pid, text)
	}
	pages, err := strconv.ParseUint(string(fields[resident]), 10, 64)
	if err != nil {
		return u, err
	}
	common, err := strconv.ParseUint(string(fields[shared]), 10, 64)
	if err != nil {
		return u, err
	}
	u.Memory = (pages - min(common, pages)) * uint64(os.Getpagesize())
	u.CPU, err = processorTime(pid)
	return u, err
}

// cpuTime is the processor time that the worker's process has used so far, if the pool is to know it.
func (w *Worker) cpuTime() time.Duration {
	if !w.pool.cfg.Observe {
		return 0
	}
	t, _ := processorTime(w.proc.pid) // an error is a process that is gone
	return t
}

package phpstack

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// activity says whether a process runs or could run (state R of proc_pid_stat(5)), and how much processor time it has used: to the
// nanosecond where the kernel counts it so (schedstat), else in its ticks of a hundredth of a second.
func activity(pid int) (running bool, used time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false, 0, err
	}
	// The name of the program, in parentheses, may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return false, 0, os.ErrProcessDone
	}
	running = string(fields[0]) == "R"
	if schedule, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid)); err == nil {
		if first := bytes.Fields(schedule); len(first) > 0 {
			if n, err := strconv.ParseInt(string(first[0]), 10, 64); err == nil && n > 0 {
				return running, time.Duration(n), nil
			}
		}
	}
	user, err := strconv.ParseInt(string(fields[11]), 10, 64)
	if err != nil {
		return false, 0, err
	}
	system, err := strconv.ParseInt(string(fields[12]), 10, 64)
	if err != nil {
		return false, 0, err
	}
	return running, time.Duration(user+system) * 10 * time.Millisecond, nil
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errNoProcess is what the kernel says of a process that has ended.
const errNoProcess = unix.ESRCH

// adoptOrphans makes this process the parent of every descendant whose own
// parent ends (prctl(2), PR_SET_CHILD_SUBREAPER), so that a server's processes
// are found in the tree, counted and ended even when their starter exited.
func adoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot adopt orphaned processes: %v", err)
	}
	return nil
}

// setChildAttributes keeps a terminal's Ctrl-C from a server, which this
// process ends in order, and lets the server end when this process is killed.
func setChildAttributes(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// killGroup ends a server and what it started in its process group.
func killGroup(pid int) error {
	return unix.Kill(-pid, unix.SIGKILL)
}

// endOrphans kills and reaps every process that a server left behind, and
// returns their names. No server may be running.
func endOrphans() ([]string, error) {
	var names []string
	killed := make(map[int]bool)
	self := map[int]bool{os.Getpid(): true}
	for {
		all, err := listProcesses()
		if err != nil {
			return names, err
		}
		left := descendants(all, self)[1:]
		if len(left) == 0 {
			return names, nil
		}
		for _, p := range left {
			if p.zombie || killed[p.pid] {
				continue
			}
			killed[p.pid] = true
			names = append(names, fmt.Sprintf("%s (%d)", p.comm, p.pid))
			if err := unix.Kill(p.pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return names, fmt.Errorf("cannot end process %d: %v", p.pid, err)
			}
		}
		for _, p := range left {
			if p.parent != os.Getpid() {
				continue
			}
			if _, err := unix.Wait4(p.pid, nil, 0, nil); err != nil && !errors.Is(err, unix.ECHILD) {
				return names, fmt.Errorf("cannot wait for process %d: %v", p.pid, err)
			}
		}
	}
}

// processTime returns the processor time of a process with all its threads,
// ended ones included, in nanoseconds: the clock that clock_getcpuclockid(3)
// names, which on Linux is (~pid << 3) | CPUCLOCK_SCHED. /proc/PID/schedstat
// has the first thread only, and /proc/PID/stat counts in ticks of 10 ms.
func processTime(pid int) (time.Duration, error) {
	const cpuclockSched = 2
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &t)
	if errors.Is(err, unix.EINVAL) {
		// No such process, in the words of this system call.
		return 0, errNoProcess
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read processor time of process %d: %v", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// kernelVersion returns the release that uname(2) names.
func kernelVersion() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

package manager

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent has the kernel send sig to a process when phpserve dies, however it dies.
func dieWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// lifeline has the kernel end a whole process group when phpserve dies, even if the zygote, which would do it, dies at the
// same moment: a parent-death signal is not inherited by what the zygote forks, prctl(2). It is a socket pair. Every process
// of the group inherits one end, for which the group is to be signalled (F_SETOWN, F_SETSIG and O_ASYNC of fcntl(2)) when
// something happens at the other end. Phpserve alone holds that and does nothing with it, so all that can happen is its end.
type lifeline struct{ ours, theirs *os.File }

func newLifeline() (*lifeline, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket pair: %v", err)
	}
	return &lifeline{ours: os.NewFile(uintptr(fds[0]), "lifeline"), theirs: os.NewFile(uintptr(fds[1]), "lifeline")}, nil
}

// inherited is what the first process of the group is to be started with.
func (l *lifeline) inherited() []*os.File { return []*os.File{l.theirs} }

// hold binds the process group to the life of phpserve.
func (l *lifeline) hold(group int) error {
	fd := l.theirs.Fd()
	_, err := unix.FcntlInt(fd, unix.F_SETOWN, -group)
	if err == nil {
		_, err = unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGKILL))
	}
	if err == nil {
		_, err = unix.FcntlInt(fd, unix.F_SETFL, unix.O_ASYNC)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) { // all of it may have ended already
		return fmt.Errorf("cannot have the kernel end process group %d with phpserve: %v", group, err)
	}
	return nil
}

// letGo leaves the group alone: what the scripts of an ended worker left in the background goes on.
func (l *lifeline) letGo() {
	_, _ = unix.FcntlInt(l.theirs.Fd(), unix.F_SETFL, 0) // if it fails the group ends
	l.close()
}

// close ends what is left of the group.
func (l *lifeline) close() {
	l.ours.Close()
	l.theirs.Close()
}

// peerPID is the process at the other end of a unix socket, unix(7).
func peerPID(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return int(cred.Pid), nil
}

// parentOf is the process that made another. Its error says that it could not be looked, or that the process is gone: isGone.
func parentOf(pid int) (int, error) {
	fields, err := statOf(pid)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(fields[1])
}

// isStopped says whether a process has been stopped by a signal (SIGSTOP) or is held by a tracer.
func isStopped(pid int) (bool, error) {
	fields, err := statOf(pid)
	return err == nil && (fields[0] == "T" || fields[0] == "t"), err
}

// isRunnable says whether a process runs or waits for a processor.
func isRunnable(pid int) bool {
	fields, err := statOf(pid)
	return err == nil && fields[0] == "R"
}

// isEnding says whether a process has ended, buried or not, or is ending: the kernel sets that mark before it closes the process's files
// (kernel/exit.c:do_exit).
func isEnding(pid int) bool {
	const (
		flags   = 6   // of proc_pid_stat(5)
		exiting = 0x4 // PF_EXITING of the kernel's include/linux/sched.h
	)
	fields, err := statOf(pid)
	if err != nil || len(fields) <= flags {
		return isGone(err) && !processExists(pid) // else it is hidden
	}
	n, err := strconv.ParseUint(fields[flags], 10, 64)
	return fields[0] == "Z" || fields[0] == "X" || err == nil && n&exiting != 0
}

// statOf are the fields of a process from the third on, its state: proc_pid_stat(5).
func statOf(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The second field is the program's name in brackets, which may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return nil, fmt.Errorf("/proc/%d/stat says %q", pid, text)
	}
	return fields, nil
}

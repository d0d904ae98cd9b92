package manager

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// processHandle is a pidfd, pidfd_open(2), so that no process that comes by the same number later is ever signalled. Its end
// is an event for the runtime's poller: no thread waits for it.
type processHandle struct {
	pid  int
	file *os.File // nil: the kernel has none (before 5.3)
}

func openProcess(pid int) (*processHandle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // or a filter of system calls forbids it
		if !processExists(pid) {
			return nil, unix.ESRCH
		}
		return &processHandle{pid: pid}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // what tells os.NewFile that it may be polled
		_ = unix.Close(fd)
		return nil, err
	}
	return &processHandle{pid: pid, file: os.NewFile(uintptr(fd), "pidfd")}, nil
}

func (h *processHandle) signal(s syscall.Signal) {
	if h.file == nil {
		polledProcess{h.pid}.signal(s)
		return
	}
	if raw, err := h.file.SyscallConn(); err == nil { // else it has been closed
		_ = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), s, nil, 0) }) // it may have ended this moment
	}
}

// wait waits for the end of the process, or until the handle is closed, or done.
func (h *processHandle) wait(done <-chan struct{}) {
	if h.file == nil {
		polledProcess{h.pid}.wait(done)
		return
	}
	raw, err := h.file.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
		})
	}
	if err != nil && !errors.Is(err, os.ErrClosed) {
		polledProcess{h.pid}.wait(done)
	}
}

func (h *processHandle) close() {
	if h.file != nil {
		h.file.Close()
	}
}

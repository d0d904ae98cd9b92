package manager

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent has the kernel send sig to a process when phpserve dies, however it dies.
func dieWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

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

// awaitOrphan waits for the end of a worker whose zygote died. If phpserve inherited it, as process 1 of a container,
// it is also buried.
func awaitOrphan(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if !errors.Is(err, unix.ESRCH) {
			awaitByPolling(pid)
		}
		return
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // ECHILD: somebody else's
}

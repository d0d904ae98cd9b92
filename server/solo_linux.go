package server

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// soloWait is how long a lone request waits for its worker inside the kernel, in nanoseconds.
const soloWait = 300_000

// awaitAlone waits until the worker has begun to answer, for soloWait at most, holding the thread. While there is no other
// request this spares Go's scheduler a way to sleep and back, which costs more than the wait for a short script.
func awaitAlone(conn net.Conn) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		fds := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		timeout := unix.Timespec{Nsec: soloWait}
		// Raw: the scheduler is not told. Whatever the outcome, the read that follows finds out.
		_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), 1, uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	})
}

//go:build unix

package listen

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// File is another descriptor of a listening socket, which the caller closes. That of [net.TCPListener.File] would, when it is handed to
// a process, have the socket block, and with it the accepting of this process. A listener that is none of the system gets
// [errors.ErrUnsupported].
func File(l net.Listener) (*os.File, error) {
	socket, ok := l.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	var f *os.File
	if errControl := raw.Control(func(fd uintptr) {
		var n int
		if n, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3); err == nil {
			f = os.NewFile(uintptr(n), l.Addr().String())
		}
	}); errControl != nil {
		return nil, errControl
	}
	return f, err
}

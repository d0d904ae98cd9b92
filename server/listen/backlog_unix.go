//go:build unix

package listen

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// closeSocketMode gives a unix socket a mode, before it has a name, that lets nobody but its owner connect: whoever else may is
// said once the socket is there.
func closeSocketMode(network string, raw syscall.RawConn) error {
	if network != "unix" {
		return nil
	}
	// Where the system does not take a mode (BSD, macOS), the umask decides until then.
	return raw.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
}

// setBacklog changes how many connections wait to be accepted, listen(2).
func setBacklog(l net.Listener, n int) error {
	if n <= 0 {
		return nil
	}
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), n) }); err != nil {
		return err
	}
	return listenErr
}

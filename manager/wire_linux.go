package manager

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wire is the connection to a worker as the kernel shows it: with each read it tells who has written those bytes
// (SO_PASSCRED of unix(7)), and never gives bytes of two writers at once. Only the first who answered may answer: programs
// that a script starts, and processes that it forks, inherit the worker's end.
type wire struct {
	*net.UnixConn
	raw      syscall.RawConn
	stranger func(pid int) // is told of another writer; may be nil
	writer   int           // process id of the first who answered; zero: nobody yet, or the kernel does not tell
	blind    bool          // the kernel does not tell

	// What one call of receive is given and gives.
	buf     []byte
	n       int
	err     error
	from    int
	iov     unix.Iovec
	msg     unix.Msghdr
	control wireControl
	receive func(fd uintptr) bool
}

// wireControl is one control message, cmsg(3). There is no room for another, so that a process at the other end cannot hand
// descriptors over.
type wireControl struct {
	header unix.Cmsghdr
	sender unix.Ucred
}

// newWire begins to watch a connection, over which nothing may have been sent yet.
func newWire(c *net.UnixConn) (*wire, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &wire{UnixConn: c, raw: raw}
	w.receive = w.receiveOnce
	var optErr error
	if err := raw.Control(func(fd uintptr) { optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); err != nil {
		return nil, err
	}
	w.blind = optErr != nil
	return w, nil
}

// Read reads what the worker has written. Bytes of another process are an error, a [StrangerError].
func (w *wire) Read(p []byte) (int, error) {
	if w.blind || len(p) == 0 {
		return w.UnixConn.Read(p)
	}
	w.buf = p
	err := w.raw.Read(w.receive)
	w.buf, w.iov.Base = nil, nil
	switch {
	case err != nil:
		return 0, err
	case w.err != nil:
		return 0, &net.OpError{Op: "read", Net: "unix", Err: os.NewSyscallError("recvmsg", w.err)}
	case w.n == 0:
		return 0, io.EOF
	case w.writer == 0 && w.from == 0:
		w.blind = true // this kernel has the option and does not know the writer
	case w.writer == 0:
		w.writer = w.from
	case w.from != w.writer:
		if w.stranger != nil {
			w.stranger(w.from)
		}
		return 0, &StrangerError{PID: w.from, Worker: w.writer}
	}
	return w.n, nil
}

// receiveOnce is one recvmsg(2), without the sender's address, which would be made anew each time.
func (w *wire) receiveOnce(fd uintptr) bool {
	w.iov.Base = &w.buf[0]
	w.iov.SetLen(len(w.buf))
	w.msg = unix.Msghdr{Iov: &w.iov, Control: (*byte)(unsafe.Pointer(&w.control))}
	w.msg.SetIovlen(1)
	w.msg.SetControllen(int(unsafe.Sizeof(w.control)))
	for {
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&w.msg)), unix.MSG_CMSG_CLOEXEC)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			w.err = errno
			return true
		}
		w.n, w.from, w.err = int(n), w.sender(), nil
		return true
	}
}

// sender is the process id in what recvmsg told besides; zero if there is none, or none that phpserve can see.
func (w *wire) sender() int {
	h := &w.control.header
	if int(w.msg.Controllen) < unix.CmsgLen(unix.SizeofUcred) || h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_CREDENTIALS {
		return 0
	}
	return int(w.control.sender.Pid)
}

// quiet says that nothing waits to be read: an idle worker has nothing to say. Else it says what there is.
func (w *wire) quiet() error {
	var n int
	var err error
	ctl := w.raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case ctl != nil:
		return ctl
	case err == unix.EAGAIN:
		return nil
	case err != nil:
		return err
	case n == 0:
		return io.EOF
	}
	return errUnasked
}

// listener is the process that listens at the other end.
func (w *wire) listener() (int, error) {
	pid, err := peerPID(w.UnixConn)
	if err != nil {
		return 0, fmt.Errorf("cannot learn who listens for phpserve: %w", err)
	}
	return pid, nil
}

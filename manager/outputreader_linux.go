package manager

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outputReader reads what processes write to a unix stream socket. It has SO_PASSCRED, unix(7): each read is of one process, and
// tells which. What a process writes in its name is that of the kernel; it cannot be forged.
type outputReader struct {
	file    *os.File
	raw     syscall.RawConn
	look    func(fd uintptr) // sets unread
	unread  int
	control []byte // room for who wrote and for nothing else: descriptors that a script sends along are not received, cmsg(3)
}

// newOutputReader makes a reader and what is written to.
func newOutputReader() (*outputReader, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := fds[0], fds[1]
	err = unix.SetsockoptInt(ours, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	if err == nil {
		err = unix.SetNonblock(ours, true) // theirs stays as programs expect it
	}
	if err != nil {
		return nil, nil, errors.Join(err, unix.Close(ours), unix.Close(theirs))
	}
	r := &outputReader{file: os.NewFile(uintptr(ours), "php output"), control: make([]byte, unix.CmsgSpace(unix.SizeofUcred))}
	r.look = func(fd uintptr) {
		if r.unread, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ); err != nil {
			r.unread = 0
		}
	}
	if r.raw, err = r.file.SyscallConn(); err != nil {
		return nil, nil, errors.Join(err, r.file.Close(), unix.Close(theirs))
	}
	return r, os.NewFile(uintptr(theirs), "php output"), nil
}

// read reads from one process and adds the number of bytes to taken. Both happen under mu, so that who holds it can add what waits.
// Behind the deadline what waits already is read.
func (r *outputReader) read(p []byte, mu sync.Locker, taken *uint64) (n, pid int, err error) {
	var controlN int
	var failed error
	receive := func(fd uintptr) {
		mu.Lock()
		defer mu.Unlock()
		for {
			n, controlN, _, _, failed = unix.Recvmsg(int(fd), p, r.control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
			if !errors.Is(failed, unix.EINTR) {
				break
			}
		}
		if failed == nil {
			*taken += uint64(n)
		}
	}
	err = r.raw.Read(func(fd uintptr) bool {
		receive(fd)
		return !errors.Is(failed, unix.EAGAIN)
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = r.raw.Control(receive)
	}
	switch {
	case err != nil || failed != nil:
		return 0, 0, errors.Join(err, failed)
	case n == 0:
		return 0, 0, io.EOF
	}
	return n, senderOf(r.control[:controlN]), nil
}

// senderOf is the process in the control message; 0: it is in another pid namespace.
func senderOf(control []byte) int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if cred, err := unix.ParseUnixCredentials(&m); err == nil {
			return int(cred.Pid)
		}
	}
	return 0
}

// waiting is how many bytes have been written and not read. It is called by one goroutine at a time.
func (r *outputReader) waiting() int {
	if r.raw.Control(r.look) != nil {
		return 0 // closed: nothing is read any more
	}
	return r.unread
}

func (r *outputReader) SetReadDeadline(t time.Time) error { return r.file.SetReadDeadline(t) }

func (r *outputReader) Close() error { return r.file.Close() }

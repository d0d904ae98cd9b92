package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/phpserve/phpserve/safefile"
	"golang.org/x/sys/unix"
)

// ioctlUnixFile opens the file that a unix socket is bound to (SIOCUNIXFILE of include/uapi/linux/un.h): it itself, whatever has its
// name now. It needs CAP_NET_ADMIN.
const ioctlUnixFile = 0x89e0

// give lets those use the socket who may.
func (r *socketRights) give(s *unixSocket) error {
	h, err := s.file(r.uid)
	if err != nil {
		return err
	}
	defer h.Close()
	if r.uid >= 0 || r.gid >= 0 {
		if err := h.Chown(r.uid, r.gid); err != nil {
			return err
		}
	}
	if err := h.Chmod(r.mode); err != nil {
		return err
	}
	if r.acl != nil {
		if err := h.Setxattr(socketACLName, r.acl); err != nil {
			return fmt.Errorf("cannot set listen.acl_users and listen.acl_groups: %w", err)
		}
	}
	return s.checkName(h)
}

// file is the file of the socket. Where the kernel does not tell it, it is found by its name, and must belong to root, to us or to
// the user that it is to have.
func (s *unixSocket) file(owner int) (*safefile.Handle, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if errControl := raw.Control(func(socket uintptr) { fd, err = unix.IoctlRetInt(int(socket), ioctlUnixFile) }); errControl != nil {
		return nil, errControl
	}
	if err == nil {
		return safefile.NewHandle(fd, s.path)
	}
	h, err := safefile.Find(s.path)
	if err != nil {
		return nil, err
	}
	if err = h.OwnedBy(owner); err == nil && !h.IsSocket() {
		err = fmt.Errorf("%s is no socket any more", s.path)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// checkName says that the name of a socket leads to something else, so that nobody finds the socket.
func (s *unixSocket) checkName(h *safefile.Handle) error {
	named, err := safefile.Find(s.path)
	if err != nil {
		return fmt.Errorf("the socket that is listened on cannot be found by its name: %w", err)
	}
	defer named.Close()
	if !named.Same(h) {
		return fmt.Errorf("%s is not the socket that is listened on any more: somebody has put something else there", s.path)
	}
	return nil
}

// removeName removes the name, if it is still that of a socket.
func (s *unixSocket) removeName() {
	h, err := s.file(-1)
	if err != nil {
		return
	}
	defer h.Close()
	if s.checkName(h) == nil {
		_ = safefile.Remove(s.path) // what cannot be removed stays
	}
}

// removeStaleSocket removes what a server left behind that was killed. One that still answers is left alone.
func removeStaleSocket(path string) error {
	h, err := safefile.Find(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	if !h.IsSocket() {
		return fmt.Errorf("%s exists and is no socket", path)
	}
	if isListenedOn(path) {
		return errors.New(inUse(path))
	}
	return safefile.Remove(path)
}

// isListenedOn says whether somebody listens on a socket.
func isListenedOn(path string) bool {
	nc, err := net.Dial("unix", path)
	if err == nil {
		nc.Close()
	}
	return err == nil || errors.Is(err, syscall.EAGAIN) // its queue is full
}

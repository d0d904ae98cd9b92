//go:build !linux

package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// give lets those use the socket who may.
func (r *socketRights) give(s *unixSocket) error {
	if r.uid >= 0 || r.gid >= 0 {
		if err := os.Lchown(s.path, r.uid, r.gid); err != nil {
			return err
		}
	}
	return os.Chmod(s.path, r.mode)
}

// removeName removes the name.
func (s *unixSocket) removeName() { _ = os.Remove(s.path) }

// removeStaleSocket removes what a server left behind that was killed. One that still answers is left alone.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s exists and is no socket", path)
	}
	if nc, err := net.Dial("unix", path); err == nil {
		nc.Close()
		return errors.New(inUse(path))
	}
	return os.Remove(path)
}

package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxTries bounds repeated tries against somebody who changes what is there in a loop.
const maxTries = 16

// errChanged says that something else is there than a moment ago.
var errChanged = errors.New("it changed meanwhile")

// find walks to a path. The caller closes both.
func find(path string, visit func(folder *unix.Stat_t, name string, entry *unix.Stat_t) error) (*walker, *place, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	if len(path) > 0 && path[len(path)-1] == '/' {
		abs += "/" // which Abs takes off
	}
	root, err := openat(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, nil, err
	}
	w := &walker{folders: []int{root}, visit: visit}
	p, err := w.walk(abs)
	if err != nil {
		w.close()
		return nil, nil, err
	}
	return w, p, nil
}

// in has do look at what path leads to, again if that changes meanwhile.
func in(op, path string, do func(*place) error) error {
	var err error
	for range maxTries {
		var w *walker
		var p *place
		if w, p, err = find(path, checkLink); err == nil {
			err = do(p)
			p.close()
			w.close()
		}
		if !errors.Is(err, errChanged) {
			break
		}
	}
	return explain(op, path, err)
}

// explain is err for the caller: with the path, and with the errno alone where that says it.
func explain(op, path string, err error) error {
	if errors.Is(err, ErrUnsafe) || errors.Is(err, errChanged) {
		return fmt.Errorf("%s: %w", path, err)
	}
	return pathError(op, path, err)
}

// OpenAppend opens a log for adding to it, or makes it with these permissions. It does not wait: a FIFO that nobody reads is an
// error. An error that is [ErrUnsafe] says that another user could have put there what was found.
func OpenAppend(path string, perm fs.FileMode) (f *os.File, err error) {
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_NOCTTY | unix.O_NONBLOCK
	err = in("open", path, func(p *place) error {
		var fd int
		var err error
		switch {
		case p.magic: // such as /proc/self/fd/2, to which /dev/stderr leads
			fd, err = openat(p.folder, p.name, flags, 0)
		case p.entry < 0:
			fd, err = openat(p.folder, p.name, flags|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, uint32(perm.Perm()))
			if errors.Is(err, unix.EEXIST) {
				return errChanged
			}
		default:
			if err := checkFile(&p.in, &p.stat); err != nil {
				return err
			}
			fd, err = openSame(p, flags)
		}
		if err != nil {
			return err
		}
		f, err = blocking(fd, path)
		return err
	})
	return f, err
}

// openSame opens what was looked at, and nothing else.
func openSame(p *place, flags int) (int, error) {
	fd, err := openat(p.folder, p.name, flags|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) {
		return -1, errChanged
	}
	if err != nil {
		return -1, err
	}
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil || now.Dev != p.stat.Dev || now.Ino != p.stat.Ino {
		_ = unix.Close(fd)
		return -1, errChanged
	}
	return fd, nil
}

// blocking is the file of a descriptor that was opened without waiting. One that can wait for a reader goes on like that, so that it
// is the goroutine that waits.
func blocking(fd int, path string) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		if err := unix.SetNonblock(fd, false); err != nil {
			_ = unix.Close(fd)
			return nil, err
		}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Create makes a file anew, in the place of what has its name: that is removed and not written to.
func Create(path string, perm fs.FileMode) (f *os.File, err error) {
	err = in("create", path, func(p *place) error {
		if p.entry >= 0 {
			if err := unix.Unlinkat(p.folder, p.name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
		fd, err := openat(p.folder, p.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, uint32(perm.Perm()))
		if errors.Is(err, unix.EEXIST) {
			return errChanged
		}
		if err == nil {
			f = os.NewFile(uintptr(fd), path)
		}
		return err
	})
	return f, err
}

// Remove removes the name of a file, not of a folder. A link that may be followed is followed up to the last folder only.
func Remove(path string) error {
	dir, name := filepath.Split(filepath.Clean(path))
	return in("remove", dir, func(p *place) error {
		folder, err := openat(p.folder, p.name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(folder)
		return unix.Unlinkat(folder, name, 0)
	})
}

// Handle is something in the file system, as it was found: what is done to it is done to nothing else.
type Handle struct {
	fd   int
	stat unix.Stat_t
	path string
}

// Find finds what is at the end of a path, which is not followed if it is a link.
func Find(path string) (h *Handle, err error) {
	dir, name := filepath.Split(filepath.Clean(path))
	err = in("find", dir, func(p *place) error {
		folder, err := openat(p.folder, p.name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(folder)
		fd, err := openat(folder, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		h, err = NewHandle(fd, path)
		return err
	})
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		err = &fs.PathError{Op: "find", Path: path, Err: errno}
	}
	return h, err
}

// NewHandle is the handle of a descriptor (O_PATH), which it takes over.
func NewHandle(fd int, path string) (*Handle, error) {
	h := &Handle{fd: fd, path: path}
	if err := unix.Fstat(fd, &h.stat); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return h, nil
}

// Close gives the descriptor back.
func (h *Handle) Close() { _ = unix.Close(h.fd) }

// Same says whether both are the same thing.
func (h *Handle) Same(o *Handle) bool { return h.stat.Dev == o.stat.Dev && h.stat.Ino == o.stat.Ino }

// Mode is what it is and who may do what.
func (h *Handle) Mode() uint32 { return h.stat.Mode }

// Owner is whom it belongs to.
func (h *Handle) Owner() (uid, gid int) { return int(h.stat.Uid), int(h.stat.Gid) }

// Names is how many names it has, hard links.
func (h *Handle) Names() uint64 { return uint64(h.stat.Nlink) } //nolint:unconvert // its type differs between machines

// proc is a name of it that leads nowhere else, proc(5). An O_PATH descriptor itself can be changed by few calls only.
func (h *Handle) proc() string { return fmt.Sprintf("/proc/self/fd/%d", h.fd) }

// Chmod changes who may do what.
func (h *Handle) Chmod(mode fs.FileMode) error {
	if err := unix.Chmod(h.proc(), uint32(mode.Perm())); err != nil {
		return pathError("chmod", h.path, err)
	}
	return nil
}

// Chown changes whom it belongs to; -1 leaves that.
func (h *Handle) Chown(uid, gid int) error {
	if err := unix.Fchownat(h.fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
		return pathError("chown", h.path, err)
	}
	return nil
}

// Setxattr sets an extended attribute.
func (h *Handle) Setxattr(name string, value []byte) error {
	if err := unix.Setxattr(h.proc(), name, value, 0); err != nil {
		return pathError("setxattr", h.path, err)
	}
	return nil
}

// Author names who else than root can change what a path leads to, by the file, by a folder on the way or by a link; empty if nobody
// can.
func Author(path string) (string, error) {
	author := ""
	w, p, err := find(path, func(folder *unix.Stat_t, _ string, entry *unix.Stat_t) error {
		isLink := entry.Mode&unix.S_IFMT == unix.S_IFLNK // whose permissions say nothing
		switch {
		case author != "":
		case folder.Uid != 0:
			author = "user " + userName(folder.Uid)
		case folder.Mode&0o002 != 0 && folder.Mode&unix.S_ISVTX == 0:
			author = "everybody"
		case folder.Mode&0o020 != 0 && folder.Gid != 0 && folder.Mode&unix.S_ISVTX == 0:
			author = "group " + groupName(folder.Gid)
		case entry.Uid != 0:
			author = "user " + userName(entry.Uid)
		case isLink:
		case entry.Mode&unix.S_IFMT == unix.S_IFDIR: // it is the folder of the next one
		case entry.Mode&0o002 != 0:
			author = "everybody"
		case entry.Mode&0o020 != 0 && entry.Gid != 0:
			author = "group " + groupName(entry.Gid)
		}
		return nil
	})
	if err != nil {
		return "", explain("find", path, err)
	}
	defer w.close()
	defer p.close()
	if p.entry < 0 {
		return "", pathError("find", path, unix.ENOENT)
	}
	return author, nil
}

func openNonblock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

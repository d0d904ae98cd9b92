package safefile

import (
	"cmp"
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
	if path == "" { // which Abs would take for the working folder
		return nil, nil, unix.ENOENT
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	if path[len(path)-1] == '/' {
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

// inFolder has do look at a name in the folder that holds it. Links are followed as far as that.
func inFolder(op, path string, do func(folder int, name string) error) error {
	dir, name := filepath.Split(filepath.Clean(path))
	err := in(op, cmp.Or(dir, "."), func(p *place) error {
		if p.entry < 0 {
			return unix.ENOENT
		}
		folder, err := openat(p.entry, ".", unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(folder)
		return do(folder, name)
	})
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		err = &fs.PathError{Op: op, Path: path, Err: errno}
	}
	return err
}

// Create makes a file anew, in the place of what has its name: that is removed and not written to.
func Create(path string, perm fs.FileMode) (f *os.File, err error) {
	err = inFolder("create", path, func(folder int, name string) error {
		if err := unix.Unlinkat(folder, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
		fd, err := openat(folder, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, uint32(perm.Perm()))
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

// Remove removes the name of a file, not of a folder.
func Remove(path string) error {
	return inFolder("remove", path, func(folder int, name string) error { return unix.Unlinkat(folder, name, 0) })
}

// Handle is something in the file system, as it was found: what is done to it is done to nothing else.
type Handle struct {
	fd     int
	stat   unix.Stat_t
	path   string
	closed bool
}

// Find finds what is at the end of a path, which is not followed if it is a link.
func Find(path string) (h *Handle, err error) {
	err = inFolder("find", path, func(folder int, name string) error {
		fd, err := openat(folder, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		if h, err = NewHandle(fd, path); err != nil {
			return err
		}
		var in unix.Stat_t
		err = unix.Fstat(folder, &in)
		h.closed = err == nil && accessTo(&in) == closed
		return err
	})
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

// IsSocket says whether it is a unix socket.
func (h *Handle) IsSocket() bool { return h.stat.Mode&unix.S_IFMT == unix.S_IFSOCK }

// OwnedBy says why it may be something that another user has put there; nil if nobody else can change the folder that it was found
// in, or if it belongs to root, to this process's user or to uid, and has no other name.
func (h *Handle) OwnedBy(uid int) error {
	switch {
	case h.closed:
		return nil
	case h.stat.Nlink > 1:
		return fmt.Errorf("%s: %w: it has another name (hard link)", h.path, ErrUnsafe)
	case !own(h.stat.Uid) && int(h.stat.Uid) != uid:
		return fmt.Errorf("%s: %w: it belongs to %s", h.path, ErrUnsafe, userName(h.stat.Uid))
	}
	return nil
}

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

// Placer names who else than root can put something in the place of a file, such as a link, or can move a folder on the way to it;
// empty if nobody can. The file itself may belong to anybody, or not be there.
func Placer(path string) (string, error) {
	placer := ""
	look := func(folder *unix.Stat_t, isFolder bool) {
		switch sticks := folder.Mode&unix.S_ISVTX != 0 && isFolder; {
		case placer != "":
		case folder.Uid != 0:
			placer = "user " + userName(folder.Uid)
		case folder.Mode&0o002 != 0 && !sticks:
			placer = "everybody"
		case folder.Mode&0o020 != 0 && folder.Gid != 0 && !sticks:
			placer = "group " + groupName(folder.Gid)
		}
	}
	w, p, err := find(path, func(folder *unix.Stat_t, _ string, entry *unix.Stat_t) error {
		look(folder, entry.Mode&unix.S_IFMT == unix.S_IFDIR && entry.Uid == 0)
		return nil
	})
	if err != nil {
		if absent, ok := errors.AsType[*absentError](err); ok {
			look(&absent.folder, false)
			return placer, nil
		}
		return "", explain("find", path, err)
	}
	defer w.close()
	defer p.close()
	if p.entry < 0 {
		look(&p.in, false)
	}
	return placer, nil
}

// Owner is whom a path's end belongs to. An error that is [ErrUnsafe] says that a symbolic link leads there that belongs to neither
// root nor that user: who has put it there gives away what is not theirs.
func Owner(path string) (uid, gid int, err error) {
	type found struct {
		uid  uint32
		name string
	}
	var links []found
	w, p, err := find(path, func(folder *unix.Stat_t, name string, entry *unix.Stat_t) error {
		if entry.Mode&unix.S_IFMT == unix.S_IFLNK && accessTo(folder) != closed {
			links = append(links, found{entry.Uid, name})
		}
		return nil
	})
	if err != nil {
		return -1, -1, explain("find", path, err)
	}
	defer w.close()
	defer p.close()
	if p.entry < 0 {
		return -1, -1, pathError("find", path, unix.ENOENT)
	}
	for _, l := range links {
		if l.uid != 0 && l.uid != p.stat.Uid {
			return -1, -1, fmt.Errorf("%s: %w: the symbolic link %s belongs to %s and leads to what belongs to %s",
				path, ErrUnsafe, l.name, userName(l.uid), userName(p.stat.Uid))
		}
	}
	return int(p.stat.Uid), int(p.stat.Gid), nil
}

func openNonblock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

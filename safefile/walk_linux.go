package safefile

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a path may lead through, as in the kernel (MAXSYMLINKS).
const maxLinks = 40

// walker goes along a path.
type walker struct {
	folders []int // descriptors of the folders on the way, the lowest is where the path begins
	links   int   // symbolic links so far
	// inside says that the lowest folder is the root folder of the path, and that links of proc(5), which lead out, are refused.
	inside bool
	// visit, if it is not nil, may refuse an entry of a folder.
	visit func(folder *unix.Stat_t, name string, entry *unix.Stat_t) error
}

// place is what a path leads to.
type place struct {
	folder int    // the last folder, a descriptor that the walker closes
	name   string // in that folder; "." for the folder itself
	in     unix.Stat_t
	entry  int // an O_PATH descriptor of what is there, -1 if there is nothing
	stat   unix.Stat_t
	// magic says that the name is a link of proc(5), which is no path.
	magic bool
}

// close closes what a place holds open.
func (p *place) close() {
	if p.entry >= 0 {
		_ = unix.Close(p.entry)
		p.entry = -1
	}
}

// close closes the folders.
func (w *walker) close() {
	for _, fd := range w.folders {
		_ = unix.Close(fd)
	}
	w.folders = nil
}

// top is the folder that the walk has come to.
func (w *walker) top() int { return w.folders[len(w.folders)-1] }

// up goes to the folder above, not further than to where paths begin.
func (w *walker) up(n int) {
	for ; n > 0 && len(w.folders) > 1; n-- {
		_ = unix.Close(w.top())
		w.folders = w.folders[:len(w.folders)-1]
	}
}

// walk goes to the end of a path. A last component that is not there is no error.
func (w *walker) walk(path string) (*place, error) {
	rest := strings.Split(path, "/")
	slash := strings.HasSuffix(path, "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			w.up(1)
			continue
		}
		last := strings.Join(rest, "") == ""
		p := &place{folder: w.top(), name: name, entry: -1}
		if err := unix.Fstat(p.folder, &p.in); err != nil {
			return nil, err
		}
		fd, err := openat(p.folder, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		switch {
		case errors.Is(err, unix.ENOENT) && last && !slash:
			return p, nil
		case errors.Is(err, unix.ENOENT):
			return nil, &absentError{p.in}
		case err != nil:
			return nil, err
		}
		p.entry = fd
		next, err := w.step(p, last && !slash)
		if err != nil {
			p.close()
			return nil, err
		}
		if next == nil {
			return p, nil
		}
		rest = append(next, rest...)
		slash = slash || len(next) > 0 && last && next[len(next)-1] == ""
	}
	p := &place{folder: w.top(), name: ".", entry: -1}
	if err := unix.Fstat(p.folder, &p.in); err != nil {
		return nil, err
	}
	fd, err := openat(p.folder, ".", unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	p.entry, p.stat = fd, p.in
	return p, nil
}

// absentError is a path that leads through something that is not there, in this folder.
type absentError struct{ folder unix.Stat_t }

func (*absentError) Error() string { return unix.ENOENT.Error() }

func (*absentError) Unwrap() error { return unix.ENOENT }

// step goes on from an entry: nil says that it is what was looked for; else it is entered, or what the link says is to be walked.
func (w *walker) step(p *place, last bool) (next []string, err error) {
	if err := unix.Fstat(p.entry, &p.stat); err != nil {
		return nil, err
	}
	if w.visit != nil {
		if err := w.visit(&p.in, p.name, &p.stat); err != nil {
			return nil, err
		}
	}
	switch p.stat.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return w.link(p, last)
	case unix.S_IFDIR:
		if last {
			return nil, nil
		}
		w.folders = append(w.folders, p.entry)
		p.entry = -1
		return []string{}, nil
	}
	if last {
		return nil, nil
	}
	return nil, unix.ENOTDIR
}

// link reads a symbolic link.
func (w *walker) link(p *place, last bool) ([]string, error) {
	if w.links++; w.links > maxLinks {
		return nil, unix.ELOOP
	}
	target, err := readlink(p.entry)
	if err != nil {
		return nil, err
	}
	var sys unix.Statfs_t
	if err := unix.Fstatfs(p.entry, &sys); err != nil {
		return nil, err
	}
	if sys.Type == unix.PROC_SUPER_MAGIC && isMagic(target) {
		if w.inside || !last {
			return nil, unix.ELOOP
		}
		p.magic = true
		return nil, nil
	}
	p.close()
	if strings.HasPrefix(target, "/") {
		w.up(len(w.folders))
	}
	return strings.Split(target, "/"), nil
}

// isMagic says whether the target of a link of proc(5) may be something else than a path: what "self", "thread-self" and those that
// begin with them say is one.
func isMagic(target string) bool {
	first, _, _ := strings.Cut(target, "/")
	return first == "" || first != "self" && first != "thread-self" && strings.Trim(first, "0123456789") != ""
}

// readlink returns what a link says of which fd is the descriptor.
func readlink(fd int) (string, error) {
	buffer := make([]byte, unix.PathMax+1)
	n, err := unix.Readlinkat(fd, "", buffer)
	if err != nil {
		return "", err
	}
	if n == 0 {
		return "", unix.ENOENT
	}
	return string(buffer[:n]), nil
}

// openat is openat(2), repeated when a signal interrupts it.
func openat(folder int, name string, flags int, perm uint32) (int, error) {
	for {
		fd, err := unix.Openat(folder, name, flags|unix.O_CLOEXEC, perm)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// pathError is err as the standard library tells it.
func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return &fs.PathError{Op: op, Path: path, Err: errno}
	}
	return err
}

package safefile

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Root is a folder that is the root folder of paths, as after chroot(2): absolute paths and absolute links begin in it, and ".."
// does not lead out of it. It is the folder that was opened, whatever becomes of its name.
type Root struct {
	folder *os.File
	// byHand says that this kernel has no openat2(2), or that a filter of system calls refuses it (seccomp(2)).
	byHand atomic.Bool
}

// OpenRoot opens a folder as a root. One that is not closed is when nobody has it any more.
func OpenRoot(path string) (*Root, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, pathError("open", path, err)
	}
	return &Root{folder: os.NewFile(uintptr(fd), path)}, nil
}

// Close gives the folder up.
func (r *Root) Close() error { return r.folder.Close() }

// Stat looks at what a path inside leads to.
func (r *Root) Stat(path string) (os.FileInfo, error) {
	f, err := r.open(path, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// Open opens a file inside for reading. It waits for nobody who writes to a FIFO.
func (r *Root) Open(path string) (*os.File, error) {
	return r.open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
}

func (r *Root) open(path string, flags int) (*os.File, error) {
	defer runtime.KeepAlive(r.folder)
	if strings.ContainsRune(path, 0) {
		return nil, pathError("open", path, unix.EINVAL)
	}
	if path == "" {
		return nil, pathError("open", path, unix.ENOENT)
	}
	fd, err := -1, error(unix.ENOSYS)
	if !r.byHand.Load() {
		fd, err = r.openat2(path, flags)
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
			r.byHand.Store(true)
		}
	}
	if r.byHand.Load() {
		fd, err = r.walk(path, flags)
	}
	if err != nil {
		return nil, pathError("open", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openat2 has the kernel hold the path inside (openat2(2), RESOLVE_IN_ROOT). It tries again where somebody moves folders meanwhile.
func (r *Root) openat2(path string, flags int) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   uint64(flags) | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for tries := 0; ; tries++ {
		fd, err = unix.Openat2(int(r.folder.Fd()), path, &how)
		if !errors.Is(err, unix.EINTR) && (!errors.Is(err, unix.EAGAIN) || tries > maxTries) {
			return fd, err
		}
	}
}

// walk does the same folder by folder.
func (r *Root) walk(path string, flags int) (int, error) {
	for range maxTries {
		fd, err := r.walkOnce(path, flags)
		if !errors.Is(err, errChanged) {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

func (r *Root) walkOnce(path string, flags int) (int, error) {
	root, err := openat(int(r.folder.Fd()), ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	w := &walker{folders: []int{root}, inside: true}
	defer w.close()
	p, err := w.walk(path)
	if err != nil {
		return -1, err
	}
	defer p.close()
	if p.entry < 0 {
		return -1, unix.ENOENT
	}
	return openSame(p, flags)
}

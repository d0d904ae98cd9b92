package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Root looks files up below one document root without ever leaving it.
//
//	statx(root path)          same folder as the descriptor? else open it anew
//	openat2(root, url path)   RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS: the kernel holds the walk inside
//	fstat, close
//
// Only a path with symbolic links in it costs more (linkwalk_linux.go).
//
// Of a name in the root itself, which most front controllers are, the last two are one: fstatat(root, name).
//
// The descriptor of the root makes a lookup one walk of one tree: a release
// link that is switched meanwhile cannot mix two releases.
type Root struct {
	path  string
	cpath []byte // path with its NUL, so that the statx of each request allocates nothing
	opts  Options

	current atomic.Pointer[rootDir]
	reopen  sync.Mutex // held while current is being replaced

	// portable does the work where openat2(2) is missing (Linux before 5.6) or
	// refused by a seccomp filter; nil otherwise.
	portable *portableRoot
}

// rootDir is the root folder as it was when it was opened. The open descriptor
// keeps its inode number from being given to another folder.
type rootDir struct {
	fd       int
	dev, ino uint64
	real     string       // real path at that time
	refs     atomic.Int64 // one for being current, one for each lookup
}

// procFD names the folder of proc(5) whose links give a descriptor's real path.
const procFD = "/proc/self/fd/"

// maxRetries bounds repeated tries against someone who renames in a loop.
const maxRetries = 16

// missingRetries bounds how many milliseconds a missing root is waited for: its link may be about to be made anew, by a
// program that a busy machine keeps waiting.
const missingRetries = 250

func openRoot(path string, opts Options) (*Root, error) {
	d := &Root{path: path, cpath: append([]byte(path), 0), opts: opts}
	r, err := openRootDir(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open document root %q: %w", path, err)
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(r.fd, ".", &how)
	if err != nil || r.real == "" {
		if err == nil {
			_ = unix.Close(fd)
		}
		r.release()
		d.portable = &portableRoot{path: path, opts: opts}
		return d, nil
	}
	_ = unix.Close(fd)
	d.current.Store(r)
	return d, nil
}

// openRootDir opens the root with one reference. real is empty without /proc.
func openRootDir(path string) (*rootDir, error) {
	fd, err := openAt(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		fd, err = unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	r := &rootDir{fd: fd, dev: uint64(st.Dev), ino: st.Ino}
	r.refs.Store(1)
	if real, err := realPathOf(fd); err == nil {
		r.real = real
	}
	return r, nil
}

// retain takes a reference; false when the last one is gone already.
func (r *rootDir) retain() bool {
	for {
		n := r.refs.Load()
		if n == 0 {
			return false
		}
		if r.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (r *rootDir) release() {
	if r.refs.Add(-1) == 0 {
		_ = unix.Close(r.fd)
	}
}

// Close gives the root's descriptor back once running lookups have ended.
// Lookups after Close fail with fs.ErrClosed.
func (d *Root) Close() error {
	d.reopen.Lock()
	defer d.reopen.Unlock()
	if r := d.current.Swap(nil); r != nil {
		r.release()
	}
	return nil
}

// root returns the folder that the root path names now, retained.
func (d *Root) root() (*rootDir, error) {
	var st unix.Statx_t
	if err := d.statRoot(&st); err != nil {
		return nil, rootError(d.path, err)
	}
	dev := unix.Mkdev(st.Dev_major, st.Dev_minor)
	for {
		r := d.current.Load()
		if r == nil {
			return nil, fs.ErrClosed
		}
		if r.dev != dev || r.ino != st.Ino {
			return d.reopenRoot()
		}
		if r.retain() {
			return r, nil
		}
	}
}

// statRoot is statx(2) of the root path, through links. It looks again for a
// few milliseconds when nothing is there: ln -sfn, the usual way to switch a
// release, removes the old link before it makes the new one.
func (d *Root) statRoot(st *unix.Statx_t) error {
	for try := 0; ; {
		at := unix.AT_FDCWD
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(at), uintptr(unsafe.Pointer(&d.cpath[0])),
			0, unix.STATX_INO, uintptr(unsafe.Pointer(st)), 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		case unix.ENOENT:
			if try++; try < missingRetries {
				time.Sleep(time.Millisecond)
				continue
			}
		}
		return errno
	}
}

// reopenRoot replaces current by what the root path names now.
func (d *Root) reopenRoot() (*rootDir, error) {
	d.reopen.Lock()
	defer d.reopen.Unlock()
	old := d.current.Load()
	if old == nil {
		return nil, fs.ErrClosed
	}
	r, err := openRootDir(d.path)
	if errors.Is(err, unix.ENOENT) {
		return nil, unix.EAGAIN // switched again: statRoot is there to wait
	}
	if err != nil {
		return nil, rootError(d.path, err)
	}
	if r.dev == old.dev && r.ino == old.ino && r.real == old.real {
		r.release() // another lookup was here first
		old.retain()
		return old, nil // retained for sure: current holds a reference and we hold the lock
	}
	r.retain()
	d.current.Store(r)
	old.release()
	return r, nil
}

// rootError is an error about the root itself: a release link that dangles is
// no file not found, it is a site that is down.
func rootError(path string, err error) error {
	return fmt.Errorf("cannot open document root %q: %v", path, err)
}

// Lookup finds the file at urlPath, a result of CleanPath. Errors:
// fs.ErrNotExist (also for a name no file can have, a loop of links, and a
// trailing slash behind a file), fs.ErrPermission, ErrOutsideRoot, or another
// that is the server's fault. It does not say that the file can be read:
// PHP's user reads scripts.
func (d *Root) Lookup(urlPath string) (Found, error) {
	if d.portable != nil {
		return d.portable.Lookup(urlPath)
	}
	if rel, err := relPath(urlPath); err == nil && !d.opts.ResolveSymlinks && !strings.Contains(rel, "/") {
		if fnd, err := d.lookupName(rel); err != errIsLink {
			fnd.url = urlPath
			return fnd, lookupError(urlPath, err)
		}
	}
	fd, fnd, err := d.find(urlPath, unix.O_PATH)
	if err != nil {
		return Found{}, err
	}
	_ = unix.Close(fd)
	return fnd, nil
}

// errIsLink says that a name is a symbolic link, so that more than one look is needed.
var errIsLink = errors.New("symbolic link")

// lookupName finds a name in the root itself. There is no folder on the way and only a link could lead out.
func (d *Root) lookupName(name string) (Found, error) {
	r, err := d.root()
	if err != nil {
		if errors.Is(err, unix.EAGAIN) {
			err = errIsLink // being switched: the other way tries again
		}
		return Found{}, err
	}
	defer r.release()
	var st unix.Stat_t
	if err := unix.Fstatat(r.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Found{}, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return Found{}, errIsLink
	}
	return Found{Root: d.path, Path: joinRoot(d.path, name), Info: infoOf(&st)}, nil
}

// Open opens the regular file at urlPath for reading. Anything else is
// errNotRegular, with found filled in. O_NONBLOCK keeps a FIFO from hanging
// the open; on a regular file it means nothing (open(2)).
func (d *Root) Open(urlPath string) (f *os.File, fnd Found, err error) {
	d.opts.As.Do(func() { f, fnd, err = d.openAsIs(urlPath) })
	return f, fnd, err
}

// openAsIs is open with the rights that the thread has.
func (d *Root) openAsIs(urlPath string) (*os.File, Found, error) {
	if d.portable != nil {
		return d.portable.Open(urlPath)
	}
	fd, fnd, err := d.find(urlPath, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, Found{}, err
	}
	if !fnd.Regular {
		_ = unix.Close(fd)
		return nil, fnd, errNotRegular
	}
	return os.NewFile(uintptr(fd), fnd.Path), fnd, nil
}

// find opens the file at urlPath with flags.
func (d *Root) find(urlPath string, flags int) (int, Found, error) {
	rel, err := relPath(urlPath)
	if err != nil {
		return -1, Found{}, err
	}
	for range maxRetries {
		fd, fnd, err := d.findOnce(rel, urlPath, flags)
		if errors.Is(err, unix.EAGAIN) {
			continue // something was renamed on the way
		}
		if err != nil {
			return -1, Found{}, lookupError(urlPath, err)
		}
		fnd.url = urlPath
		return fd, fnd, nil
	}
	return -1, Found{}, fmt.Errorf("cannot look up %q: it is being renamed all the time", urlPath)
}

// findOnce is find for one state of the root; EAGAIN asks for another try.
func (d *Root) findOnce(rel, url string, flags int) (int, Found, error) {
	r, err := d.root()
	if err != nil {
		return -1, Found{}, err
	}
	defer r.release()

	fd, err := openAt(r.fd, rel, flags, unix.RESOLVE_NO_MAGICLINKS|unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if err == unix.ELOOP { // a link, or a loop of them
		fd, err = d.openThroughLinks(r, rel, url, flags)
	}
	if err != nil {
		return -1, Found{}, err
	}
	fnd := Found{Root: d.path}
	if d.opts.ResolveSymlinks {
		fnd.Root, fnd.Path, err = realPaths(r, fd, rel)
	} else {
		fnd.Path = joinRoot(d.path, rel)
	}
	if err == nil {
		fnd.Info, err = statFD(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, Found{}, err
	}
	return fd, fnd, nil
}

// openAt is openat2(2), repeated when a signal interrupts it.
func openAt(dirfd int, path string, flags int, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: resolve}
	for {
		fd, err := unix.Openat2(dirfd, path, &how)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func statFD(fd int) (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Info{}, err
	}
	return infoOf(&st), nil
}

func infoOf(st *unix.Stat_t) Info {
	sec, nsec := st.Mtim.Unix()
	return Info{
		Dir:     st.Mode&unix.S_IFMT == unix.S_IFDIR,
		Regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
		size:    st.Size,
		mtime:   time.Unix(sec, nsec),
		ino:     st.Ino,
		dev:     uint64(st.Dev),
	}
}

// lookupError gives the errors that decide the answer their plain form,
// without an allocation: a pretty URL that no file answers is the usual case.
func lookupError(urlPath string, err error) error {
	switch err {
	case nil:
		return nil
	case unix.ENOENT, unix.ENOTDIR, unix.ENAMETOOLONG, unix.ELOOP, unix.EINVAL, unix.ENXIO, unix.ENODEV:
		return fs.ErrNotExist
	case unix.EACCES, unix.EPERM:
		return fs.ErrPermission
	}
	if errors.Is(err, ErrOutsideRoot) {
		return err
	}
	return fmt.Errorf("cannot look up %q: %w", urlPath, err)
}

package files

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links one walk follows, as many as the kernel's own (path_resolution(7)).
const maxLinks = 40

// openThroughLinks is findOnce for a path with symbolic links in it, which are followed as the policy says. What is checked
// is always a descriptor, and what is opened in the end is that very file. url is what was asked for.
func (d *Root) openThroughLinks(r *rootDir, rel, url string, flags int) (int, error) {
	root, err := realPathOf(r.fd)
	if err != nil {
		return -1, err
	}
	// RESOLVE_BENEATH refuses each link that may lead out, which is every absolute one, but not all of these do. Without
	// it the kernel still checks what it always does, such as fs.protected_symlinks.
	fd, err := openAt(r.fd, rel, unix.O_PATH, unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		if link := d.refusedOnTheWay(r, rel); link != nil {
			err = link
		}
		return -1, err
	}
	real, err := realPathOf(fd)
	if err == nil && !below(root, real) && d.opts.Links != linksAll {
		_ = unix.Close(fd)
		if d.opts.Links == linksInside {
			return -1, refusedInside(d.path, rel, root, real)
		}
		if fd, real, err = walkLinks(r, root, rel, d.path); err != nil {
			return -1, err
		}
	}
	var info Info
	if err == nil {
		info, err = statFD(fd)
	}
	if err == nil {
		if rule, denied := d.opts.Protect.deniedTarget(root, real, url, info.Dir); denied {
			err = refusedTarget(d.path, rel, real, rule)
		}
	}
	if err == nil && flags&unix.O_PATH != 0 {
		return fd, nil
	}
	defer unix.Close(fd)
	if err != nil {
		return -1, err
	}
	return openAt(unix.AT_FDCWD, procFD+strconv.Itoa(fd), flags, 0)
}

// refusedOnTheWay is the error of a link on the way to what does not exist; nil if there is none. Whoever asks must not learn what exists
// behind a link that is not followed, nor reach the front controller by it.
func (d *Root) refusedOnTheWay(r *rootDir, rel string) error {
	prefix := existing(rel, func(prefix string) bool {
		fd, err := openAt(r.fd, prefix, unix.O_PATH, unix.RESOLVE_NO_MAGICLINKS)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err == nil
	})
	if prefix == "" {
		return nil
	}
	fd, err := d.openThroughLinks(r, prefix, "/"+prefix, unix.O_PATH)
	if err == nil {
		_ = unix.Close(fd)
	}
	if link, ok := errors.AsType[*LinkError](err); ok {
		return link
	}
	return nil
}

// walkLinks opens rel below the root with O_PATH, link by link, and checks the owner of each.
func walkLinks(r *rootDir, root, rel, shown string) (fd int, real string, err error) {
	w := &linkWalk{rule: linkRule{root: root}, left: maxLinks}
	if fd, err = w.open(r.fd, rel, shown); err != nil {
		return -1, "", err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		real, err = realPathOf(fd)
	}
	if err == nil && strings.HasSuffix(rel, "/") && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err == nil {
		err = w.rule.end(real, st.Uid)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, "", err
	}
	return fd, real, nil
}

// linkWalk follows paths as the kernel does, but looks at each link on the way.
type linkWalk struct {
	rule linkRule
	left int // links that may still be followed
}

// open opens path, relative to the folder dir unless it is absolute; shown is the path of dir for messages.
func (w *linkWalk) open(dir int, path, shown string) (int, error) {
	// Most of what links lead to is reached without another one.
	fd, err := openAt(dir, path, unix.O_PATH, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_MAGICLINKS)
	if err != unix.ELOOP {
		return fd, err
	}
	start := "."
	if path[0] == '/' {
		start, shown = "/", ""
	}
	if fd, err = openAt(dir, start, unix.O_PATH, 0); err != nil {
		return -1, err
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		shown += "/" + name
		next, err := w.step(fd, name, shown)
		_ = unix.Close(fd)
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

// step opens one name of the folder dir, or what it leads to if it is a link.
func (w *linkWalk) step(dir int, name, shown string) (int, error) {
	fd, err := openAt(dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, err
	}
	var st, target unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return fd, nil
	}
	defer unix.Close(fd)
	if err != nil {
		return -1, err
	}
	if w.left--; w.left < 0 {
		return -1, unix.ELOOP
	}
	var fsys unix.Statfs_t
	if err := unix.Fstatfs(fd, &fsys); err != nil {
		return -1, err
	}
	if fsys.Type == unix.PROC_SUPER_MAGIC {
		return -1, unix.ELOOP // it may be a magic one, which leads elsewhere than its text says
	}
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, "", buf[:])
	if err != nil {
		return -1, err
	}
	if n == 0 || n == len(buf) {
		return -1, unix.ENOENT
	}
	to, err := w.open(dir, string(buf[:n]), shown[:strings.LastIndexByte(shown, '/')])
	if err != nil {
		return -1, err
	}
	real, err := realPathOf(to)
	if err == nil {
		err = unix.Fstat(to, &target)
	}
	if err == nil {
		err = w.rule.follow(linkPath(dir, name, shown), st.Uid, real, target.Uid)
	}
	if err != nil {
		_ = unix.Close(to)
		return -1, err
	}
	return to, nil
}

// linkPath is the path of a link in the folder dir for messages: shown, if that goes only down.
func linkPath(dir int, name, shown string) string {
	if strings.Contains(shown, "/../") {
		if folder, err := realPathOf(dir); err == nil {
			return joinRoot(folder, name)
		}
	}
	return shown
}

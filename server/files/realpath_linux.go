package files

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Real paths come from proc(5), where each descriptor is a link to what it was
// opened on: nothing can be swapped between asking and using.

// realPaths returns the real paths of the root and of the file fd below it, as
// they are now: a renamed release folder keeps its inode, so the path from
// when the root was opened is used only while the file's own path proves it.
func realPaths(r *rootDir, fd int, rel string) (root, file string, err error) {
	if file, err = realPathOf(fd); err != nil {
		return "", "", err
	}
	if rest, ok := strings.CutPrefix(file, r.real); ok {
		if rest == "" && rel == "." || rest != "" && rest[0] == '/' && rest[1:] == strings.TrimSuffix(rel, "/") {
			return r.real, file, nil
		}
	}
	if root, err = realPathOf(r.fd); err != nil {
		return "", "", err
	}
	return root, file, nil
}

// realPathOf reads the link of fd in proc(5). The kernel appends " (deleted)"
// to a file that was unlinked meanwhile; hard links make st_nlink no proof, so
// a path that ends like this must still name the same file. EAGAIN otherwise.
func realPathOf(fd int) (string, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlink(procFD+strconv.Itoa(fd), buf[:])
	if err != nil {
		return "", err
	}
	if n == 0 || n == len(buf) || buf[0] != '/' {
		return "", unix.EAGAIN
	}
	path := string(buf[:n])
	if strings.HasSuffix(path, " (deleted)") {
		var byPath, byFD unix.Stat_t
		if unix.Lstat(path, &byPath) != nil || unix.Fstat(fd, &byFD) != nil || byPath.Ino != byFD.Ino || byPath.Dev != byFD.Dev {
			return "", unix.EAGAIN
		}
	}
	return path, nil
}

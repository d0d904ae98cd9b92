//go:build unix

package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// ownerOf names the owner of a folder, empty if that is root or unknown.
func ownerOf(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 || stat.Gid == 0 {
		return ""
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(stat.Uid), 10))
	if err != nil {
		return ""
	}
	return u.Username
}

// otherAuthor names who else than root can change a file that root found by itself, by the file or by its folder; empty if
// nobody can, or if phpserve does not run as root.
func otherAuthor(file string) string {
	if os.Geteuid() != 0 {
		return ""
	}
	path, err := filepath.Abs(file)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "somebody"
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(p)
		if err != nil {
			return "somebody"
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case !ok:
			return "somebody"
		case st.Uid != 0:
			return "user " + userName(st.Uid)
		case st.Mode&0o002 != 0 && (st.Mode&syscall.S_ISVTX == 0 || p == path):
			return "everybody"
		case st.Mode&0o020 != 0 && st.Gid != 0:
			return fmt.Sprintf("group %d", st.Gid)
		}
	}
	return ""
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// ownedByMe says whether a file belongs to the user of phpserve.
func ownedByMe(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// processGone says whether there is no process of this pid.
func processGone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }

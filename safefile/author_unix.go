//go:build unix && !linux

package safefile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Author names who else than root can change what a path leads to, by the file or by its folder; empty if nobody can.
func Author(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", err
	}
	for _, p := range []string{abs, filepath.Dir(abs)} {
		info, err := os.Stat(p)
		if err != nil {
			return "", err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case !ok || st.Uid != 0:
			return "another user", nil
		case st.Mode&0o002 != 0 && (st.Mode&syscall.S_ISVTX == 0 || p == abs):
			return "everybody", nil
		case st.Mode&0o020 != 0 && st.Gid != 0:
			return "a group", nil
		}
	}
	return "", nil
}

// Placer names who else than root can put something in the place of a file; empty if nobody can.
func Placer(path string) (string, error) { return Author(filepath.Dir(path)) }

// Owner is whom a path's end belongs to.
func Owner(path string) (uid, gid int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return -1, -1, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1, errors.ErrUnsupported
	}
	return int(st.Uid), int(st.Gid), nil
}

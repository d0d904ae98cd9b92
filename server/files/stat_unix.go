//go:build unix

package files

import (
	"io/fs"
	"syscall"
)

// fileIDs returns the device and inode number of a file.
func fileIDs(info fs.FileInfo) (dev, ino uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev), uint64(st.Ino)
	}
	return 0, 0
}

// fileOwner returns the owner of a file.
func fileOwner(info fs.FileInfo) (uid uint32, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, true
}

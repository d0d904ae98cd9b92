//go:build unix

package server

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

//go:build !unix

package files

import "io/fs"

// fileIDs returns zeros: there are no inode numbers here without another open.
func fileIDs(fs.FileInfo) (dev, ino uint64) { return 0, 0 }

// fileOwner knows no owner.
func fileOwner(fs.FileInfo) (uid uint32, ok bool) { return 0, false }

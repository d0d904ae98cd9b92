//go:build !linux

package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// OpenAppend opens a log for adding to it, or makes it with these permissions.
func OpenAppend(path string, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, perm)
}

// Create makes a file anew, in the place of what has its name: that is removed and not written to.
func Create(path string, perm fs.FileMode) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
}

// Remove removes the name of a file, not of a folder.
func Remove(path string) error { return os.Remove(path) }

// Root is a folder that is the root folder of paths, for pools with a chroot: Linux only.
type Root struct{}

// OpenRoot is for Linux only.
func OpenRoot(string) (*Root, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Root) Close() error { return nil }

// Stat is for Linux only.
func (*Root) Stat(string) (os.FileInfo, error) { return nil, errors.ErrUnsupported }

// Open is for Linux only.
func (*Root) Open(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func openNonblock(path string) (*os.File, error) { return os.Open(filepath.Clean(path)) }

//go:build !linux

package server

import "os"

// docRoot looks files up below one document root without ever leaving it.
type docRoot struct {
	portable portableRoot
}

func openDocRoot(path string, opts docRootOptions) (*docRoot, error) {
	return &docRoot{portableRoot{path: path, opts: opts}}, nil
}

// lookup finds the file at urlPath, a result of cleanURLPath; see resolve_linux.go.
func (d *docRoot) lookup(urlPath string) (found, error) { return d.portable.lookup(urlPath) }

// open opens the regular file at urlPath for reading; see resolve_linux.go.
func (d *docRoot) open(urlPath string) (*os.File, found, error) { return d.portable.open(urlPath) }

// Close has nothing to close.
func (d *docRoot) Close() error { return nil }

//go:build !linux

package files

import "os"

// Root looks files up below one document root without ever leaving it.
type Root struct {
	portable portableRoot
}

func openRoot(path string, opts Options) (*Root, error) {
	return &Root{portableRoot{path: path, opts: opts}}, nil
}

// Lookup finds the file at urlPath, a result of CleanPath; see root_linux.go.
func (d *Root) Lookup(urlPath string) (Found, error) { return d.portable.Lookup(urlPath) }

// Open opens the regular file at urlPath for reading; see root_linux.go.
func (d *Root) Open(urlPath string) (*os.File, Found, error) { return d.portable.Open(urlPath) }

// Close has nothing to close.
func (d *Root) Close() error { return nil }

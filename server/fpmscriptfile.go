package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/phpserve/phpserve/server/spool"
)

// validScriptPath says whether php-fpm takes a path for that of a script: no component may be ".."
// (fpm_main.c:is_valid_path). None holds a NUL, which no system takes.
func validScriptPath(path string) bool {
	if strings.ContainsRune(path, 0) {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == ".." {
			return false
		}
	}
	return true
}

// refuse says why a script is not run: for its name, or because it cannot be read.
func (c *fpmScriptConfig) refuse(script string) *fpmRefusal {
	if !c.extensionAllowed(script) {
		text := "Access to the script '" + script + "' has been denied (see security.limit_extensions)"
		return &fpmRefusal{Status: 403, StatusText: "Forbidden", Body: "Access denied.\n", Stderr: text, Log: text}
	}
	err := c.readable(script)
	if err == nil {
		return nil
	}
	why := err.Error()
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		if errno == syscall.ENOTDIR { // of which php-fpm speaks as of any file that is not there
			errno = syscall.ENOENT
		}
		why = errnoText(errno)
	}
	text := "Unable to open primary script: " + script + " (" + why + ")"
	r := &fpmRefusal{Status: 404, StatusText: "Not Found", Body: "No input file specified.\n", Stderr: text, Log: text, Error: true}
	if errors.Is(err, fs.ErrPermission) {
		r.Status, r.StatusText, r.Body, r.Unreadable = 403, "Forbidden", accessDenied, true
	}
	return r
}

// errnoText is strerror(3): Go's texts are the same but for the first letter.
func errnoText(errno syscall.Errno) string {
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// extensionAllowed holds security.limit_extensions (fpm_php.c:fpm_php_limit_extensions).
func (c *fpmScriptConfig) extensionAllowed(script string) bool {
	if len(c.LimitExtensions) == 0 {
		return true
	}
	for _, ext := range c.LimitExtensions {
		if strings.HasSuffix(script, ext) {
			return true
		}
	}
	return false
}

// exists says whether PHP's user can see something at path.
func (c *fpmScriptConfig) exists(path string) bool {
	if c.Cache.has(path) {
		return true
	}
	_, err := c.stat(path)
	return err == nil
}

// isFile says whether PHP's user can see a regular file at path.
func (c *fpmScriptConfig) isFile(path string) bool {
	info, err := c.stat(path)
	return err == nil && info.Mode().IsRegular()
}

// pathMax is how long a path can be at most (PATH_MAX of limits.h): of a longer one, with as many folders, the kernel would be asked in
// vain for each.
const pathMax = 4096

func (c *fpmScriptConfig) stat(path string) (info fs.FileInfo, err error) {
	if len(path) >= pathMax {
		return nil, syscall.ENAMETOOLONG
	}
	c.As.Do(func() {
		if c.Root != nil {
			info, err = c.Root.Stat(path)
		} else {
			info, err = os.Stat(path)
		}
	})
	return info, err
}

// readable says why PHP's user cannot read a script; nil if it can.
func (c *fpmScriptConfig) readable(path string) (err error) {
	if c.Cache.has(path) {
		return nil
	}
	var info fs.FileInfo
	c.As.Do(func() {
		var f *os.File
		if f, err = c.open(path); err != nil {
			return
		}
		info, err = f.Stat()
		err = errors.Join(err, f.Close())
	})
	if err == nil && info.Mode().IsRegular() {
		c.Cache.add(path)
	}
	return err
}

// open opens a file of a request, as who the thread's files are opened as. It waits for nobody who writes to a FIFO.
func (c *fpmScriptConfig) open(path string) (*os.File, error) {
	if c.Root != nil {
		return c.Root.Open(path)
	}
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// openBody has b be the file that a web server keeps a body in (REQUEST_BODY_FILE, main/SAPI.c), as PHP's user may read it: a worker
// of php-fpm opens it as that user and in its chroot.
func (c *fpmScriptConfig) openBody(b *spool.Body, name string, length int64) (err error) {
	c.As.Do(func() { b.Given, err = c.open(name) })
	if err != nil {
		return fmt.Errorf("cannot read REQUEST_BODY_FILE: %w", err)
	}
	info, err := b.Given.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		b.Close()
		return fmt.Errorf("cannot read REQUEST_BODY_FILE %q: %w", name, err)
	}
	b.Size = min(max(length, 0), info.Size())
	return nil
}

package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/phpserve/phpserve/manager"
)

const onWindows = runtime.GOOS == "windows"

// Why a lookup that met a file does not give it.
var (
	// ErrOutsideRoot: a symbolic link leads where Options.Links does not
	// follow it, or to a protected name. It is always a LinkError.
	ErrOutsideRoot = errors.New("path leads out of the document root")
	// errNotRegular: open met a folder, FIFO, socket or device.
	errNotRegular = errors.New("not a regular file")
)

// Options says what a Root does with symbolic links.
type Options struct {
	// Links says which symbolic links that lead out of the document root are
	// followed. Links that stay inside always are.
	Links LinkPolicy
	// Protect has the names that no link may lead to; nil: there are none.
	Protect *Protection
	// ResolveSymlinks reports real paths in found, so that PHP and opcache see
	// a new path after a release folder was switched (current -> releases/7).
	ResolveSymlinks bool
	// As opens files: what PHP's user cannot read is not served, however many
	// rights phpserve has.
	As *manager.Identity
}

// Info is what the server needs to know of a file; unlike fs.FileInfo it
// costs no allocation.
type Info struct {
	Dir     bool
	Regular bool // false with dir false: FIFO, socket or device, never served
	size    int64
	mtime   time.Time
	ino     uint64 // 0 where the system has none
	dev     uint64
}

// Found is a file below the document root.
type Found struct {
	Path string // absolute path to hand to PHP; the real path with ResolveSymlinks
	Root string // document root to hand to PHP; the real path with ResolveSymlinks
	url  string // the path that was looked up
	Info
}

// OpenRoot returns the document root at path, which must be a folder now and
// may be switched to another one at any time later.
func OpenRoot(path string, opts Options) (*Root, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open document root %q: %w", path, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, fmt.Errorf("cannot open document root %q: %w", path, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("cannot open document root %q: not a folder", path)
	}
	return openRoot(abs, opts)
}

// relPath turns a URL path into one relative to the document root: "." for
// "/", repeated slashes as one, and a trailing slash kept because only a
// folder has one. It holds off by itself what CleanPath holds off, so that
// a caller's mistake finds nothing rather than something.
func relPath(urlPath string) (string, error) {
	if urlPath == "" || urlPath[0] != '/' {
		return "", fs.ErrNotExist
	}
	double := false
	for i := 0; i < len(urlPath); i++ {
		switch urlPath[i] {
		case 0, '\\':
			return "", fs.ErrNotExist
		case '/':
			double = double || i > 0 && urlPath[i-1] == '/'
		case '.':
			if urlPath[i-1] == '/' && dotSegment(urlPath[i:]) > 0 {
				return "", fs.ErrNotExist
			}
		}
	}
	if double {
		urlPath = singleSlashes(urlPath)
	}
	if urlPath == "/" {
		return ".", nil
	}
	rel := urlPath[1:]
	if onWindows && unsafeOnWindows(rel) {
		return "", fs.ErrNotExist
	}
	return rel, nil
}

func singleSlashes(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '/' || i == 0 || s[i-1] != '/' {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// unsafeOnWindows reports whether rel has a segment that Windows takes for the
// name of something else: an alternate data stream (index.php::$DATA shows the
// source), a drive, an 8.3 short name (COMPOS~1.JSO, which would pass every
// deny pattern), a trailing dot or space (index.php. is index.php to the file
// system but not to the router), or a reserved device name.
func unsafeOnWindows(rel string) bool {
	for segment := range strings.SplitSeq(rel, "/") {
		if segment == "" {
			continue
		}
		if strings.ContainsAny(segment, `:\<>"|?*`) || strings.HasSuffix(segment, ".") || strings.HasSuffix(segment, " ") {
			return true
		}
		for i := 1; i < len(segment); i++ {
			if segment[i-1] == '~' && '0' <= segment[i] && segment[i] <= '9' {
				return true
			}
		}
		if reservedOnWindows(segment) {
			return true
		}
	}
	return false
}

// reservedOnWindows knows the DOS device names, which exist in every folder
// and with every extension (learn.microsoft.com, "Naming Files, Paths, and
// Namespaces").
func reservedOnWindows(segment string) bool {
	name, _, _ := strings.Cut(Lower(segment), ".")
	name = strings.TrimRight(name, " ")
	switch name {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	rest, isCOM := strings.CutPrefix(name, "com")
	if !isCOM {
		if rest, isCOM = strings.CutPrefix(name, "lpt"); !isCOM {
			return false
		}
	}
	switch rest {
	case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "\u00b9", "\u00b2", "\u00b3":
		return true
	}
	return false
}

// below reports whether path is root or lies below it. Both are clean absolute
// paths; the separator in the comparison keeps /srv/www-secret out of /srv/www.
func below(root, path string) bool {
	rest, ok := strings.CutPrefix(path, root)
	if !ok {
		return false
	}
	return rest == "" || os.IsPathSeparator(rest[0]) || os.IsPathSeparator(root[len(root)-1])
}

// joinRoot is root + "/" + rel as the path PHP sees: no trailing slash.
func joinRoot(root, rel string) string {
	if rel == "." {
		return root
	}
	rel = strings.TrimSuffix(rel, "/")
	if os.IsPathSeparator(root[len(root)-1]) {
		return root + filepath.FromSlash(rel)
	}
	return root + string(filepath.Separator) + filepath.FromSlash(rel)
}

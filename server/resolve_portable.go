package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// portableRoot looks files up with what every system has: the real path is
// evaluated and compared with the real path of the root, both anew for each
// lookup. Linux needs it only where openat2(2) is missing or forbidden.
type portableRoot struct {
	path string
	opts docRootOptions
}

// resolve evaluates urlPath. real is the real path of the file, inside tells
// whether it lies below the real root.
func (p *portableRoot) resolve(urlPath string) (fnd found, real string, inside bool, err error) {
	rel, err := relPath(urlPath)
	if err != nil {
		return found{}, "", false, err
	}
	realRoot, err := filepath.EvalSymlinks(p.path)
	if err != nil {
		return found{}, "", false, portableError("cannot resolve document root", p.path, err)
	}
	real, err = filepath.EvalSymlinks(joinRoot(realRoot, rel))
	if err != nil {
		// EvalSymlinks has no typed error for a loop of links; stat(2) has.
		if _, statErr := os.Stat(joinRoot(realRoot, rel)); statErr != nil {
			err = statErr
		}
		return found{}, "", false, portableError("cannot resolve", urlPath, err)
	}
	inside = below(realRoot, real)
	if !inside && p.opts.Links == linksInside {
		return found{}, "", false, refusedInside(firstLink(p.path, rel), real)
	}
	if !inside && p.opts.Links == linksOwner {
		if err := p.checkLinks(realRoot, rel); err != nil {
			if !errors.Is(err, errOutsideRoot) {
				err = portableError("cannot resolve", urlPath, err)
			}
			return found{}, "", false, err
		}
	}
	if real != joinRoot(realRoot, rel) {
		info, err := os.Stat(real)
		if rule, denied := p.opts.Protect.deniedTarget(realRoot, real, urlPath, err == nil && info.IsDir()); denied {
			return found{}, "", false, refusedTarget(firstLink(p.path, rel), real, rule)
		}
	}
	fnd = found{Path: joinRoot(p.path, rel), Root: p.path, url: urlPath}
	if p.opts.ResolveSymlinks {
		fnd.Path, fnd.Root = real, realRoot
	}
	return fnd, real, inside, nil
}

func (p *portableRoot) lookup(urlPath string) (found, error) {
	fnd, real, _, err := p.resolve(urlPath)
	if err != nil {
		return found{}, err
	}
	info, err := os.Lstat(real)
	if err != nil {
		return found{}, portableError("cannot stat", urlPath, err)
	}
	fnd.fileInfo = fileInfoOf(info)
	return fnd, checkSlash(urlPath, fnd.fileInfo)
}

func (p *portableRoot) open(urlPath string) (*os.File, found, error) {
	fnd, real, inside, err := p.resolve(urlPath)
	if err != nil {
		return nil, found{}, err
	}
	// Looked at before it is opened: opening a device can do things.
	info, err := os.Lstat(real)
	if err != nil {
		return nil, found{}, portableError("cannot stat", urlPath, err)
	}
	fnd.fileInfo = fileInfoOf(info)
	if err := checkSlash(urlPath, fnd.fileInfo); err != nil {
		return nil, found{}, err
	}
	if !fnd.regular {
		return nil, fnd, errNotRegular
	}
	f, err := p.openReal(real, inside)
	if err != nil {
		return nil, found{}, portableError("cannot open", urlPath, err)
	}
	checked := info
	if info, err = f.Stat(); err != nil {
		_ = f.Close()
		return nil, found{}, portableError("cannot stat", urlPath, err)
	}
	if !os.SameFile(checked, info) {
		_ = f.Close()
		return nil, found{}, fs.ErrNotExist // swapped since it was checked
	}
	if fnd.fileInfo = fileInfoOf(info); !fnd.regular {
		_ = f.Close()
		return nil, fnd, errNotRegular
	}
	return f, fnd, nil
}

// openReal opens a real path; one inside the root through os.Root, so that a
// folder replaced by a link since then cannot lead out.
func (p *portableRoot) openReal(real string, inside bool) (*os.File, error) {
	flags := os.O_RDONLY
	if !onWindows {
		flags |= syscall.O_NONBLOCK // a FIFO put there since then cannot hang it
	}
	if !inside {
		return os.OpenFile(real, flags, 0)
	}
	realRoot, err := filepath.EvalSymlinks(p.path)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(realRoot, real)
	if err != nil {
		return nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(realRoot)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenFile(rel, flags, 0)
}

// checkSlash refuses a trailing slash behind anything but a folder, as
// openat2(2) does.
func checkSlash(urlPath string, info fileInfo) error {
	if strings.HasSuffix(urlPath, "/") && !info.dir {
		return fs.ErrNotExist
	}
	return nil
}

// portableError gives the errors that decide the answer their plain form and
// keeps the rest.
func portableError(what, path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fs.ErrPermission
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG),
		errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EINVAL):
		return fs.ErrNotExist
	}
	return fmt.Errorf("%s %q: %w", what, path, err)
}

func fileInfoOf(info fs.FileInfo) fileInfo {
	dev, ino := fileIDs(info)
	return fileInfo{
		dir:     info.IsDir(),
		regular: info.Mode().IsRegular(),
		size:    info.Size(),
		mtime:   info.ModTime(),
		ino:     ino,
		dev:     dev,
	}
}

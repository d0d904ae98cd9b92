package files

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
	opts Options
}

// resolve evaluates urlPath. real is the real path of the file, inside tells
// whether it lies below the real root.
func (p *portableRoot) resolve(urlPath string) (fnd Found, real string, inside bool, err error) {
	rel, err := relPath(urlPath)
	if err != nil {
		return Found{}, "", false, err
	}
	realRoot, err := filepath.EvalSymlinks(p.path)
	if err != nil {
		return Found{}, "", false, portableError("cannot resolve document root", p.path, err)
	}
	real, err = filepath.EvalSymlinks(joinRoot(realRoot, rel))
	if err != nil {
		if link := p.refusedOnTheWay(realRoot, rel); link != nil {
			return Found{}, "", false, link
		}
		// EvalSymlinks has no typed error for a loop of links; stat(2) has.
		if _, statErr := os.Stat(joinRoot(realRoot, rel)); statErr != nil {
			err = statErr
		}
		return Found{}, "", false, portableError("cannot resolve", urlPath, err)
	}
	inside = below(realRoot, real)
	if !inside && p.opts.Links == linksInside {
		return Found{}, "", false, refusedInside(p.path, rel, realRoot, real)
	}
	if !inside && p.opts.Links == linksOwner {
		if err := p.checkLinks(realRoot, rel); err != nil {
			if !errors.Is(err, ErrOutsideRoot) {
				err = portableError("cannot resolve", urlPath, err)
			}
			return Found{}, "", false, err
		}
	}
	if real != joinRoot(realRoot, rel) {
		info, err := os.Stat(real)
		if rule, denied := p.opts.Protect.deniedTarget(realRoot, real, urlPath, err == nil && info.IsDir()); denied {
			return Found{}, "", false, refusedTarget(p.path, rel, real, rule)
		}
	}
	fnd = Found{Path: joinRoot(p.path, rel), Root: p.path, url: urlPath}
	if p.opts.ResolveSymlinks {
		fnd.Path, fnd.Root = real, realRoot
	}
	return fnd, real, inside, nil
}

// refusedOnTheWay is the error of a link on the way to what does not exist; nil if there is none.
func (p *portableRoot) refusedOnTheWay(realRoot, rel string) error {
	prefix := existing(rel, func(prefix string) bool {
		_, err := os.Stat(joinRoot(realRoot, prefix))
		return err == nil
	})
	if prefix == "" {
		return nil
	}
	var link *LinkError
	if _, _, _, err := p.resolve("/" + prefix); errors.As(err, &link) {
		return link
	}
	return nil
}

// existing is the longest part of a path that exists, without a slash at its end; empty if there is none but the whole path.
func existing(rel string, exists func(prefix string) bool) (longest string) {
	for i := range rel {
		if rel[i] != '/' {
			continue
		}
		if !exists(rel[:i]) {
			break
		}
		longest = rel[:i]
	}
	return longest
}

func (p *portableRoot) Lookup(urlPath string) (Found, error) {
	fnd, real, _, err := p.resolve(urlPath)
	if err != nil {
		return Found{}, err
	}
	info, err := os.Lstat(real)
	if err != nil {
		return Found{}, portableError("cannot stat", urlPath, err)
	}
	fnd.Info = fileInfoOf(info)
	return fnd, checkSlash(urlPath, fnd.Info)
}

func (p *portableRoot) Open(urlPath string) (*os.File, Found, error) {
	fnd, real, inside, err := p.resolve(urlPath)
	if err != nil {
		return nil, Found{}, err
	}
	// Looked at before it is opened: opening a device can do things.
	info, err := os.Lstat(real)
	if err != nil {
		return nil, Found{}, portableError("cannot stat", urlPath, err)
	}
	fnd.Info = fileInfoOf(info)
	if err := checkSlash(urlPath, fnd.Info); err != nil {
		return nil, Found{}, err
	}
	if !fnd.Regular {
		return nil, fnd, errNotRegular
	}
	f, err := p.openReal(real, inside)
	if err != nil {
		return nil, Found{}, portableError("cannot open", urlPath, err)
	}
	checked := info
	if info, err = f.Stat(); err != nil {
		_ = f.Close()
		return nil, Found{}, portableError("cannot stat", urlPath, err)
	}
	if !os.SameFile(checked, info) {
		_ = f.Close()
		return nil, Found{}, fs.ErrNotExist // swapped since it was checked
	}
	if fnd.Info = fileInfoOf(info); !fnd.Regular {
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
func checkSlash(urlPath string, info Info) error {
	if strings.HasSuffix(urlPath, "/") && !info.Dir {
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

func fileInfoOf(info fs.FileInfo) Info {
	dev, ino := fileIDs(info)
	return Info{
		Dir:     info.IsDir(),
		Regular: info.Mode().IsRegular(),
		size:    info.Size(),
		mtime:   info.ModTime(),
		ino:     ino,
		dev:     dev,
	}
}

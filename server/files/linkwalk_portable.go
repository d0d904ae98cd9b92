package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// checkLinks is linkRule along a path below the root, link by link. Others may change links meanwhile: what is opened is
// compared with what was checked.
func (p *portableRoot) checkLinks(realRoot, rel string) error {
	w := &portableWalk{rule: linkRule{root: realRoot}, left: 40}
	real, err := w.resolve(realRoot, rel)
	if err != nil {
		return err
	}
	info, err := os.Lstat(real)
	if err != nil {
		return err
	}
	owner, ok := fileOwner(info)
	if !ok {
		return refusedInside(p.path, rel, realRoot, real) // no owners here to compare
	}
	return w.rule.end(real, owner)
}

type portableWalk struct {
	rule linkRule
	left int // links that may still be followed
}

// resolve is the real path of path below the folder dir, whose path is real.
func (w *portableWalk) resolve(dir, path string) (string, error) {
	if filepath.IsAbs(path) {
		volume := filepath.VolumeName(path)
		dir, path = volume+string(filepath.Separator), path[len(volume):]
	}
	for name := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if name == "" || name == "." {
			continue
		}
		next := filepath.Join(dir, name)
		info, err := os.Lstat(next)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			if w.left--; w.left < 0 {
				return "", syscall.ELOOP
			}
			if next, err = w.follow(dir, next, info); err != nil {
				return "", err
			}
		}
		dir = next
	}
	return dir, nil
}

// follow is the real path of what a link in the folder dir leads to.
func (w *portableWalk) follow(dir, link string, info fs.FileInfo) (string, error) {
	text, err := os.Readlink(link)
	if err != nil {
		return "", err
	}
	real, err := w.resolve(dir, text)
	if err != nil {
		return "", err
	}
	target, err := os.Lstat(real)
	if err != nil {
		return "", err
	}
	owner, ok := fileOwner(info)
	targetOwner, targetOK := fileOwner(target)
	if !ok || !targetOK {
		if below(w.rule.root, real) {
			return real, nil
		}
		return "", &LinkError{link: link, target: real, why: refusedLeavesRoot}
	}
	return real, w.rule.follow(link, owner, real, targetOwner)
}

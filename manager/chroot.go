package manager

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// insideChroot is the path by which PHP in the pool's chroot knows a file. It is false for what PHP cannot reach.
func (c *PoolConfig) insideChroot(file string) (string, bool) {
	if c.Chroot == "" {
		return file, true
	}
	rel, err := filepath.Rel(c.Chroot, file)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	return path.Join("/", filepath.ToSlash(rel)), true
}

// ScriptPath is the path by which the pool's PHP knows a file: below [PoolConfig.Chroot] that is another than phpserve's. It is
// false for a file that this PHP cannot reach.
func (p *Pool) ScriptPath(file string) (string, bool) { return p.cfg.insideChroot(file) }

// validateChroot checks the folders of a pool; euid is phpserve's user.
func (c *PoolConfig) validateChroot(euid int, bad func(string, ...any)) {
	isFolder := func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && info.IsDir()
	}
	if c.Chroot == "" {
		if c.Chdir != "" && !isFolder(c.Chdir) {
			bad("the chdir path %q does not exist or is not a directory", c.Chdir)
		}
		return
	}
	switch {
	case euid != 0:
		bad("chroot needs root: start phpserve as root, or take out chroot %q", c.Chroot)
	case !filepath.IsAbs(c.Chroot):
		bad("chroot must be an absolute path, not %q", c.Chroot)
	case !isFolder(c.Chroot):
		bad("the chroot path %q does not exist or is not a directory", c.Chroot)
	case filepath.Clean(c.Chroot) == "/":
		bad("chroot must be another folder than the root folder")
	case c.Engine == EngineSpawn:
		bad("chroot needs the zygote engine, because php-cgi cannot be started where there is no PHP: take out engine spawn, or chroot")
	case c.Chdir != "" && !strings.HasPrefix(c.Chdir, "/"):
		bad("chdir must be an absolute path within the chroot, not %q", c.Chdir)
	case c.Chdir != "" && !isFolder(filepath.Join(c.Chroot, c.Chdir)):
		bad("the chdir path %q within the chroot path %q (%q) does not exist or is not a directory",
			c.Chdir, c.Chroot, filepath.Join(c.Chroot, c.Chdir))
	}
}

// topFolders are the folders in the chroot's own, as PHP sees them.
func topFolders(chroot string) ([]string, error) {
	entries, err := os.ReadDir(chroot)
	if err != nil {
		return nil, fmt.Errorf("cannot read the chroot: %v", err)
	}
	var folders []string
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(chroot, entry.Name())) // a link may lead to one
		if err == nil && info.IsDir() || entry.Type()&fs.ModeSymlink != 0 {
			folders = append(folders, "/"+entry.Name())
		}
	}
	slices.Sort(folders)
	return folders, nil
}

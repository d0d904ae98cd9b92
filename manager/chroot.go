package manager

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/phpserve/phpserve/safefile"
)

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
	case c.Chdir != "" && !isFolderIn(c.Chroot, c.Chdir):
		bad("the chdir path %q within the chroot path %q (%q) does not exist or is not a directory",
			c.Chdir, c.Chroot, filepath.Join(c.Chroot, c.Chdir))
	}
}

// zonesWarning tells that workers in a chroot lack the files of time zones, without which the PHP of some distributions crashes in
// each call of date() (it reads the system's files in place of a table of its own); empty: they are there, or not needed.
func (c *PoolConfig) zonesWarning(php *PHP) string {
	if c.Chroot == "" || !strings.HasSuffix(php.facts["zones"], ".system") {
		return ""
	}
	const folder = "/usr/share/zoneinfo"
	zone := path.Join(folder, path.Join("/", cmp.Or(php.iniAfter(c, "date.timezone"), "UTC")))
	root, err := safefile.OpenRoot(c.Chroot)
	if err == nil {
		defer root.Close()
		_, err = root.Stat(zone)
	}
	if err == nil {
		return ""
	}
	return fmt.Sprintf("the chroot %s has no %s: this PHP crashes in date() without files of time zones; put %s there", c.Chroot, zone, folder)
}

// isFolderIn says whether workers in a chroot see a folder there.
func isFolderIn(chroot, name string) bool {
	root, err := safefile.OpenRoot(chroot)
	if err != nil {
		return false
	}
	defer root.Close()
	info, err := root.Stat(name)
	return err == nil && info.IsDir()
}

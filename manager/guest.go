package manager

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// A guest is phpserve's own folder inside a pool's chroot, for the two scripts that workers run there: runtime/worker.php and
// runtime/observe.php. The folder around it may belong to the pool's user, who can rename anything in there. So phpserve, which
// is root, works through handles, follows nothing, and removes only what it has put there.
type guest struct {
	chroot, dir *os.Root
	name        string   // of dir in chroot
	lock        *os.File // says that the folder is in use
}

// guestPrefix begins the names of such folders.
const guestPrefix = ".phpserve-"

// guestFiles are all the files of a guest; the lock is the last to go.
var guestFiles = [...]string{observeFile, workerFile, lockFile}

// newGuest makes the folder, and removes those that a killed phpserve left there.
func newGuest(chroot, pool, suffix string) (*guest, error) {
	fail := func(err error) (*guest, error) {
		return nil, fmt.Errorf("[pool %s] cannot make phpserve's folder in the chroot %s, where its workers find two scripts: %v", pool, chroot, err)
	}
	root, err := os.OpenRoot(chroot)
	if err != nil {
		return fail(err)
	}
	removeStaleGuests(root)
	g := &guest{chroot: root, name: guestPrefix + fileNameOf(pool) + "-" + suffix}
	if err := root.Mkdir(g.name, 0o700); err != nil {
		root.Close()
		return fail(err)
	}
	if g.dir, err = openGuest(root, g.name); err == nil {
		g.lock, err = lockGuest(g.dir)
	}
	if err != nil {
		g.remove()
		return fail(err)
	}
	return g, nil
}

// openGuest opens a folder that phpserve's user made in a chroot. Anything else of that name is refused.
func openGuest(chroot *os.Root, name string) (*os.Root, error) {
	before, err := chroot.Lstat(name)
	if err != nil {
		return nil, err
	}
	dir, err := chroot.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	opened, err := dir.Stat(".")
	switch {
	case err != nil:
	case !os.SameFile(before, opened) || !opened.IsDir() || !isOwn(opened):
		err = fmt.Errorf("%s is not the folder that phpserve made", name)
	default:
		return dir, nil
	}
	dir.Close()
	return nil, err
}

// inside is the path of a file of the folder as workers see it.
func (g *guest) inside(file string) string { return path.Join("/", g.name, file) }

// write puts a file into the folder.
func (g *guest) write(name, text string) error {
	f, err := g.dir.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write to phpserve's folder in the chroot: %v", err)
	}
	return nil
}

// share lets the pool's group, which its user has, read the folder.
func (g *guest) share(gid int) error {
	for name, mode := range map[string]os.FileMode{".": 0o750, observeFile: 0o640, workerFile: 0o640} {
		err := g.dir.Lchown(name, os.Geteuid(), gid)
		if err == nil {
			err = g.dir.Chmod(name, mode)
		}
		if err != nil {
			return fmt.Errorf("cannot let the pool's user into phpserve's folder in the chroot: %v", err)
		}
	}
	return nil
}

func (g *guest) remove() {
	if g.dir != nil {
		removeGuest(g.chroot, g.dir, g.name)
		g.dir.Close()
	}
	if g.lock != nil {
		g.lock.Close()
	}
	g.chroot.Close()
}

// removeGuest removes a folder of which dir is the handle. Not all at once (os.RemoveAll): by its name another may be there now.
func removeGuest(chroot, dir *os.Root, name string) {
	for _, file := range guestFiles {
		_ = dir.Remove(file) // what cannot be removed stays
	}
	if info, err := chroot.Lstat(name); err == nil && info.IsDir() {
		_ = chroot.Remove(name) // only if it is empty
	}
}

// removeStaleGuests removes what killed phpserves left in a chroot: folders whose lock nobody holds.
func removeStaleGuests(chroot *os.Root) {
	entries, _ := fs.ReadDir(chroot.FS(), ".") // what cannot be read cannot be cleaned
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), guestPrefix) {
			continue
		}
		dir, err := openGuest(chroot, entry.Name())
		if err != nil {
			continue // not ours to judge
		}
		if isLeftGuest(dir) {
			removeGuest(chroot, dir, entry.Name())
		}
		dir.Close()
	}
}

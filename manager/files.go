package manager

import (
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
)

//go:embed runtime/*.php
var runtimeFS embed.FS

// The names inside a pool's runtime folder.
const (
	bootDir     = "boot" // zygote.php and worker.php: scripts that opcache must not keep
	scanDir     = "conf.d"
	iniFileName = "phpserve.ini"
	preloadFile = "preload.php"
	observeFile = "observe.php" // only where requests are measured
	workerFile  = "worker.php"
	// selfTestFile is for the tracer.
	selfTestFile = "selftest.php"
	lockFile     = "lock" // held locked for as long as the folder's phpserve lives
)

// runtimeDir is the private folder of one pool: sockets, embedded scripts, the ini file. Where the pool's user is not
// phpserve's it may read the files and change nothing: root connects to these sockets and has these scripts run.
type runtimeDir struct {
	path  string
	token string // ends the response when PHP logs it; see runtime/finish.php
	owner *credential
	locks []*os.File // say that the folder is in use, see stale_unix.go
	guest *guest     // what workers in a chroot need instead; nil without a chroot

	serial atomic.Uint64 // of the folders of processes
}

// runtimeBase is the folder for runtime folders: TMPDIR if it is set, the user's or the system's for such files, else the one
// for temporary files.
func runtimeBase(owner *credential) string {
	if os.Getenv("TMPDIR") != "" {
		return os.TempDir()
	}
	// Another user could not reach into a runtime folder of ours.
	if base := os.Getenv("XDG_RUNTIME_DIR"); base != "" && owner == nil && usableBase(base) {
		return base
	}
	if info, err := os.Stat(systemRuntime); err == nil && info.IsDir() && os.Geteuid() == 0 {
		return systemRuntime
	}
	return os.TempDir()
}

// usableBase says whether a folder for the files of one user is that of this one, and short enough for the names of sockets in it
// (sun_path of unix(7) holds 108 bytes). Of one that is not, the folder for temporary files takes the place.
func usableBase(base string) bool {
	const longest = 48 // bytes, so that phpserve's folder, whose name has that of the pool, and a socket fit
	info, err := os.Stat(base)
	if err != nil || !info.IsDir() || !isOwn(info) || info.Mode().Perm()&0o022 != 0 || !filepath.IsAbs(base) || len(base) > longest {
		return false
	}
	probe, err := os.MkdirTemp(base, "phpserve-probe-")
	if err != nil {
		return false
	}
	return os.Remove(probe) == nil
}

// systemRuntime is where the files of running system services belong (FHS 3.0 section 3.15). Only root can make any there.
const systemRuntime = "/run"

// oddInFileNames is what a pool may be called by and a file had better not.
var oddInFileNames = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// fileNameOf is a pool's name as a part of file names. It tells people whose a file is, and is no longer than the path of a socket
// below it can be.
func fileNameOf(pool string) string {
	const longest = 24
	name := oddInFileNames.ReplaceAllString(pool, "_")
	return name[:min(len(name), longest)]
}

// newRuntimeDir makes the folder, 0700.
func newRuntimeDir(pool string, owner *credential, once *swept) (*runtimeDir, error) {
	base, err := filepath.Abs(runtimeBase(owner)) // PHP is started in another folder
	if err != nil {
		return nil, fmt.Errorf("cannot make the runtime folder: %v", err)
	}
	if strings.ContainsRune(base, filepath.ListSeparator) {
		// PHP would not find the ini file with the pool's settings there (PHP_INI_SCAN_DIR).
		return nil, fmt.Errorf("cannot make the runtime folder in %q, whose name must not contain %q: set TMPDIR to another folder", base, filepath.ListSeparator)
	}
	if once.first(base) {
		removeStale(base)
	}
	path, err := os.MkdirTemp(base, "phpserve-"+fileNameOf(pool)+"-")
	if err != nil {
		return nil, fmt.Errorf("cannot make the runtime folder: %v", err)
	}
	var secret [16]byte
	rand.Read(secret[:]) // never fails (crypto/rand, Go 1.24)
	d := &runtimeDir{path: path, token: "phpserve-finish-" + hex.EncodeToString(secret[:]), owner: owner}
	if d.locks, err = lockDir(path); err != nil {
		_ = d.remove() // the error below says what is wrong
		return nil, fmt.Errorf("cannot lock the runtime folder: %v", err)
	}
	for _, sub := range []string{bootDir, scanDir} {
		if err := os.Mkdir(filepath.Join(path, sub), 0o700); err != nil {
			_ = d.remove()
			return nil, fmt.Errorf("cannot make the runtime folder: %v", err)
		}
	}
	return d, nil
}

func (d *runtimeDir) file(names ...string) string {
	return filepath.Join(append([]string{d.path}, names...)...)
}

// write puts the embedded scripts and the ini file into the folder and lets the pool's user read it.
func (d *runtimeDir) write(c *PoolConfig, php *PHP, lateDrop bool) error {
	if c.Chroot != "" {
		var err error
		if d.guest, err = newGuest(c.Chroot, c.Name, rand.Text()[:8]); err != nil {
			return err
		}
	}
	at := iniPlaces{boot: d.file(bootDir), worker: path.Dir(d.workerScript()), observer: d.observer()}
	if lateDrop {
		at.lateUser = d.owner.name
	}
	preload := d.preload(c, php, lateDrop)
	if preload != "" {
		at.preload = d.file(preloadFile)
	}
	ini, err := c.iniFile(at, php)
	if err != nil {
		return err
	}
	files := map[string]string{
		d.file(scanDir, iniFileName):  ini,
		d.file(preloadFile):           preload,
		d.file(observeFile):           d.observe(c, php),
		d.file(bootDir, "zygote.php"): embedded("zygote.php"),
		d.file(bootDir, workerFile):   embedded(workerFile),
		d.file(bootDir, selfTestFile): embedded(selfTestFile),
	}
	if d.guest != nil {
		err := errors.Join(d.guest.write(observeFile, d.observe(c, php)), d.guest.write(workerFile, embedded(workerFile)), d.guest.share(int(d.owner.gid)))
		if err != nil {
			return err
		}
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("cannot write the runtime folder: %v", err)
		}
	}
	return d.shareAll()
}

// workerScript is the script of the greeting as workers see it.
func (d *runtimeDir) workerScript() string {
	if d.guest != nil {
		return d.guest.inside(workerFile)
	}
	return d.file(bootDir, workerFile)
}

// shareAll lets the pool's group, which its user has, read the folder.
func (d *runtimeDir) shareAll() error {
	if d.owner == nil {
		return nil
	}
	err := filepath.WalkDir(d.path, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o640)
		if e.IsDir() {
			mode = 0o750
		}
		if err := os.Lchown(path, os.Geteuid(), int(d.owner.gid)); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		return fmt.Errorf("cannot let the pool's user into the runtime folder: %v", err)
	}
	return nil
}

func (d *runtimeDir) remove() error {
	if d.guest != nil {
		d.guest.remove()
	}
	for _, lock := range d.locks {
		defer lock.Close()
	}
	return os.RemoveAll(d.path)
}

func embedded(name string) string {
	text, err := runtimeFS.ReadFile("runtime/" + name)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return string(text)
}

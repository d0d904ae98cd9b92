package manager

import (
	"crypto/rand"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed runtime/*.php
var runtimeFS embed.FS

// The names inside a pool's runtime folder.
const (
	bootDir     = "boot" // zygote.php and worker.php: scripts that opcache must not keep
	scanDir     = "conf.d"
	iniFileName = "phpserve.ini"
	prependFile = "prepend.php"
)

// runtimeDir is the private folder of one pool: sockets, embedded scripts, the ini file.
type runtimeDir struct {
	path  string
	token string // ends the response when PHP logs it; see runtime/prepend.php
	owner *credential
	lock  *os.File // says that the folder is in use, see stale_unix.go
}

// newRuntimeDir makes the folder, 0700 and owned by the pool's user.
func newRuntimeDir(pool string, owner *credential) (*runtimeDir, error) {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" || owner != nil {
		base = os.TempDir() // another user could not reach into a runtime folder of ours
	}
	removeStale(base)
	path, err := os.MkdirTemp(base, "phpserve-"+pool+"-")
	if err != nil {
		return nil, fmt.Errorf("cannot make the runtime folder: %v", err)
	}
	var secret [16]byte
	rand.Read(secret[:]) // never fails (crypto/rand, Go 1.24)
	d := &runtimeDir{path: path, token: "phpserve-finish-" + hex.EncodeToString(secret[:]), owner: owner}
	if d.lock, err = lockDir(path); err != nil {
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

// write puts the embedded scripts and the ini file into the folder and gives it to the pool's user.
func (d *runtimeDir) write(c *PoolConfig, php *PHP) error {
	ini, err := c.iniFile(d.path, php)
	if err != nil {
		return err
	}
	prepend, err := d.prepend(php.iniAfter(c, "auto_prepend_file"))
	if err != nil {
		return err
	}
	files := map[string]string{
		d.file(scanDir, iniFileName):  ini,
		d.file(prependFile):           prepend,
		d.file(bootDir, "zygote.php"): embedded("zygote.php"),
		d.file(bootDir, "worker.php"): embedded("worker.php"),
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("cannot write the runtime folder: %v", err)
		}
	}
	return d.chownAll()
}

// prepend is runtime/prepend.php with the token, followed by the operator's own auto_prepend_file.
func (d *runtimeDir) prepend(operators string) (string, error) {
	scanned := "PHP_INI_SCAN_DIR" // without a value putenv() takes it out
	if own, ok := os.LookupEnv("PHP_INI_SCAN_DIR"); ok {
		scanned += "=" + own
	}
	text := strings.NewReplacer("@TOKEN@", d.token, "@INI_SCAN_DIR@", phpString(scanned)).Replace(embedded("prepend.php"))
	if operators == "" || operators == "none" {
		return text, nil
	}
	return text + fmt.Sprintf("\n// auto_prepend_file of php.ini or of the pool\n"+
		"if (dirname($_SERVER['SCRIPT_FILENAME'] ?? '') !== %s) {\n    require %s;\n}\n", phpString(d.file(bootDir)), phpString(operators)), nil
}

// phpString writes s as a PHP string literal.
func phpString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// chownAll gives the folder to the pool's user, itself last: until then nobody else can get in and put a link in the way.
func (d *runtimeDir) chownAll() error {
	if d.owner == nil {
		return nil
	}
	var paths []string
	err := filepath.WalkDir(d.path, func(path string, _ os.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	for _, path := range slices.Backward(paths) {
		if err == nil {
			err = os.Lchown(path, int(d.owner.uid), int(d.owner.gid))
		}
	}
	if err != nil {
		return fmt.Errorf("cannot give the runtime folder to the pool's user: %v", err)
	}
	return nil
}

func (d *runtimeDir) remove() error {
	if d.lock != nil {
		defer d.lock.Close()
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

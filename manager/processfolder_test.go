//go:build linux

package manager

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// php-cgi opens its socket to everybody (chmod 0777), so the folder around it must not let anybody in.
func TestProcessFolderLetsNobodyIn(t *testing.T) {
	t.Parallel()
	d := &runtimeDir{path: t.TempDir()}
	maker := &credential{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	if os.Geteuid() == 0 {
		maker = &credential{uid: 33, gid: 33}
	}
	f, err := d.newProcessFolder(maker)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, uid int) {
		t.Helper()
		info, err := os.Stat(f.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o700 || ownerOf(info) != uid {
			t.Errorf("%s the folder has mode %o and belongs to user %d", when, got, ownerOf(info))
		}
	}
	check("before php-cgi listens", int(maker.uid))
	pipe, err := makePipe(filepath.Join(f.path, commandsFile), maker)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if info, err := pipe.Stat(); err != nil || info.Mode().Perm() != 0o600 || ownerOf(info) != int(maker.uid) {
		t.Errorf("the pipe is %v, %v", info.Mode(), err)
	}
	if err := f.takeBack(); err != nil {
		t.Fatal(err)
	}
	check("afterwards", os.Geteuid())
	f.remove()
	if _, err := os.Stat(f.path); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestProcessFoldersHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	d := &runtimeDir{path: t.TempDir()}
	seen := map[string]bool{}
	for range 10 {
		f, err := d.newProcessFolder(nil)
		if err != nil {
			t.Fatal(err)
		}
		if seen[f.path] {
			t.Errorf("%s again", f.path)
		}
		seen[f.path] = true
		f.remove()
	}
}

// A pipe's name that another process has put something else behind is refused.
func TestPipesAreNotOpenedThroughWhatOthersPutThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if f, err := makePipe(path, nil); err == nil {
		f.Close()
		t.Error("a link was opened")
	}
}

func TestSocketPathsThatAreTooLongSayWhatToDo(t *testing.T) {
	t.Parallel()
	d := &runtimeDir{path: "/" + strings.Repeat("x", maxSocketPath)}
	if _, err := d.newProcessFolder(nil); err == nil || !strings.Contains(err.Error(), "set TMPDIR to a shorter one") {
		t.Errorf("got %v", err)
	}
}

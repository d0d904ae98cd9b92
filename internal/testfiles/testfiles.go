// Package testfiles makes the files and folders that tests need.
package testfiles

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Put makes files below dir: the texts by their names, which may have slashes.
func Put(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), text)
	}
}

// PutNames makes files with their own name as content below dir; a name that ends in a slash is a folder.
func PutNames(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if !strings.HasSuffix(name, "/") {
			write(t, path, name)
		} else if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// PutAt makes one file that was changed at mtime.
func PutAt(t testing.TB, dir, name, text string, mtime time.Time) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	write(t, path, text)
	if err := os.Chtimes(path, mtime, mtime); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Mtime is a time at which files were changed, with nanoseconds.
func Mtime() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 891234567, time.UTC) }

// Symlink makes a symbolic link.
func Symlink(t testing.TB, target, link string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
}

// Own gives everything below the paths, links themselves too, to a user.
func Own(t testing.TB, name string, paths ...string) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if err := filepath.WalkDir(path, func(p string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(p, uid, -1)
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TempDir is t.TempDir without links in its path (macOS has one).
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
)

func testRoot(t testing.TB, path string, opts Options) *Root {
	t.Helper()
	d, err := OpenRoot(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// lookerUpper is a Root, or the portable way to look up on a system that
// has a better one.
type lookerUpper interface {
	Lookup(urlPath string) (Found, error)
	Open(urlPath string) (*os.File, Found, error)
}

// eachRoot runs a test with both ways to look up.
func eachRoot(t *testing.T, path string, opts Options, test func(t *testing.T, d lookerUpper)) {
	t.Run("native", func(t *testing.T) { test(t, testRoot(t, path, opts)) })
	t.Run("portable", func(t *testing.T) { test(t, &portableRoot{path: path, opts: opts}) })
}

func TestNewDocRootRefuses(t *testing.T) {
	dir := testfiles.TempDir(t)
	testfiles.PutNames(t, dir, "file")
	for _, path := range []string{filepath.Join(dir, "missing"), filepath.Join(dir, "file")} {
		if _, err := OpenRoot(path, Options{}); err == nil || !strings.HasPrefix(err.Error(), "cannot open document root") {
			t.Errorf("newDocRoot(%q) = %v", path, err)
		}
	}
}

func TestLookup(t *testing.T) {
	dir := testfiles.TempDir(t)
	long := strings.Repeat("n", 255)
	testfiles.PutNames(t, dir, "index.php", "a/b.txt", "a b", "100%.txt", "é/ü.txt", "x.php/y.txt", long, "...", "a.b./c")
	kind := func(f Found) string {
		switch {
		case f.Dir:
			return "folder"
		case f.Regular:
			return "file"
		}
		return "other"
	}
	tests := []struct{ name, url, kind, rel string }{
		{"root", "/", "folder", ""},
		{"script", "/index.php", "file", "index.php"},
		{"nested", "/a/b.txt", "file", "a/b.txt"},
		{"folder", "/a", "folder", "a"},
		{"folder with slash", "/a/", "folder", "a"},
		{"repeated slashes are one", "//a///b.txt", "file", "a/b.txt"},
		{"space", "/a b", "file", "a b"},
		{"percent", "/100%.txt", "file", "100%.txt"},
		{"unicode", "/é/ü.txt", "file", "é/ü.txt"},
		{"folder with a script's name is a folder", "/x.php", "folder", "x.php"},
		{"255 bytes", "/" + long, "file", long},
		{"three dots", "/...", "file", "..."},
	}
	eachRoot(t, dir, Options{}, func(t *testing.T, d lookerUpper) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				f, err := d.Lookup(tt.url)
				if err != nil {
					t.Fatal(err)
				}
				if want := filepath.Join(dir, tt.rel); f.Path != want || f.Root != dir || kind(f) != tt.kind || f.url != tt.url {
					t.Errorf("lookup(%q) = %q in %q, %s; want %q in %q, %s", tt.url, f.Path, f.Root, kind(f), want, dir, tt.kind)
				}
			})
		}
	})
}

func TestLookupFindsNothing(t *testing.T) {
	top := testfiles.TempDir(t)
	dir := filepath.Join(top, "www")
	testfiles.PutNames(t, top, "www/index.php", "www/a/b", "www-secret/key", "secret")
	tests := []struct{ name, url string }{
		{"missing", "/nope"},
		{"missing folder", "/nope/x"},
		{"through a file", "/index.php/x"},
		{"file with a slash", "/index.php/"},
		{"256 bytes", "/" + strings.Repeat("n", 256)},
		{"longer than PATH_MAX", strings.Repeat("/n", 5000)},
		{"64 KiB", "/" + strings.Repeat("n", 64<<10)},
		{"no leading slash", "index.php"},
		{"empty", ""},
		{"NUL", "/index.php\x00.jpg"},
		{"dot segment", "/./index.php"},
		{"dot segments", "/../secret"},
		{"dot segments in the middle", "/a/../../secret"},
		{"neighbour that starts like the root", "/../www-secret/key"},
		{"backslash", `/a\b`},
		{"backslash dot segments", `/..\secret`},
	}
	eachRoot(t, dir, Options{}, func(t *testing.T, d lookerUpper) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if f, err := d.Lookup(tt.url); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("lookup = %+v, %v", f, err)
				}
				if f, _, err := d.Open(tt.url); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("open = %v, %v", f, err)
				}
			})
		}
	})
}

func TestOpen(t *testing.T) {
	dir := testfiles.TempDir(t)
	testfiles.PutNames(t, dir, "a/b.txt", "d.php/")
	eachRoot(t, dir, Options{}, func(t *testing.T, d lookerUpper) {
		f, fnd, err := d.Open("/a/b.txt")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		body, err := io.ReadAll(f)
		if err != nil || string(body) != "a/b.txt" || fnd.size != int64(len(body)) || !fnd.Regular {
			t.Errorf("open = %q, %+v, %v", body, fnd, err)
		}
		looked, err := d.Lookup("/a/b.txt")
		if err != nil || looked != fnd {
			t.Errorf("lookup = %+v, %v; open gave %+v", looked, err, fnd)
		}
		if f, fnd, err := d.Open("/d.php"); !errors.Is(err, errNotRegular) || f != nil || !fnd.Dir {
			t.Errorf("open of a folder = %v, %+v, %v", f, fnd, err)
		}
	})
}

func TestBelowComparesWholeSegments(t *testing.T) {
	sep := string(filepath.Separator)
	p := func(s string) string { return strings.ReplaceAll(s, "/", sep) }
	for _, tt := range []struct {
		root, path string
		want       bool
	}{
		{"/srv/www", "/srv/www", true},
		{"/srv/www", "/srv/www/a", true},
		{"/srv/www", "/srv/www-secret", false},
		{"/srv/www", "/srv/www-secret/a", false},
		{"/srv/www", "/srv", false},
		{"/srv/www", "/srv/w", false},
		{"/", "/etc", true},
		{"/", "/", true},
	} {
		if got := below(p(tt.root), p(tt.path)); got != tt.want {
			t.Errorf("below(%q, %q) = %v", tt.root, tt.path, got)
		}
	}
}

func TestUnsafeOnWindows(t *testing.T) {
	for rel, want := range map[string]bool{
		"index.php": false, "a/b.txt": false, "a~b": false, "console.log.txt": false, "com": false, "com10": false, "nullable/x": false, "a/": false,
		"index.php::$DATA": true, "index.php:x": true, "c:/x": true, "COMPOS~1.JSO": true, "a/PROGRA~2/x": true,
		"index.php.": true, "index.php ": true, "a./b": true, "nul": true, "NUL.txt": true, "a/con": true, "com1": true, "LPT9.php": true,
		`a\b`: true, "com¹": true, "aux .txt": true, "a?": true,
	} {
		if got := unsafeOnWindows(rel); got != want {
			t.Errorf("unsafeOnWindows(%q) = %v", rel, got)
		}
	}
}

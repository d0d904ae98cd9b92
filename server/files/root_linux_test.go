package files

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
	"golang.org/x/sys/unix"
)

func TestSymlinks(t *testing.T) {
	top := testfiles.TempDir(t)
	dir := filepath.Join(top, "www")
	testfiles.PutNames(t, top, "www/real/x.php", "www/sub/", "www-secret/key", "outside.php")
	for link, target := range map[string]string{
		"rel.php": "real/x.php", "sub/up.php": "../real/x.php", "abs.php": filepath.Join(dir, "real/x.php"),
		"absdir": filepath.Join(dir, "real"), "reldir": "real", "out.php": filepath.Join(top, "outside.php"), "outrel.php": "../outside.php",
		"neighbour": filepath.Join(top, "www-secret"), "etc": "/etc", "loop1": "loop2", "loop2": "loop1", "self": "self",
		"dangling": "nowhere", "danglingabs": filepath.Join(top, "nowhere"), "fd": "/proc/self/fd/0", "null": "/dev/null", "outin": "../www/real/x.php",
	} {
		testfiles.Symlink(t, target, filepath.Join(dir, link))
	}
	real := filepath.Join(dir, "real/x.php")
	tests := []struct {
		url      string
		want     error  // with linksInside
		real     string // real path, without want
		followed error  // with linksAll
	}{
		{url: "/rel.php", real: real},
		{url: "/sub/up.php", real: real},
		{url: "/abs.php", real: real},
		{url: "/absdir/x.php", real: real},
		{url: "/reldir/x.php", real: real},
		{url: "/outin", real: real},
		{url: "/out.php", want: ErrOutsideRoot},
		{url: "/outrel.php", want: ErrOutsideRoot},
		{url: "/neighbour/key", want: ErrOutsideRoot},
		{url: "/etc/passwd", want: ErrOutsideRoot},
		{url: "/loop1", want: fs.ErrNotExist, followed: fs.ErrNotExist},
		{url: "/self", want: fs.ErrNotExist, followed: fs.ErrNotExist},
		{url: "/loop1/x", want: fs.ErrNotExist, followed: fs.ErrNotExist},
		{url: "/dangling", want: fs.ErrNotExist, followed: fs.ErrNotExist},
		{url: "/danglingabs", want: fs.ErrNotExist, followed: fs.ErrNotExist},
	}
	for _, opts := range []Options{{}, {ResolveSymlinks: true}, {Links: linksAll}, {Links: linksAll, ResolveSymlinks: true}} {
		t.Run(fmt.Sprintf("%+v", opts), func(t *testing.T) {
			eachRoot(t, dir, opts, func(t *testing.T, d lookerUpper) {
				for _, tt := range tests {
					want := tt.want
					if opts.Links == linksAll {
						want = tt.followed
					}
					fnd, err := d.Lookup(tt.url)
					if !errors.Is(err, want) {
						t.Errorf("lookup(%q) = %+v, %v; want %v", tt.url, fnd, err, want)
						continue
					}
					f, opened, err := d.Open(tt.url)
					if !errors.Is(err, want) || opened != fnd {
						t.Errorf("open(%q) = %+v, %v; want %+v, %v", tt.url, opened, err, fnd, want)
					}
					if err == nil {
						_ = f.Close()
					}
					if want != nil || tt.real == "" {
						continue
					}
					path := filepath.Join(dir, tt.url)
					if opts.ResolveSymlinks {
						path = tt.real
					}
					if fnd.Path != path || fnd.Root != dir {
						t.Errorf("lookup(%q) = %q in %q; want %q", tt.url, fnd.Path, fnd.Root, path)
					}
				}
			})
		})
	}
	t.Run("a link of proc to a descriptor is never followed", func(t *testing.T) {
		d := testRoot(t, dir, Options{Links: linksAll})
		if _, err := d.Lookup("/fd"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("lookup = %v", err)
		}
	})
	t.Run("a device is not opened for reading", func(t *testing.T) {
		eachRoot(t, dir, Options{Links: linksAll}, func(t *testing.T, d lookerUpper) {
			if fnd, err := d.Lookup("/null"); err != nil || fnd.Regular || fnd.Dir {
				t.Errorf("lookup = %+v, %v", fnd, err)
			}
			if f, _, err := d.Open("/null"); !errors.Is(err, errNotRegular) || f != nil {
				t.Errorf("open = %v, %v", f, err)
			}
		})
	})
}

func TestSpecialFilesAreNotOpened(t *testing.T) {
	dir := testfiles.TempDir(t)
	if err := unix.Mkfifo(filepath.Join(dir, "fifo.txt"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	eachRoot(t, dir, Options{}, func(t *testing.T, d lookerUpper) {
		if fnd, err := d.Lookup("/fifo.txt"); err != nil || fnd.Regular || fnd.Dir {
			t.Errorf("lookup of a FIFO = %+v, %v", fnd, err)
		}
		if f, _, err := d.Open("/fifo.txt"); !errors.Is(err, errNotRegular) || f != nil { // and it does not hang
			t.Errorf("open of a FIFO = %v, %v", f, err)
		}
		if f, _, err := d.Open("/s"); err == nil || f != nil {
			t.Errorf("open of a socket = %v, %v", f, err)
		}
	})
}

func TestNamesThatLookLikeSomethingElse(t *testing.T) {
	dir := testfiles.TempDir(t)
	names := []string{"a\nb", "a (deleted)", "%2e%2e", "\xff\xfe", "a:b", "x.php.", "x::$DATA"}
	testfiles.PutNames(t, dir, names...)
	for _, opts := range []Options{{}, {ResolveSymlinks: true}} {
		eachRoot(t, dir, opts, func(t *testing.T, d lookerUpper) {
			for _, name := range names {
				if fnd, err := d.Lookup("/" + name); err != nil || fnd.Path != dir+"/"+name {
					t.Errorf("lookup(%q) = %+v, %v", name, fnd, err)
				}
			}
		})
	}
}

func TestFolderWithoutSearchPermission(t *testing.T) {
	dir := testfiles.TempDir(t)
	testfiles.PutNames(t, dir, "closed/x")
	if err := os.Chmod(filepath.Join(dir, "closed"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "closed"), 0o755) })
	want := fs.ErrPermission
	if os.Geteuid() == 0 {
		want = nil // root may search every folder
	}
	eachRoot(t, dir, Options{}, func(t *testing.T, d lookerUpper) {
		if _, err := d.Lookup("/closed/x"); !errors.Is(err, want) {
			t.Errorf("lookup = %v, want %v", err, want)
		}
	})
}

func TestLookupErrorKeepsTheServersFaultsApart(t *testing.T) {
	for _, tt := range []struct{ err, want error }{
		{unix.ENOENT, fs.ErrNotExist},
		{unix.ENOTDIR, fs.ErrNotExist},
		{unix.ELOOP, fs.ErrNotExist},
		{unix.ENAMETOOLONG, fs.ErrNotExist},
		{unix.EACCES, fs.ErrPermission},
		{ErrOutsideRoot, ErrOutsideRoot},
		{unix.EMFILE, unix.EMFILE},
		{unix.EIO, unix.EIO},
	} {
		if got := lookupError("/x", tt.err); !errors.Is(got, tt.want) {
			t.Errorf("lookupError(%v) = %v", tt.err, got)
		}
	}
}

// releases makes two releases with the same files and returns the folder.
func releases(t testing.TB) string {
	top := testfiles.TempDir(t)
	testfiles.PutNames(t, top, "releases/1/public/index.php", "releases/2/public/index.php")
	testfiles.Symlink(t, "releases/1", filepath.Join(top, "current"))
	return top
}

// switchTo switches the release link in one step.
func switchTo(top string, release int) error {
	tmp := filepath.Join(top, "current.tmp")
	if err := os.Symlink("releases/"+strconv.Itoa(release), tmp); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(top, "current"))
}

// TestReleaseSwitchIsSeenAtOnceAndWhole: the lookup after a switch gives the
// new release, and no lookup meanwhile gives half of each.
func TestReleaseSwitchIsSeenAtOnceAndWhole(t *testing.T) {
	top := releases(t)
	inode := map[uint64]string{}
	for _, n := range []string{"1", "2"} {
		root := filepath.Join(top, "releases", n, "public")
		info, err := os.Stat(filepath.Join(root, "index.php"))
		if err != nil {
			t.Fatal(err)
		}
		_, ino := fileIDs(info)
		inode[ino] = root
	}
	eachRoot(t, filepath.Join(top, "current/public"), Options{ResolveSymlinks: true}, func(t *testing.T, d lookerUpper) {
		var stop atomic.Bool
		var wg, begun sync.WaitGroup
		for range 4 {
			begun.Add(1)
			wg.Go(func() {
				for first := true; !stop.Load(); first = false {
					fnd, err := d.Lookup("/index.php")
					if first {
						begun.Done()
					}
					if err != nil {
						t.Errorf("lookup: %v", err)
						return
					}
					if want := inode[fnd.ino]; want == "" || fnd.Root != want || fnd.Path != want+"/index.php" {
						t.Errorf("mixed answer: %q in %q with the inode of %q", fnd.Path, fnd.Root, want)
						return
					}
				}
			})
		}
		begun.Wait()
		for i := range 1000 {
			release := i%2 + 1
			if err := switchTo(top, release); err != nil {
				t.Fatal(err)
			}
			want := filepath.Join(top, "releases", strconv.Itoa(release), "public")
			if fnd, err := d.Lookup("/index.php"); err != nil || fnd.Root != want || fnd.Path != want+"/index.php" {
				t.Errorf("after switch %d: %q in %q, %v; want %q", i, fnd.Path, fnd.Root, err, want)
				break
			}
		}
		stop.Store(true)
		wg.Wait()
	})
}

func TestReleaseSwitchByRemovingTheLinkFirst(t *testing.T) {
	top := releases(t)
	d := testRoot(t, filepath.Join(top, "current/public"), Options{})
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			if _, err := d.Lookup("/index.php"); err != nil {
				t.Errorf("lookup: %v", err)
				return
			}
		}
	})
	link := filepath.Join(top, "current")
	for i := range 200 { // as ln -sfn does
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		testfiles.Symlink(t, "releases/"+strconv.Itoa(i%2+1), link)
	}
	stop.Store(true)
	wg.Wait()
}

func TestRenamedReleaseFolderIsNotReportedByItsOldPath(t *testing.T) {
	top := releases(t)
	d := testRoot(t, filepath.Join(top, "current/public"), Options{ResolveSymlinks: true})
	if _, err := d.Lookup("/index.php"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(top, "releases/1"), filepath.Join(top, "releases/9")); err != nil {
		t.Fatal(err)
	}
	if err := switchTo(top, 9); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(top, "releases/9/public")
	for _, url := range []string{"/index.php", "/"} {
		fnd, err := d.Lookup(url)
		if err != nil || fnd.Root != want || fnd.Path != filepath.Join(want, url) {
			t.Errorf("lookup(%q) = %q in %q, %v; want %q", url, fnd.Path, fnd.Root, err, want)
		}
	}
}

func TestRootThatIsGoneIsTheServersFault(t *testing.T) {
	top := releases(t)
	d := testRoot(t, filepath.Join(top, "current/public"), Options{})
	if err := os.Remove(filepath.Join(top, "current")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lookup("/index.php"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lookup = %v", err)
	}
	if err := switchTo(top, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lookup("/index.php"); err != nil {
		t.Errorf("lookup after the link came back = %v", err)
	}
}

// TestFolderSwappedForALinkNeverLeadsOut is the race between check and use.
func TestFolderSwappedForALinkNeverLeadsOut(t *testing.T) {
	top := testfiles.TempDir(t)
	dir := filepath.Join(top, "www")
	testfiles.PutNames(t, top, "www/d/key", "out/key")
	secret, err := os.Stat(filepath.Join(top, "out/key"))
	if err != nil {
		t.Fatal(err)
	}
	_, secretIno := fileIDs(secret)
	testfiles.Symlink(t, filepath.Join(top, "out"), filepath.Join(dir, "l"))
	d := testRoot(t, dir, Options{})
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			if err := unix.Renameat2(unix.AT_FDCWD, dir+"/d", unix.AT_FDCWD, dir+"/l", unix.RENAME_EXCHANGE); err != nil {
				t.Errorf("cannot exchange: %v", err)
				return
			}
		}
	})
	defer wg.Wait()
	defer stop.Store(true)
	seen := map[string]bool{}
	for !t.Failed() && (!seen["inside"] || !seen["refused"]) {
		for range 5000 {
			f, fnd, err := d.Open("/d/key")
			switch {
			case err == nil:
				seen["inside"] = true
				_ = f.Close()
				if fnd.ino == secretIno {
					t.Error("led out of the root")
				}
			case errors.Is(err, ErrOutsideRoot):
				seen["refused"] = true
			}
		}
	}
}

func TestDocRootLeaksNoDescriptors(t *testing.T) {
	top := releases(t)
	testfiles.Symlink(t, filepath.Join(top, "releases/1/public/index.php"), filepath.Join(top, "releases/1/public/abs.php"))
	testfiles.Symlink(t, "/etc/passwd", filepath.Join(top, "releases/1/public/out.php"))
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before := count()
	d, err := OpenRoot(filepath.Join(top, "current/public"), Options{ResolveSymlinks: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := switchTo(top, i%2+1); err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{"/", "/index.php", "/abs.php", "/out.php", "/nope", "/nope/x", "/index.php/"} {
			_, _ = d.Lookup(url)
			if f, _, err := d.Open(url); err == nil {
				_ = f.Close()
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if _, err := d.Lookup("/"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("lookup after Close = %v", err)
	}
}

func TestLookupAllocatesAtMostTwice(t *testing.T) {
	dir := testfiles.TempDir(t)
	testfiles.PutNames(t, dir, "a/b.txt")
	d := testRoot(t, dir, Options{})
	for url, limit := range map[string]float64{"/a/b.txt": 2, "/nope": 1} {
		if n := testing.AllocsPerRun(100, func() { _, _ = d.Lookup(url) }); n > limit {
			t.Errorf("lookup(%q): %v allocations, want at most %v", url, n, limit)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	dir := testfiles.TempDir(b)
	testfiles.PutNames(b, dir, "wp-content/themes/style.css")
	testfiles.Symlink(b, filepath.Join(dir, "wp-content/themes/style.css"), filepath.Join(dir, "abs.css"))
	for _, bb := range []struct {
		name, url string
		d         lookerUpper
	}{
		{"found", "/wp-content/themes/style.css", testRoot(b, dir, Options{})},
		{"missing", "/wp-content/themes/nope.css", testRoot(b, dir, Options{})},
		{"resolved", "/wp-content/themes/style.css", testRoot(b, dir, Options{ResolveSymlinks: true})},
		{"absolute-link", "/abs.css", testRoot(b, dir, Options{})},
		{"portable", "/wp-content/themes/style.css", &portableRoot{path: dir}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = bb.d.Lookup(bb.url)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := testfiles.TempDir(b)
	testfiles.PutNames(b, dir, "style.css")
	d := testRoot(b, dir, Options{})
	b.ReportAllocs()
	for b.Loop() {
		f, _, err := d.Open("/style.css")
		if err != nil {
			b.Fatal(err)
		}
		_ = f.Close()
	}
}

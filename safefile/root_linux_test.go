package safefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// tree makes files, folders (a name that ends in a slash), links (a text that begins with "->") and FIFOs ("|").
func tree(t *testing.T, dir string, entries map[string]string) {
	t.Helper()
	for name, text := range entries {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		target, link := strings.CutPrefix(text, "->")
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case link:
			err = os.Symlink(strings.ReplaceAll(target, "DIR", dir), path)
		case text == "|":
			err = syscall.Mkfifo(path, 0o600)
		default:
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// bothWays runs a test with openat2(2), where the kernel has it, and without.
func bothWays(t *testing.T, dir string, test func(t *testing.T, r *Root)) {
	for name, byHand := range map[string]bool{"openat2": false, "by hand": true} {
		t.Run(name, func(t *testing.T) {
			r, err := OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			r.byHand.Store(byHand)
			test(t, r)
		})
	}
}

func read(r *Root, path string) (string, error) {
	f, err := r.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

// TestRootIsWhatChrootShows: the same paths lead to the same files as for a process that did chroot(2), and none leads out.
func TestRootIsWhatChrootShows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree(t, dir, map[string]string{
		"secret": "secret", "jail/a": "a", "jail/d/b": "b", "jail/etc/passwd": "inner", "jail/fifo": "|",
		"jail/absolute": "->/d/b", "jail/folder": "->/d", "jail/relative": "->d/b", "jail/d/up": "->../a", "jail/chain": "->/folder/up",
		"jail/out": "->DIR/secret", "jail/out2": "->../secret", "jail/out3": "->../../../../../../../../../../secret",
		"jail/outfolder": "->DIR", "jail/dots": "->d/../../secret", "jail/clamped": "->../../../../../../../../../../a",
		"jail/loop": "->loop", "jail/passwd": "->/etc/passwd", "jail/slash": "->d/", "jail/fileslash": "->a/", "jail/root": "->/",
		"jail/dangling": "->none", "jail/tochain": "->/chain",
	})
	bothWays(t, filepath.Join(dir, "jail"), func(t *testing.T, r *Root) {
		for path, want := range map[string]string{
			"/a": "a", "a": "a", "//d//b": "b", "/d/../a": "a", "/../../a": "a", "/absolute": "b", "/folder/b": "b", "/relative": "b",
			"/d/up": "a", "/chain": "a", "/tochain": "a", "/clamped": "a", "/passwd": "inner", "/root/root/a": "a", "/slash/b": "b", "/./a": "a",
		} {
			if got, err := read(r, path); got != want {
				t.Errorf("%s: %q, %v; want %q", path, got, err, want)
			}
		}
		for path, want := range map[string]syscall.Errno{
			"/out": syscall.ENOENT, "/out2": syscall.ENOENT, "/out3": syscall.ENOENT, "/outfolder/secret": syscall.ENOENT,
			"/dots": syscall.ENOENT, "/../secret": syscall.ENOENT, "../secret": syscall.ENOENT, "/loop": syscall.ELOOP, "/none/x": syscall.ENOENT,
			"/a/x": syscall.ENOTDIR, "/a/": syscall.ENOTDIR, "/a/..": syscall.ENOTDIR, "/fileslash": syscall.ENOTDIR, "": syscall.ENOENT,
			"/a\x00b": syscall.EINVAL, "/dangling": syscall.ENOENT, "/none/": syscall.ENOENT,
			"/" + strings.Repeat("x", 300): syscall.ENAMETOOLONG,
		} {
			if got, err := read(r, path); !errors.Is(err, want) {
				t.Errorf("%q: %q, %v; want %v", path, got, err, want)
			}
			if _, err := r.Stat(path); !errors.Is(err, want) {
				t.Errorf("%q: Stat says %v; want %v", path, err, want)
			}
		}
		if info, err := r.Stat("/fifo"); err != nil || info.Mode().Type() != os.ModeNamedPipe {
			t.Errorf("/fifo: %v, %v", info, err)
		}
		if info, err := r.Stat("/folder"); err != nil || !info.IsDir() {
			t.Errorf("/folder: %v, %v", info, err)
		}
		if f, err := r.Open("/fifo"); err != nil { // and it does not wait
			t.Errorf("/fifo: %v", err)
		} else {
			f.Close()
		}
	})
}

// TestRootRefusesLinksOfProc: /proc/PID/root and its kin are no paths and lead out of every folder.
func TestRootRefusesLinksOfProc(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree(t, dir, map[string]string{"secret": "secret"})
	f, err := os.Open(filepath.Join(dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bothWays(t, "/proc", func(t *testing.T, r *Root) {
		for _, path := range []string{
			"/self/root" + dir + "/secret", "/thread-self/root" + dir + "/secret", "/self/cwd/root_linux_test.go", "/self/exe",
			"/self/fd/" + strconv.Itoa(int(f.Fd())), "/self/task/../root" + dir + "/secret",
		} {
			if got, err := read(r, path); !errors.Is(err, syscall.ELOOP) {
				t.Errorf("%s: %q, %v", path, got[:min(len(got), 20)], err)
			}
		}
		if _, err := r.Stat("/self/status"); err != nil { // a path
			t.Error(err)
		}
	})
}

// TestRootHoldsWhileFoldersMove: somebody who swaps folders and links while a path is walked sees nothing from outside.
func TestRootHoldsWhileFoldersMove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree(t, dir, map[string]string{
		"jail/d/e/f/x": "inside", "jail/x": "inside", "x": "outside", "d/e/f/x": "outside", "f/x": "outside", "jail/link": "->DIR/d/e", "jail/up": "->../../..",
	})
	jail := filepath.Join(dir, "jail")
	bothWays(t, jail, func(t *testing.T, r *Root) {
		done, ended := make(chan struct{}), make(chan error)
		go func() { // the attacker
			swap := func(a, b string) error {
				for _, step := range [][2]string{{a, "tmp"}, {b, a}, {"tmp", b}} {
					if err := os.Rename(filepath.Join(jail, step[0]), filepath.Join(jail, step[1])); err != nil {
						return err
					}
				}
				return nil
			}
			for {
				for _, pair := range [][2]string{{"d/e", "link"}, {"d/e", "up"}} {
					for range 2 { // and back
						if err := swap(pair[0], pair[1]); err != nil {
							ended <- err
							return
						}
					}
				}
				select {
				case <-done:
					ended <- nil
					return
				default:
				}
			}
		}()
		seen := map[string]int{}
		for range 3000 {
			for _, path := range []string{"/d/e/f/x", "/d/e/f/../../../x", "/d/e/../../../x"} {
				text, err := read(r, path)
				if err == nil {
					seen[text]++
				}
			}
		}
		close(done)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if seen["inside"] == 0 || len(seen) != 1 {
			t.Errorf("seen: %v", seen)
		}
	})
}

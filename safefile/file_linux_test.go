package safefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	tenant = 65534 // nobody
	third  = 1     // daemon
)

// folders are kinds of folders that a log may be in, with who can change them.
var folders = []struct {
	name     string
	uid, gid int
	mode     os.FileMode
}{
	{"closed", 0, 0, 0o755},
	{"sticky", 0, 0, os.ModeSticky | 0o777},
	{"shared", 0, tenant, 0o775},
	{"of a tenant", tenant, tenant, 0o755},
	{"of everybody", 0, 0, 0o777},
}

// plantedThings are what may be found in the place of a log. A link or a second name leads to victim.
var planted = []struct {
	name string
	uid  int
	put  func(path, victim string) error
	// ok says in which folders root adds to it, in the order of folders.
	ok [5]bool
}{
	{"nothing", 0, func(string, string) error { return nil }, [5]bool{true, true, true, true, true}},
	{"root's file", 0, plain, [5]bool{true, true, true, true, true}},
	{"the tenant's file", tenant, plain, [5]bool{true, false, true, true, false}}, // as logrotate's "create" makes it
	{"another's file", third, plain, [5]bool{true, false, true, false, false}},
	{"root's link", 0, func(path, victim string) error { return os.Symlink(victim, path) }, [5]bool{true, true, true, false, false}},
	{"the tenant's link", tenant, func(path, victim string) error { return os.Symlink(victim, path) }, [5]bool{true, false, false, false, false}},
	{"a dangling link", tenant, func(path, victim string) error { return os.Symlink(victim+".new", path) }, [5]bool{true, false, false, false, false}},
	{"a link to a folder", tenant, func(path, victim string) error {
		return errors.Join(os.Remove(filepath.Dir(path)), os.Symlink(filepath.Dir(victim), filepath.Dir(path)))
	}, [5]bool{}},
	{"a hard link", 0, func(path, victim string) error { return os.Link(victim, path) }, [5]bool{true, false, false, false, false}},
	{"a folder", tenant, func(path, _ string) error { return os.Mkdir(path, 0o755) }, [5]bool{}},
	{"a FIFO", tenant, func(path, _ string) error { return syscall.Mkfifo(path, 0o666) }, [5]bool{}},
	{"a link to itself", tenant, func(path, _ string) error { return os.Symlink(path, path) }, [5]bool{}},
	{"a link of proc", tenant, func(path, _ string) error { return os.Symlink("/proc/self/fd/0", path) }, [5]bool{}},
}

func plain(path, _ string) error { return os.WriteFile(path, nil, 0o600) }

// asRoot ends a test that is about what root does for others.
func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	// Without root the same happens with the files of the user; that there are others cannot be arranged.
	f, err := OpenAppend(filepath.Join(t.TempDir(), "log"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return false
}

// TestLogsAreOpenedOnlyWhereNobodyElsePutThem: whatever another user puts in the place of a log, root writes to no other file.
func TestLogsAreOpenedOnlyWhereNobodyElsePutThem(t *testing.T) {
	t.Parallel()
	if !asRoot(t) {
		return
	}
	for i, folder := range folders {
		for _, thing := range planted {
			if thing.name == "a link of proc" && folder.name == "closed" {
				continue // the test's own input
			}
			t.Run(folder.name+", "+thing.name, func(t *testing.T) {
				dir := t.TempDir()
				victim := filepath.Join(dir, "victim", "log")
				log := filepath.Join(dir, "logs", "sub", "log")
				if thing.name != "a link to a folder" {
					log = filepath.Join(dir, "logs", "log")
				}
				for _, d := range []string{filepath.Dir(victim), filepath.Dir(log)} {
					if err := os.MkdirAll(d, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.WriteFile(victim, []byte("victim"), 0o640); err != nil {
					t.Fatal(err)
				}
				if err := thing.put(log, victim); err != nil {
					t.Fatal(err)
				}
				logs := filepath.Join(dir, "logs")
				placed := log
				if thing.name == "a link to a folder" {
					placed = filepath.Dir(log)
				}
				if thing.name != "nothing" && thing.name != "a hard link" {
					if err := os.Lchown(placed, thing.uid, thing.uid); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(os.Chown(logs, folder.uid, folder.gid), os.Chmod(logs, folder.mode)); err != nil {
					t.Fatal(err)
				}
				want := thing.ok[i] || thing.name == "a link to a folder" && folder.name == "closed"
				f, err := OpenAppend(log, 0o600)
				if (err == nil) != want {
					t.Errorf("opened: %v; want %v", err, want)
				}
				if err == nil {
					fmt.Fprint(f, "line")
					f.Close()
				}
				text, err := os.ReadFile(victim)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(victim + ".new"); !want && (string(text) != "victim" || err == nil) {
					t.Errorf("the victim: %q, %v", text, err)
				}
			})
		}
	}
}

// TestLogsThatAreNoFiles: standard output, /dev/null and FIFOs are where operators log to, too.
func TestLogsThatAreNoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	tree(t, dir, map[string]string{"fifo": "|", "alone": "|", "null": "->/dev/null", "pipe": fmt.Sprintf("->/proc/self/fd/%d", w.Fd())})
	reader, err := os.OpenFile(filepath.Join(dir, "fifo"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, path := range []string{"/dev/null", dir + "/null", dir + "/fifo", dir + "/pipe", fmt.Sprintf("/proc/self/fd/%d", w.Fd()), fmt.Sprintf("/dev/fd/%d", w.Fd())} {
		f, err := OpenAppend(path, 0o600)
		if err == nil {
			_, err = f.WriteString("line\n")
			f.Close()
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := OpenAppend(dir+"/alone", 0o600); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("a FIFO that nobody reads: %v", err)
	}
}

// TestCreateWritesToNothingThatIsThere: a pid file takes the place of a link or a second name.
func TestCreateWritesToNothingThatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree(t, dir, map[string]string{"victim": "victim", "run/link": "->DIR/victim", "run/old": "old", "run/fifo": "|"})
	if err := os.Link(dir+"/victim", dir+"/run/hard"); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir+"/run", tenant, tenant); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link", "old", "fifo", "hard", "new"} {
		f, err := Create(filepath.Join(dir, "run", name), 0o644)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		fmt.Fprint(f, "1234")
		f.Close()
	}
	if text, err := os.ReadFile(dir + "/victim"); err != nil || string(text) != "victim" {
		t.Errorf("the victim: %q, %v", text, err)
	}
}

// TestAuthorNamesWhoCanChangeAProgram by the file, a folder on the way, or a link.
func TestAuthorNamesWhoCanChangeAProgram(t *testing.T) {
	t.Parallel()
	if !asRoot(t) {
		return
	}
	dir := t.TempDir()
	tree(t, dir, map[string]string{
		"good/bin/phpserve": "", "his/bin/phpserve": "", "world/bin/phpserve": "", "group/bin/phpserve": "", "tmp/mine": "", "tmp/his": "",
		"bin/his": "", "bin/writable": "", "bin/link": "->DIR/good/bin/phpserve", "bin/hislink": "->DIR/his/bin/phpserve", "his/link": "->DIR/good/bin/phpserve",
		"bin/dots": "->../his/../good/bin/phpserve", "bin/dangling": "->DIR/his/none/none",
	})
	for path, change := range map[string]func(string) error{
		"his":          func(p string) error { return os.Chown(p, tenant, tenant) },
		"world":        func(p string) error { return os.Chmod(p, 0o777) },
		"group":        func(p string) error { return errors.Join(os.Chown(p, 0, tenant), os.Chmod(p, 0o775)) },
		"tmp":          func(p string) error { return os.Chmod(p, os.ModeSticky|0o777) },
		"tmp/his":      func(p string) error { return os.Chown(p, tenant, tenant) },
		"bin/his":      func(p string) error { return os.Chown(p, tenant, tenant) },
		"bin/writable": func(p string) error { return os.Chmod(p, 0o777) },
	} {
		if err := change(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"good/bin/phpserve": "", "bin/link": "", "tmp/mine": "", "his/bin/phpserve": "user nobody", "world/bin/phpserve": "everybody",
		"group/bin/phpserve": "group nogroup", "tmp/his": "user nobody", "bin/his": "user nobody", "bin/writable": "everybody",
		"bin/hislink": "user nobody", "his/link": "user nobody", "bin/dots": "user nobody",
	} {
		got, err := Author(filepath.Join(dir, path))
		if err != nil || strings.Replace(got, "65534", "nobody", 1) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	if _, err := Author(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	// Who can put something there, whosever the file itself is.
	for path, want := range map[string]string{
		"good/bin/phpserve": "", "good/bin/none": "", "good/none/none": "", "bin/link": "", "bin/his": "", "bin/writable": "",
		"his/bin/phpserve": "user nobody", "his/none/none": "user nobody", "world/bin/phpserve": "everybody", "group/bin/phpserve": "group nogroup",
		"tmp/mine": "everybody", "tmp/none": "everybody", "bin/hislink": "user nobody", "his/link": "user nobody", "bin/dots": "", "bin/dangling": "user nobody",
	} {
		got, err := Placer(filepath.Join(dir, path))
		if err != nil || strings.Replace(got, "65534", "nobody", 1) != want {
			t.Errorf("in the place of %s: %q, %v; want %q", path, got, err, want)
		}
	}
}

// TestReadRegularReadsNothingElse: no device, no FIFO, nothing without an end.
func TestReadRegularReadsNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree(t, dir, map[string]string{"file": "text", "fifo": "|", "large": strings.Repeat("x", 100), "zero": "->/dev/zero", "link": "->file"})
	for name, want := range map[string]string{"file": "text", "link": "text", "fifo": "", "large": "", "zero": "", ".": ""} {
		got, err := ReadRegular(filepath.Join(dir, name), 99)
		if (err == nil) != (want != "") || err == nil && string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

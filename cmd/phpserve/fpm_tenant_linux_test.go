package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// victim is a file that only root may change, and how it is.
type victim struct {
	path, was string
}

// newVictim makes one.
func newVictim(t *testing.T, path string) victim {
	t.Helper()
	writeFile(t, path, "for root")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	v := victim{path: path}
	v.was = v.now(t)
	return v
}

// now is how it is: mode, owner, access control list and content.
func (v victim) now(t *testing.T) string {
	t.Helper()
	info, err := os.Lstat(v.path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	acl := make([]byte, 4096)
	n, err := unix.Getxattr(v.path, "system.posix_acl_access", acl)
	if err != nil {
		n = 0
	}
	return fmt.Sprint(info.Mode(), st.Uid, st.Gid, string(acl[:n]), string(text))
}

// instead puts something of the tenant's in the place of a file.
func instead(t *testing.T, tenant int, path string, put func(path string) error) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := errors.Join(put(path), os.Lchown(path, tenant, tenant)); err != nil {
		t.Fatal(err)
	}
}

// TestFPMTenantPutsLinksInThePlaceOfSocketsAndLogs: socket, logs and pid file are in a folder of the pool's user, who puts links to a
// file of root there. At a reload and when logs are opened anew that file stays as it is, and the pool is served on.
func TestFPMTenantPutsLinksInThePlaceOfSocketsAndLogs(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, who has something to lose")
	}
	const tenant = 33 // www-data
	config := func(mode string) string {
		return "[global]\nerror_log = DIR/his/error.log\npid = DIR/his/pid\n[www]\nUSER\nlisten = DIR/his/www.sock\nlisten.mode = " + mode +
			"\npm = static\npm.max_children = 1\naccess.log = DIR/his/access.log\nslowlog = DIR/his/slow.log\nrequest_slowlog_timeout = 100s\n" +
			"[other]\nUSER\nlisten = 127.0.0.1:0\npm = static\npm.max_children = 1\n"
	}
	s := newSide(t, "phpserve", config("0660"), map[string]string{"s.php": `<?php echo "served";`, "his/x": ""})
	if err := os.Chown(filepath.Join(s.dir, "his"), tenant, tenant); err != nil {
		t.Fatal(err)
	}
	s.start()
	if got := s.ask("his/www.sock", nil, ""); !strings.Contains(got, "served") {
		t.Fatalf("before: %q", got)
	}
	v := newVictim(t, filepath.Join(s.dir, "victim"))
	link := func(path string) error { return os.Symlink(v.path, path) }
	same := func(when string) {
		t.Helper()
		if now := v.now(t); now != v.was {
			t.Fatalf("%s: the file of root was %q and is %q", when, v.was, now)
		}
	}
	reloads := 1
	for name, put := range map[string]func(string) error{
		"a link": link, "a relative link": func(path string) error { return os.Symlink("../victim", path) },
		"a second name": func(path string) error { return os.Link(v.path, path) },
		"a FIFO":        func(path string) error { return syscall.Mkfifo(path, 0o666) },
	} {
		path := filepath.Join(s.dir, "his/www.sock")
		if err := errors.Join(os.Remove(path), put(path)); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []string{"0666", "0600\nlisten.acl_users = nobody", "0664\nlisten.owner = nobody"} {
			s.rewrite(config(mode))
			reloads++
			s.reload(reloads, "ready to handle connections")
			same(name + " as the socket, listen.mode = " + mode)
		}
	}
	if text := s.out.String(); !strings.Contains(text, "is not the socket that is listened on any more") {
		t.Errorf("the operator is not told\n%s", text)
	}
	for _, name := range []string{"access.log", "slow.log"} {
		instead(t, tenant, filepath.Join(s.dir, "his", name), link)
		if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		s.waitForTimes(name+": another user could have put it there", 1)
		same("a link as " + name)
		if err := os.Remove(filepath.Join(s.dir, "his", name)); err != nil {
			t.Fatal(err)
		}
	}
	instead(t, tenant, filepath.Join(s.dir, "his/pid"), link)
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	same("after the end")
}

// TestFPMTenantPutsALinkInThePlaceOfTheErrorLog: in the background, where the error log is a file.
func TestFPMTenantPutsALinkInThePlaceOfTheErrorLog(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, who has something to lose")
	}
	const tenant = 33 // www-data
	s := newSide(t, "phpserve", "[global]\nerror_log = DIR/his/error.log\npid = DIR/pid\n[www]\nUSER\nlisten = DIR/www.sock\npm = static\npm.max_children = 1\n",
		map[string]string{"his/x": ""})
	if err := os.Chown(filepath.Join(s.dir, "his"), tenant, tenant); err != nil {
		t.Fatal(err)
	}
	master := s.startInBackground()
	v := newVictim(t, filepath.Join(s.dir, "victim"))
	log := filepath.Join(s.dir, "his/error.log")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	instead(t, tenant, log, func(path string) error { return os.Symlink(v.path, path) })
	if err := master.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old log says why it goes on", func() bool {
		return strings.Contains(s.file("his/error.log.1"), "another user could have put it there")
	})
	if now := v.now(t); now != v.was {
		t.Errorf("the file of root was %q and is %q", v.was, now)
	}
	// What logrotate makes (create 0640 www-data adm) is opened.
	instead(t, tenant, log, func(path string) error { return os.WriteFile(path, nil, 0o640) })
	if err := master.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new log is used", func() bool { return strings.Contains(s.file("his/error.log"), "error log file re-opened") })
	if err := master.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "phpserve has ended", func() bool { return strings.Contains(s.file("his/error.log"), "bye-bye") })
}

// TestFPMStartsBesideWhatATenantLeft: what is in the place of socket, logs and pid file at the start.
func TestFPMStartsBesideWhatATenantLeft(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, who has something to lose")
	}
	const tenant = 65534
	for _, tt := range []struct {
		name, directive string
		starts          bool
		put             func(path, victim string) error
	}{
		{"a link as the socket", "[www]\nlisten = ", false, func(path, victim string) error { return os.Symlink(victim, path) }},
		{"a link as the log", "[global]\nerror_log = ", false, func(path, victim string) error { return os.Symlink(victim, path) }},
		{"a link as the access log", "[www]\naccess.log = ", false, func(path, victim string) error { return os.Symlink(victim, path) }},
		{"a link as the slow log", "[www]\nrequest_slowlog_timeout = 1\nslowlog = ", false, func(path, victim string) error { return os.Symlink(victim, path) }},
		{"a second name as the log", "[global]\nerror_log = ", false, func(path, victim string) error { return os.Link(victim, path) }},
		{"a link as the pid file", "[global]\npid = ", true, func(path, victim string) error { return os.Symlink(victim, path) }},
		{"a second name as the pid file", "[global]\npid = ", true, func(path, victim string) error { return os.Link(victim, path) }},
		{"a FIFO as the pid file", "[global]\npid = ", true, func(path, _ string) error { return syscall.Mkfifo(path, 0o666) }},
		{"a log of the tenant's", "[global]\nerror_log = ", true, func(path, _ string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Chown(path, tenant, tenant))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := poolWith()
			section, rest, _ := strings.Cut(tt.directive, "\n")
			if strings.HasPrefix(rest, "listen") {
				config = strings.Replace(config, "listen = DIR/www.sock", rest+"DIR/his/file", 1)
			} else {
				for line := range strings.Lines(config) {
					if name, _, _ := strings.Cut(rest, " "); strings.HasPrefix(line, name+" ") {
						config = strings.Replace(config, line, "", 1)
					}
				}
				config = strings.Replace(config, section+"\n", section+"\n"+rest+"DIR/his/file\n", 1)
			}
			s := newSide(t, "phpserve", config, map[string]string{"his/x": ""})
			v := newVictim(t, filepath.Join(s.dir, "victim"))
			if err := tt.put(filepath.Join(s.dir, "his/file"), v.path); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(filepath.Join(s.dir, "his"), tenant, tenant); err != nil {
				t.Fatal(err)
			}
			if tt.starts {
				s.start()
				if code := s.stop(syscall.SIGTERM); code != 0 {
					t.Errorf("exit code %d", code)
				}
			} else if code := s.run("-F", "-y", s.conf); code == 0 {
				t.Errorf("it starts\n%s", s.out)
			}
			if now := v.now(t); now != v.was {
				t.Errorf("the file of root was %q and is %q\n%s", v.was, now, s.out)
			}
		})
	}
}

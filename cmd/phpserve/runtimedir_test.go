//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRunWithoutAUsableRuntimeFolder: an XDG_RUNTIME_DIR that is missing, another's, not writable or too long does not end the start.
// The control socket is then in phpserve-UID below TMPDIR, and nowhere where somebody else has made that folder.
func TestRunWithoutAUsableRuntimeFolder(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else: for root the variable has no effect")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(openFolder(t, "phpserve-program-"), "phpserve")
	syscall.ForkLock.RLock() // as for writeProgram
	err = os.WriteFile(program, text, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	site := openFolder(t, "phpserve-xdg-")
	writeFile(t, filepath.Join(site, "index.php"), "<?php echo 'served';")
	const user = 65534
	own := filepath.Join(site, "own")
	long := filepath.Join(site, strings.Repeat("x", 120))
	for dir, mode := range map[string]os.FileMode{own: 0o700, filepath.Join(site, "readonly"): 0o500, filepath.Join(site, "open"): 0o777, long: 0o700} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, user, user); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	temp, taken := filepath.Join(site, "temp"), filepath.Join(site, "taken")
	for _, dir := range []string{temp, filepath.Join(taken, "phpserve-65534")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(temp, 0o1777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(taken, 0o1777); err != nil {
		t.Fatal(err)
	}
	fallback := filepath.Join(temp, "phpserve-65534")
	for _, tt := range []struct {
		dir, temp string
		why       string // the warning; empty: there is none
		control   string // the folder of the control socket; empty: there is none, which is said
	}{
		{own, temp, "", filepath.Join(own, "phpserve")},
		{own, taken, "", filepath.Join(own, "phpserve")},
		{"", temp, "", fallback},
		{"/nonexistent", temp, "there is no such folder", fallback},
		{"/root", temp, "it is not this user's: it belongs to root:root and has mode 0", fallback},
		{filepath.Join(site, "index.php"), temp, "it is not a folder", fallback},
		{"own", temp, "it is not an absolute path", fallback},
		{filepath.Join(site, "readonly"), temp, "this user cannot write to it: it belongs to nobody:nogroup and has mode 0500", fallback},
		{filepath.Join(site, "open"), temp, "others can change it: it belongs to nobody:nogroup and has mode 0777", fallback},
		{long, temp, "and a socket's leaves room for 70", fallback},
		{"", taken, "", ""},
		{"/nonexistent", taken, "there is no such folder", ""},
	} {
		out := &output{changed: make(chan struct{})}
		cmd := exec.Command(program, "run", "--listen", "127.0.0.1:0", ".")
		cmd.Dir, cmd.Stdout, cmd.Stderr = site, out, out
		cmd.Env = append(cleanEnviron(), "XDG_RUNTIME_DIR="+tt.dir, "TMPDIR="+tt.temp)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { cmd.Wait(); close(done) }()
		socket := filepath.Join(tt.control, fmt.Sprintf("control-%d.sock", cmd.Process.Pid))
		opened := false
		eventually(t, "it serves, and has a control socket or says that it has none, or it ends", func() bool {
			select {
			case <-done:
				return true
			default:
				_, err := os.Stat(socket)
				opened = tt.control != "" && err == nil
				return urlLine.MatchString(out.String()) && (opened || strings.Contains(out.String(), "there is no control socket"))
			}
		})
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		text := out.String()
		if !urlLine.MatchString(text) || strings.Contains(text, "XDG_RUNTIME_DIR cannot be used") != (tt.why != "") || !strings.Contains(text, tt.why) {
			t.Errorf("%+v: it serves, and tells why\n%s", tt, text)
		}
		if missing := strings.Contains(text, "there is no control socket"); missing != (tt.control == "") || opened == missing {
			t.Errorf("%+v: control socket: %v\n%s", tt, opened, text)
		}
	}
}

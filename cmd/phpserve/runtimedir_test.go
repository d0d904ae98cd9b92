//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRunWithoutAUsableRuntimeFolder: an XDG_RUNTIME_DIR that is missing, another's, not writable or too long does not end the start.
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
	for dir, told := range map[string]bool{own: false, "/nonexistent": true, "/root": true, filepath.Join(site, "readonly"): true, filepath.Join(site, "open"): true, long: true} {
		out := &output{changed: make(chan struct{})}
		cmd := exec.Command(program, "run", "--listen", "127.0.0.1:0", ".")
		cmd.Dir, cmd.Stdout, cmd.Stderr = site, out, out
		cmd.Env = append(cleanEnviron(), "XDG_RUNTIME_DIR="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { cmd.Wait(); close(done) }()
		eventually(t, "it serves or ends", func() bool {
			select {
			case <-done:
				return true
			default:
				return urlLine.MatchString(out.String())
			}
		})
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		if text := out.String(); !urlLine.MatchString(text) || strings.Contains(text, "XDG_RUNTIME_DIR cannot be used") != told {
			t.Errorf("%s: told: %v\n%s", dir, told, text)
		}
	}
}

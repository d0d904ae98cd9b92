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

// TestAPHPServeIsFoundWhateverItsEnvironmentWas: a service has another XDG_RUNTIME_DIR than the shell that asks, or none. Several are
// told apart, and those of others are named.
func TestAPHPServeIsFoundWhateverItsEnvironmentWas(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else: root's folder is always the same")
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
	writeProgram(t, program, string(text))
	site := openFolder(t, "phpserve-found-")
	writeFile(t, filepath.Join(site, "index.php"), "<?php")
	user := uint32(1_000_000 + 2*os.Getpid()) // nobody else's, so that no other test's phpserve is found
	for _, name := range []string{"service", "other", "shell", "temp"} {
		if err := os.Mkdir(filepath.Join(site, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(site, name), int(user), int(user)); err != nil {
			t.Fatal(err)
		}
	}
	command := func(user uint32, runtime string, args ...string) (*exec.Cmd, *output) {
		out := &output{changed: make(chan struct{})}
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = site, out, out
		cmd.Env = append(cleanEnviron(), "TMPDIR="+filepath.Join(site, "temp"), "XDG_RUNTIME_DIR="+runtime)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		return cmd, out
	}
	start := func(runtime string) (*exec.Cmd, string, string) {
		cmd, out := command(user, runtime, "run", "--listen", "127.0.0.1:0", ".")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
			_ = cmd.Wait()
		})
		socket := filepath.Join(runtime, "phpserve", fmt.Sprintf("control-%d.sock", cmd.Process.Pid))
		eventually(t, "it serves", func() bool {
			_, err := os.Stat(socket)
			return err == nil && urlLine.MatchString(out.String())
		})
		return cmd, socket, urlLine.FindStringSubmatch(out.String())[1]
	}
	ask := func(user uint32, runtime string, args ...string) (code int, said string) {
		cmd, out := command(user, runtime, args...)
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String()
	}
	if code, said := ask(user, "", "status"); code == 0 || !strings.Contains(said, fmt.Sprintf("no phpserve of this user (user %d) is running: no control socket in ", user)) ||
		!strings.Contains(said, site+"/temp/phpserve-") || !strings.Contains(said, fmt.Sprintf("/run/user/%d/phpserve", user)) || !strings.Contains(said, "--control") {
		t.Errorf("none runs: %d %s", code, said)
	}
	_, first, url := start(filepath.Join(site, "service"))
	for _, runtime := range []string{"", filepath.Join(site, "shell"), "/nonexistent"} {
		for _, args := range [][]string{{"status"}, {"reload"}, {"reopen"}} {
			if code, said := ask(user, runtime, args...); code != 0 {
				t.Errorf("%q from %q: %d %s", args, runtime, code, said)
			}
		}
	}
	if code, said := ask(user+1, "", "status"); code == 0 || !strings.Contains(said, " runs one: as that user, use --control /") {
		t.Errorf("another user asks: %d %s", code, said)
	}
	_, second, url2 := start(filepath.Join(site, "other"))
	code, said := ask(user, "", "status")
	for _, line := range []string{first + ": pid ", url + ", started in " + site, second + ": pid ", url2 + ", started in " + site, "--control " + first[:len(site)]} {
		if code == 0 || !strings.Contains(said, line) {
			t.Errorf("two run: %d, no %q in %s", code, line, said)
		}
	}
	if code, said := ask(user, "", "status", "--control", second); code != 0 {
		t.Errorf("one is named: %d %s", code, said)
	}
	if code, said := ask(user, "", "stop", "--control", second); code != 0 {
		t.Errorf("one is stopped: %d %s", code, said)
	}
	if code, said := ask(user, "", "stop"); code != 0 {
		t.Errorf("the other is stopped: %d %s", code, said)
	}
}

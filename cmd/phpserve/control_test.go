//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// phpserve runs a command line to its end.
func phpserve(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	cmd := &exec.Cmd{Path: self, Args: append([]string{"phpserve"}, args...), Stdout: &out, Stderr: &errs}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// controlOf is the control socket of a process.
func controlOf(t *testing.T, pid int) string {
	t.Helper()
	path := filepath.Join(controlDir(), fmt.Sprintf("control-%d.sock", pid))
	eventually(t, "the control socket is there", func() bool { return exists(path) })
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	return path
}

// TestControlOfFPM asks a running phpserve fpm for everything that the control socket can be asked for.
func TestControlOfFPM(t *testing.T) {
	t.Parallel()
	s := startOwn(t, poolWith(), map[string]string{"s.php": `<?php echo "precision ", ini_get('precision');`})
	at := "--control=" + controlOf(t, s.cmd.Process.Pid)
	s.ask("www.sock", nil, "")
	code, out, errs := phpserve(t, "status", "--json", at)
	var status controlStatus
	if err := json.Unmarshal([]byte(out), &status); code != 0 || err != nil {
		t.Fatalf("status: %d %v %s%s", code, err, out, errs)
	}
	if status.PID != s.cmd.Process.Pid || len(status.Pools) != 1 || status.Pools[0].Name != "www" || status.Pools[0].Idle != 1 || status.Pools[0].Requests != 1 {
		t.Errorf("status: %+v", status)
	}
	if code, out, _ := phpserve(t, "status", at); code != 0 || !strings.Contains(out, "www ") || !strings.Contains(out, "REQUESTS") {
		t.Errorf("status: %d %s", code, out)
	}
	if code, out, _ := phpserve(t, "reload", at); code != 0 || out != "kept www\n" {
		t.Errorf("reload of the same: %d %s", code, out)
	}
	s.rewrite(poolWith("php_value[precision] = 3"))
	if code, out, _ := phpserve(t, "reload", at); code != 0 || out != "replaced www\n" {
		t.Errorf("reload: %d %s", code, out)
	}
	if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "precision 3") {
		t.Errorf("after the reload: %s", answer)
	}
	s.rewrite(poolWith("nonsense = 3"))
	if code, _, errs := phpserve(t, "reload", at); code != exitConfig || !strings.Contains(errs, "unknown entry 'nonsense'") {
		t.Errorf("reload of nonsense: %d %s", code, errs)
	}
	if err := os.Remove(filepath.Join(s.dir, "access.log")); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := phpserve(t, "reopen", at); code != 0 || !exists(filepath.Join(s.dir, "access.log")) {
		t.Errorf("reopen: %d %s", code, errs)
	}
	if code, _, errs := phpserve(t, "stop", at); code != 0 {
		t.Errorf("stop: %d %s", code, errs)
	}
	<-s.done
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code, _, errs := phpserve(t, "status", at); code == 0 || !strings.Contains(errs, "cannot reach phpserve") {
		t.Errorf("status of what has ended: %d %s", code, errs)
	}
}

// TestControlOfRun reloads phpserve run, whose pool changes under its sites.
func TestControlOfRun(t *testing.T) {
	t.Parallel()
	dir := openFolder(t, "phpserve-control-")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("index.php", `<?php echo "precision ", ini_get('precision');`)
	write("my.yaml", "root: .\nphp_value: [precision=4]\n")
	s := serve(t, dir, "--config", "my.yaml")
	at := "--control=" + controlOf(t, s.cmd.Process.Pid)
	v := newVisitor(t, s.url)
	v.get(200, "/").mustContain(t, "precision 4")
	write("my.yaml", "root: .\nphp_value: [precision=5]\n")
	if code, out, errs := phpserve(t, "reload", at); code != 0 || out != "replaced www\n" {
		t.Errorf("reload: %d %s%s", code, out, errs)
	}
	v.get(200, "/").mustContain(t, "precision 5")
	write("my.yaml", "root: .\nindex: [other.php]\n")
	if code, _, errs := phpserve(t, "reload", at); code != exitConfig || !strings.Contains(errs, "need a restart") {
		t.Errorf("reload of another site: %d %s", code, errs)
	}
	write("my.yaml", "root: .\nphp_value: [precision=5]\nuser: nobody\n")
	if code, _, errs := phpserve(t, "reload", at); code != exitConfig || !strings.Contains(errs, "needs a restart") {
		t.Errorf("reload with another user: %d %s", code, errs)
	}
	write("my.yaml", "nonsense: 1\n")
	if code, _, errs := phpserve(t, "reload", at); code != exitConfig || !strings.Contains(errs, "nonsense") {
		t.Errorf("reload of nonsense: %d %s", code, errs)
	}
	v.get(200, "/").mustContain(t, "precision 5")
}

// TestReloadOfOnePool replaces the pool that is named, and no other.
func TestReloadOfOnePool(t *testing.T) {
	t.Parallel()
	config := func(precision int) string {
		var text strings.Builder
		text.WriteString("[global]\nerror_log = DIR/error.log\n")
		for _, pool := range []string{"a", "b"} {
			fmt.Fprintf(&text, "[%s]\nUSER\nlisten = DIR/%s.sock\npm = static\npm.max_children = 1\nphp_value[precision] = %d\n", pool, pool, precision)
		}
		return text.String()
	}
	s := startOwn(t, config(3), map[string]string{"s.php": `<?php echo "precision ", ini_get('precision'), " by ", getmypid(), ";";`})
	at := "--control=" + controlOf(t, s.cmd.Process.Pid)
	a, b := s.ask("a.sock", nil, ""), s.ask("b.sock", nil, "")
	if code, out, errs := phpserve(t, "reload", "a", at); code != 0 || out != "replaced a\nkept b\n" {
		t.Errorf("reload: %d %s%s", code, out, errs)
	}
	if again := s.ask("a.sock", nil, ""); again == a || !strings.Contains(again, "precision 3") {
		t.Errorf("a was %s and is %s", a, again)
	}
	if again := s.ask("b.sock", nil, ""); again != b {
		t.Errorf("b was %s and is %s", b, again)
	}
	s.rewrite(config(4))
	if code, out, errs := phpserve(t, "reload", "b", at); code != 0 || out != "replaced b\nkept a\n" {
		t.Errorf("reload: %d %s%s", code, out, errs)
	}
	if a, b := s.ask("a.sock", nil, ""), s.ask("b.sock", nil, ""); !strings.Contains(a, "precision 3") || !strings.Contains(b, "precision 4") {
		t.Errorf("a is %s, b is %s", a, b)
	}
	if code, out, errs := phpserve(t, "reload", "c", at); code != exitConfig || !strings.Contains(errs, `there is no pool "c"; there are a, b`) {
		t.Errorf("reload: %d %s%s", code, out, errs)
	}
	if code, out, errs := phpserve(t, "reload", at); code != 0 || out != "replaced a\nkept b\n" {
		t.Errorf("reload of all: %d %s%s", code, out, errs)
	}
}

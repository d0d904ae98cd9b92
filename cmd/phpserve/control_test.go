//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
	eventually(t, "the control socket is there, for its user alone", func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Mode().Perm() == 0o600
	})
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
	if code, _, errs := phpserve(t, "status", at); code == 0 || !strings.Contains(errs, "cannot reach phpserve") {
		t.Errorf("stop has not waited: %d %s", code, errs)
	}
	<-s.done
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code, _, errs := phpserve(t, "status", at); code == 0 || !strings.Contains(errs, "cannot reach phpserve") {
		t.Errorf("status of what has ended: %d %s", code, errs)
	}
}

// TestReloadOfOnePool names a pool: that one becomes what the file says, anew also where nothing changed, and no other is touched.
func TestReloadOfOnePool(t *testing.T) {
	t.Parallel()
	pool := func(name string, precision int) string {
		return fmt.Sprintf("[%s]\nUSER\nlisten = DIR/%s.sock\npm = static\npm.max_children = 1\nphp_value[precision] = %d\n", name, name, precision)
	}
	s := startOwn(t, pool("a", 3)+pool("b", 3), map[string]string{"s.php": `<?php echo "precision ", ini_get('precision');`})
	at := "--control=" + controlOf(t, s.cmd.Process.Pid)
	a, b := s.pid("a.sock"), s.pid("b.sock")
	for _, tt := range []struct {
		name, config, pool string
		code               int
		says               string
		precisionA         int
		precisionB         int
		newA               bool
	}{
		{"both changed", pool("a", 4) + pool("b", 4), "a", 0, "replaced a\nkept b\n", 4, 3, true},
		{"nothing changed", pool("a", 4) + pool("b", 4), "a", 0, "replaced a\nkept b\n", 4, 3, true},
		{"no such pool", pool("a", 4) + pool("b", 4), "c", exitConfig, `there is no pool "c"; the pools are: a, b`, 4, 3, false},
		{"the other is gone from the file", pool("a", 5), "a", 0, "replaced a\nkept b\n", 5, 3, true},
		{"another is bad", pool("a", 6) + "[b]\nnonsense = 1\n", "a", exitConfig, "nonsense", 5, 3, false},
		{"a new one", pool("a", 6) + pool("b", 6) + pool("c", 6), "c", 0, "added c\nkept a, b\n", 5, 3, false},
	} {
		s.rewrite(tt.config)
		code, out, errs := phpserve(t, "reload", tt.pool, at)
		if code != tt.code || code == 0 && out != tt.says || !strings.Contains(out+errs, tt.says) {
			t.Errorf("%s: %d %s%s", tt.name, code, out, errs)
		}
		for socket, precision := range map[string]int{"a.sock": tt.precisionA, "b.sock": tt.precisionB} {
			if answer := s.ask(socket, nil, ""); !strings.Contains(answer, fmt.Sprintf("precision %d\n", precision)) {
				t.Errorf("%s: %s: %s", tt.name, socket, answer)
			}
		}
		now := s.pid("a.sock")
		if (now != a) != tt.newA || s.pid("b.sock") != b {
			t.Errorf("%s: workers %s to %s, %s to %s", tt.name, a, now, b, s.pid("b.sock"))
		}
		a = now
	}
	if answer := s.ask("c.sock", nil, ""); !strings.Contains(answer, "precision 6\n") {
		t.Errorf("the new pool: %s", answer)
	}
	if code, out, errs := phpserve(t, "reload", at); code != 0 || out != "replaced a, b\nkept c\n" {
		t.Errorf("reload of all: %d %s%s", code, out, errs)
	}
	s.rewrite(pool("b", 6) + pool("c", 7))
	if code, out, errs := phpserve(t, "reload", "a", at); code != 0 || out != "kept b, c\nremoved a\n" {
		t.Errorf("reload of one that is gone from the file: %d %s%s", code, out, errs)
	}
	eventually(t, "its address is closed", func() bool { return !exists(filepath.Join(s.dir, "a.sock")) })
	if code, _, errs := phpserve(t, "reload", "a", "b", at); code != exitUsage || !strings.Contains(errs, "takes one pool") {
		t.Errorf("two pools: %d %s", code, errs)
	}
	s.stop(syscall.SIGTERM)
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
	if code, _, errs := phpserve(t, "reload", at); code != exitConfig || !strings.Contains(errs, "a change of index needs a restart") {
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

// TestARefusedReloadNamesWhatNeedsARestart: what a reload cannot change is not ignored without a word.
func TestARefusedReloadNamesWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	dir := openFolder(t, "phpserve-restart-")
	writeFile(t, filepath.Join(dir, "index.php"), "<?php")
	writeFile(t, filepath.Join(dir, "two", "index.php"), "<?php")
	file := filepath.Join(dir, "phpserve.yaml")
	const same = "root: .\nhosts: [one.test]\npm: static\npm.max_children: 1\n"
	const second = "sites: [{root: two, hosts: [two.test]}]\n"
	writeFile(t, file, same+second)
	s, err := launch(dir, cleanEnviron(), "run", "--listen", "127.0.0.1:0", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Errorf("exit: %v", err)
		}
	})
	at := "--control=" + controlOf(t, s.cmd.Process.Pid)
	var all []string
	for _, tt := range []struct{ config, keys string }{
		{same + second + "timeouts.idle: 7\n", "timeouts.idle"},
		{same + second + "max_header_size: 8K\nspool.dir: /tmp\naccess.format: json\n", "max_header_size, spool.dir, access.format"},
		{same + second + "trusted_proxies: [10.0.0.1]\nerror_pages: plain\n", "trusted_proxies, error_pages"},
		{same + second + "admin: 127.0.0.1:0\n", "admin"},
		{same + second + "tls.redirect: no\n", "tls"},
		{same + second + "log.level: debug\n", "log.level"},
		{same + second + "cgi: rfc3875\n", "cgi of site one.test, cgi of site two.test"},
		{same + "sites: [{root: two, hosts: [two.test], path_info: off}]\n", "path_info of site two.test"},
		{same, "sites"},
	} {
		writeFile(t, file, tt.config)
		want := "a change of " + tt.keys + " needs a restart"
		if code, _, errs := phpserve(t, "reload", at); code != exitConfig || !strings.Contains(errs, want) {
			t.Errorf("%s: %d %s", tt.keys, code, errs)
		}
		all = append(all, want)
	}
	writeFile(t, file, same+second+"php_value: [precision=3]\n")
	if code, out, errs := phpserve(t, "reload", at); code != 0 || out != "replaced www\n" {
		t.Errorf("the pool alone: %d %s%s", code, out, errs)
	}
	eventually(t, "the log has it all", func() bool { return strings.Contains(s.stderr.String(), "msg=reloaded") })
	for _, want := range all {
		if n := strings.Count(s.stderr.String(), want); n != 1 {
			t.Errorf("the log tells %d times: %s\n%s", n, want, s.stderr)
		}
	}
}

// TestFPMTellsOnceWhyAReloadIsRefused: php-fpm's words are enough, and they are not told again behind "reload failed".
func TestFPMTellsOnceWhyAReloadIsRefused(t *testing.T) {
	t.Parallel()
	s := startOwn(t, poolWith(), nil)
	for i, bad := range []string{"nonsense = 3", "pm.max_children = x", "php_admin_value[zend_extension] = /nowhere.so\nlisten.mode = 9"} {
		s.rewrite(poolWith(bad))
		before := len(s.out.String())
		s.reload(i+1, "reload failed, the old configuration goes on")
		lines := strings.Split(strings.TrimSpace(s.out.String()[before:]), "\n")
		for j, line := range lines {
			_, text, _ := strings.Cut(line, "ERROR: ")
			for k, other := range lines {
				if text != "" && j != k && strings.Contains(other, strings.TrimSpace(text)) {
					t.Errorf("%s: told twice: %s", bad, line)
				}
			}
		}
	}
}

//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// run starts one that ends by itself and returns its exit code.
func (s *side) run(args ...string) int {
	s.t.Helper()
	var cmd *exec.Cmd
	if s.name == "php-fpm" {
		cmd = exec.Command("php-fpm8.2", args...)
	} else {
		self, err := os.Executable()
		if err != nil {
			s.t.Fatal(err)
		}
		cmd = &exec.Cmd{Path: self, Args: append([]string{"phpserve", "fpm"}, args...)}
	}
	cmd.Dir, cmd.Env, cmd.Stderr = s.dir, append(os.Environ(), s.env...), s.out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// eventually waits for what no process of ours tells.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not yet: %s", what)
		}
	}
}

// TestFPMDaemonizes goes to the background and comes back only when requests are served.
func TestFPMDaemonizes(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", strings.Replace(poolWith(), "[global]\n", "[global]\npid = DIR/pid\n", 1), map[string]string{"s.php": `<?php echo "served";`})
	if code := s.run("-y", s.conf); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.out)
	}
	pid, err := strconv.Atoi(s.file("pid"))
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Kill() }) // if it still runs
	if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "served") {
		t.Errorf("got %s", answer)
	}
	if code := s.run("-y", s.conf); code != exitConfig || !strings.Contains(s.out.String(), "already listen on") {
		t.Errorf("a second one: exit code %d\n%s", code, s.out)
	}
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the one in the background ends", func() bool { return !exists(filepath.Join(s.dir, "pid")) })
	if log := s.file("error.log"); !strings.Contains(log, "NOTICE: fpm is running, pid N\n") || !strings.Contains(log, "NOTICE: exiting, bye-bye!\n") {
		t.Errorf("error.log: %s", log)
	}
}

// TestFPMReopensItsLogs does what logrotate does.
func TestFPMReopensItsLogs(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", poolWith(), map[string]string{"s.php": `<?php echo getmypid();`})
	s.start()
	before := s.pid("www.sock")
	if err := os.Rename(filepath.Join(s.dir, "access.log"), filepath.Join(s.dir, "access.log.1")); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.waitFor("access log file re-opened")
	if s.pid("www.sock") != before {
		t.Error("the worker is another")
	}
	s.stop(syscall.SIGTERM)
	for _, name := range []string{"access.log.1", "access.log"} {
		if log := s.file(name); strings.Count(log, "\n") != 1 {
			t.Errorf("%s: %q", name, log)
		}
	}
}

// TestFPMWarnsOfWhatHasNoEffect: nothing is ignored in silence.
func TestFPMWarnsOfWhatHasNoEffect(t *testing.T) {
	t.Parallel()
	directives := map[string]string{
		"pm.status_path": "/status", "ping.path": "/ping", "apparmor_hat": "hat", "listen.setfib": "1",
		"request_slowlog_timeout": "5s",
	}
	lines := []string{"slowlog = DIR/slow.log"}
	for name, value := range directives {
		lines = append(lines, name+" = "+value)
	}
	s := newSide(t, "phpserve", poolWith(lines...), nil)
	s.start()
	for name := range directives {
		if !strings.Contains(s.out.String(), "WARNING: [pool www] "+name+" has no effect in this version of phpserve") {
			t.Errorf("nothing about %s\n%s", name, s.out)
		}
	}
	s.stop(syscall.SIGTERM)
}

// TestFPMLogLines holds log_limit: lines end within it, and not within a character.
func TestFPMLogLines(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", strings.Replace(poolWith("catch_workers_output = yes"), "[global]\n", "[global]\nlog_limit = 600\n", 1), map[string]string{
		"s.php": `<?php error_log(str_repeat("ü", 500)); error_log("short");`,
	})
	s.start()
	s.ask("www.sock", nil, "")
	s.waitFor("short")
	s.stop(syscall.SIGTERM)
	cut := 0
	for line := range strings.Lines(s.out.String()) {
		if _, text, ok := strings.Cut(line, "] "); ok && len(text) > 600 {
			t.Errorf("%d bytes: %s", len(text), text)
		}
		if !utf8.ValidString(line) {
			t.Errorf("cut within a character: %q", line)
		}
		if strings.HasSuffix(line, "ü...\n") {
			cut++
		}
	}
	if cut != 1 {
		t.Errorf("%d lines are shortened\n%s", cut, s.out)
	}
}

// TestRunReopensItsAccessLog does what logrotate does to phpserve run.
func TestRunReopensItsAccessLog(t *testing.T) {
	t.Parallel()
	dir := openFolder(t, "phpserve-reopen-")
	if err := os.WriteFile(filepath.Join(dir, "index.php"), []byte("<?php echo getmypid();"), 0o644); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "access.log")
	s := serve(t, dir, ".", "--access-log", log)
	v := newVisitor(t, s.url)
	before := v.get(200, "/?first").body
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log is there again", func() bool { return exists(log) })
	if after := v.get(200, "/?second").body; after != before {
		t.Errorf("worker %s, then %s", before, after)
	}
	for name, want := range map[string]string{log + ".1": "/?first", log: "/?second"} {
		eventually(t, want+" is in "+name, func() bool {
			text, err := os.ReadFile(name)
			return err == nil && strings.Contains(string(text), want) && strings.Count(string(text), "\n") == 1
		})
	}
}

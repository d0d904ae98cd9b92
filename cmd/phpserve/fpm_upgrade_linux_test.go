package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// buildVersion builds phpserve as a version.
func buildVersion(t *testing.T, file, version string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X main.version="+version, "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build phpserve: %v\n%s", err, out)
	}
}

// runningVersion asks the control socket of a process.
func runningVersion(t *testing.T, pid int) string {
	t.Helper()
	var status controlStatus
	code, out, errs := phpserve(t, "status", "--json", "--control="+controlOf(t, pid))
	if err := json.Unmarshal([]byte(out), &status); code != 0 || err != nil || status.PID != pid {
		t.Fatalf("status: %d %v %s%s", code, err, out, errs)
	}
	return status.Version
}

// askWithoutPause has clients ask until the test ends them; each answer must be whole.
func askWithoutPause(t *testing.T, s *side, sockets ...string) (end func() (asked int64)) {
	var asked atomic.Int64
	var clients sync.WaitGroup
	done := make(chan struct{})
	for i := range 6 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				asked.Add(1)
				params := map[string]string{}
				if i == 0 {
					params["SCRIPT_FILENAME"] = "DIR/slow.php"
				}
				if answer := s.ask(sockets[i%len(sockets)], params, ""); !strings.Contains(answer, "\r\n\r\nserved") {
					t.Errorf("got %s", answer)
				}
			}
		})
	}
	return func() int64 {
		close(done)
		clients.Wait()
		return asked.Load()
	}
}

// upgradePools are two pools, so that there are two sockets.
const upgradePools = "[global]\nerror_log = DIR/error.log\nprocess_control_timeout = 10s\npid = DIR/pid\n" +
	"[www]\nUSER\nlisten = DIR/www.sock\nenv[UPGRADE_OF] = DIR\npm = static\npm.max_children = 4\n" +
	"[other]\nUSER\nlisten = DIR/other.sock\nenv[UPGRADE_OF] = DIR\npm = ondemand\npm.max_children = 4\n"

var upgradeScripts = map[string]string{
	"s.php":    `<?php echo "served";`,
	"slow.php": `<?php usleep(200000); echo "served slowly";`,
	"nice.php": `<?php echo explode(' ', substr(strrchr(file_get_contents('/proc/self/stat'), ')'), 2))[16], " ", posix_getppid();`,
}

// TestFPMUpgradeLosesNoRequest puts another binary in the place of the one that runs, and reloads under load.
func TestFPMUpgradeLosesNoRequest(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", upgradePools, upgradeScripts)
	s.program = filepath.Join(s.dir, "bin")
	buildVersion(t, s.program, "1.0.1")
	buildVersion(t, s.program+".new", "1.0.2")
	s.start()
	pid := s.cmd.Process.Pid
	if v := runningVersion(t, pid); v != "1.0.1" {
		t.Fatalf("version %s runs", v)
	}
	nice := strings.Fields(s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/nice.php"}, ""))
	end := askWithoutPause(t, s, "www.sock", "other.sock")
	s.waitForRequests(pid, 50)
	if err := os.Rename(s.program+".new", s.program); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := phpserve(t, "reload", "--control="+controlOf(t, pid)); code != 0 || !strings.HasSuffix(out, "/bin has changed and takes over\n") {
		t.Errorf("reload: %d %s%s", code, out, errs)
	}
	s.waitForTimes("ready to handle connections", 2)
	s.waitForRequests(pid, 50)
	if asked := end(); asked < 100 {
		t.Errorf("only %d requests", asked)
	}
	if v := runningVersion(t, pid); v != "1.0.2" {
		t.Errorf("version %s runs", v)
	}
	for _, want := range []string{"using inherited socket fd=", s.dir + `/www.sock"`, s.dir + `/other.sock"`} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("the log lacks %q\n%s", want, s.out)
		}
	}
	if again := strings.Fields(s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/nice.php"}, "")); again[len(again)-5] != nice[len(nice)-5] {
		t.Errorf("the nice value of PHP was %q and is %q", nice, again)
	}
	for _, name := range []string{"www.sock", "other.sock"} {
		if n := descriptorsOf(t, pid, filepath.Join(s.dir, name)); n != 1 {
			t.Errorf("%d descriptors of %s are open", n, name)
		}
	}
	// And once more, with what has changed in the configuration too.
	buildVersion(t, s.program+".new", "1.0.3")
	s.rewrite(strings.Replace(upgradePools, "[other]", "[third]", 1) + "php_value[precision] = 3\n")
	if err := os.Rename(s.program+".new", s.program); err != nil {
		t.Fatal(err)
	}
	s.reload(3, "ready to handle connections")
	if v := runningVersion(t, pid); v != "1.0.3" {
		t.Errorf("version %s runs", v)
	}
	if answer := s.ask("other.sock", nil, ""); !strings.Contains(answer, "served") {
		t.Errorf("got %s", answer)
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, name := range []string{"www.sock", "other.sock", "pid"} {
		if exists(filepath.Join(s.dir, name)) {
			t.Errorf("%s is left", name)
		}
	}
	eventually(t, "no PHP of it runs", func() bool { return len(phpWith(t, s.dir)) == 0 })
}

// TestFPMUpgradeRefusesABinaryThatCannotWork: the old one goes on, and says why.
func TestFPMUpgradeRefusesABinaryThatCannotWork(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", upgradePools, upgradeScripts)
	s.program = filepath.Join(s.dir, "bin")
	buildVersion(t, s.program, "1.0.1")
	s.start()
	pid := s.cmd.Process.Pid
	old, err := os.ReadFile(s.program)
	if err != nil {
		t.Fatal(err)
	}
	end := askWithoutPause(t, s, "www.sock", "other.sock")
	for i, broken := range []struct {
		text string
		mode os.FileMode
	}{
		{"#!/bin/sh\necho it is broken >&2\nexit 3\n", 0o755},
		{"no program", 0o755},
		{"#!/bin/sh\nexit 0\n", 0o644},
		{string(old[:4096]), 0o755},
		{string(old), 0o777}, // anybody could have written it
	} {
		if err := os.WriteFile(s.program+".new", []byte(broken.text), broken.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(s.program+".new", broken.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(s.program+".new", s.program); err != nil {
			t.Fatal(err)
		}
		s.reload(i+1, "reload failed, the old configuration goes on: the binary ")
		if i == 0 && !strings.Contains(s.out.String(), "it is broken") {
			t.Errorf("the log lacks what the new binary says\n%s", s.out)
		}
	}
	if err := os.Remove(s.program); err != nil {
		t.Fatal(err)
	}
	s.reload(2, "ready to handle connections") // one that is gone is no new one
	if end() == 0 {
		t.Error("nothing was asked")
	}
	if v := runningVersion(t, pid); v != "1.0.1" {
		t.Errorf("version %s runs", v)
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestFPMUpgradeOfADaemon stays in the background, with its pid file and its log.
func TestFPMUpgradeOfADaemon(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", upgradePools, upgradeScripts)
	s.program = filepath.Join(s.dir, "bin")
	buildVersion(t, s.program, "1.0.1")
	buildVersion(t, s.program+".new", "1.0.2")
	if code := s.run("-D", "-y", s.conf); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.out)
	}
	pid, err := strconv.Atoi(s.file("pid"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // if it still runs
	if err := os.Rename(s.program+".new", s.program); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new one serves", func() bool { return strings.Count(s.file("error.log"), "ready to handle connections") == 2 })
	if v := runningVersion(t, pid); v != "1.0.2" || s.file("pid") != strconv.Itoa(pid) {
		t.Errorf("version %s runs, the pid file says %s and not %d", v, s.file("pid"), pid)
	}
	if err := os.Rename(filepath.Join(s.dir, "error.log"), filepath.Join(s.dir, "error.log.1")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log is reopened", func() bool { return strings.Contains(s.file("error.log"), "access log file re-opened") })
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it ends", func() bool { return !exists(filepath.Join(s.dir, "pid")) })
	eventually(t, "no PHP of it runs", func() bool { return len(phpWith(t, s.dir)) == 0 })
}

// TestFPMUpgradeIsKilled: whichever of the two binaries is killed, no worker is left.
func TestFPMUpgradeIsKilled(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"takes over", "using inherited socket"} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			s := newSide(t, "phpserve", upgradePools, upgradeScripts)
			s.program = filepath.Join(s.dir, "bin")
			buildVersion(t, s.program, "1.0.1")
			buildVersion(t, s.program+".new", "1.0.2")
			s.start()
			if len(phpWith(t, s.dir)) == 0 {
				t.Fatal("no PHP runs")
			}
			if err := os.Rename(s.program+".new", s.program); err != nil {
				t.Fatal(err)
			}
			if err := s.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
				t.Fatal(err)
			}
			s.waitFor(after)
			if err := s.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-s.done
			eventually(t, "no PHP of it runs", func() bool { return len(phpWith(t, s.dir)) == 0 })
		})
	}
}

// waitForRequests waits until the pools have had n more requests.
func (s *side) waitForRequests(pid int, n uint64) {
	s.t.Helper()
	var status controlStatus
	total := func() (sum uint64) {
		_, out, _ := phpserve(s.t, "status", "--json", "--control="+controlOf(s.t, pid))
		_ = json.Unmarshal([]byte(out), &status)
		for _, p := range status.Pools {
			sum += p.Requests
		}
		return sum
	}
	before := total()
	eventually(s.t, fmt.Sprintf("%d requests", n), func() bool { return total() >= before+n })
}

// phpWith finds the PHP processes whose environment names the folder.
func phpWith(t *testing.T, dir string) (pids []string) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		if env, err := os.ReadFile(file); err == nil && strings.Contains(string(env), "UPGRADE_OF="+dir+"\x00") { // else it has ended
			pids = append(pids, file)
		}
	}
	return pids
}

// descriptorsOf counts a process's descriptors of the unix socket that listens at path.
func descriptorsOf(t *testing.T, pid int, path string) (n int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	inode := ""
	for line := range strings.Lines(string(table)) {
		const listens = "00010000"
		if f := strings.Fields(line); len(f) == 8 && f[7] == path && f[3] == listens {
			inode = f[6]
		}
	}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == "socket:["+inode+"]" { // else it was closed
			n++
		}
	}
	return n
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// openDescriptors tells what a process has open.
func openDescriptors(t *testing.T, pid int) (open []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil { // else it has been closed meanwhile
			open = append(open, to)
		}
	}
	return open
}

// keepsDescriptors waits until a process has no more open than it had. What reloads replace they close behind them.
func keepsDescriptors(t *testing.T, pid int, before []string) {
	t.Helper()
	var open []string
	defer func() {
		if t.Failed() {
			t.Logf("before:\n%s\nnow:\n%s", strings.Join(before, "\n"), strings.Join(open, "\n"))
		}
	}()
	eventually(t, fmt.Sprintf("it has %d descriptors again", len(before)), func() bool {
		open = openDescriptors(t, pid)
		return len(open) <= len(before)
	})
}

// noCollection keeps the Go runtime from closing files that nobody has closed.
const noCollection = "GOGC=off"

func TestFPMReloadsKeepTheNumberOfDescriptors(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		config := func(i int) string {
			text := poolWith("request_slowlog_timeout = 60", fmt.Sprintf("slowlog = DIR/slow%d.log", i%3), fmt.Sprintf("php_value[precision] = %d", i))
			return strings.Replace(text, "access.log = DIR/access.log", fmt.Sprintf("access.log = DIR/access%d.log", i%2), 1)
		}
		s := newSide(t, "phpserve", config(0), map[string]string{"s.php": `<?php echo "precision ", ini_get('precision');`})
		s.engine, s.env = engine, append(s.env, noCollection)
		s.start()
		good := 1 // starts and reloads that succeeded
		serves := func(i int) {
			t.Helper()
			if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, fmt.Sprintf("precision %d\n", i)) {
				t.Fatalf("generation %d: %s", i, answer)
			}
		}
		reload := func(i int) {
			t.Helper()
			s.rewrite(config(i))
			good++
			s.reload(good, "ready to handle connections")
			serves(i)
		}
		reload(1) // what is opened at the first one stays for all
		before := openDescriptors(t, s.cmd.Process.Pid)
		for i := range 20 {
			reload(i + 2)
		}
		keepsDescriptors(t, s.cmd.Process.Pid, before)

		for i := range 20 {
			another := "[two]\nUSER\nlisten = DIR/two.sock\npm = static\npm.max_children = 1\naccess.log = DIR/two.log\n"
			switch i % 3 {
			case 0: // fails at a log, behind others
				another += "[three]\nUSER\nlisten = DIR/three.sock\npm = static\npm.max_children = 1\naccess.log = DIR/no/such/folder/access.log\n"
			case 1: // fails at an address
				another += "[three]\nUSER\nlisten = /no/such/folder/www.sock\npm = static\npm.max_children = 1\naccess.log = DIR/three.log\n"
			case 2: // fails when its PHP starts
				another += "php_value[opcache.preload] = /nowhere.php\n"
			}
			s.rewrite(config(100+i) + another)
			s.reload(i+1, "reload failed, the old configuration goes on")
			serves(21)
		}
		keepsDescriptors(t, s.cmd.Process.Pid, before)
		if code := s.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// What a reload replaces is still that of the requests that have begun with it.
func TestFPMRequestThatOutlivesAReloadIsInTheLogThatItBeganWith(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		config := func(log string) string {
			return strings.Replace(poolWith(), "access.log = DIR/access.log", "access.log = DIR/"+log, 1)
		}
		s := startEngine(t, engine, config("old.log"), map[string]string{"s.php": lasting, "next.php": `<?php echo 'next';`})
		if err := os.Chmod(s.dir, 0o777); err != nil {
			t.Fatal(err)
		}
		answer := make(chan string, 1)
		go func() { answer <- s.ask("www.sock", nil, "") }()
		eventually(t, "the script runs", func() bool { return exists(filepath.Join(s.dir, "begun")) })
		s.rewrite(config("new.log"))
		s.reload(2, "ready to handle connections")
		writeFile(t, filepath.Join(s.dir, "go"), "")
		if got := <-answer; !strings.Contains(got, "whole") {
			t.Errorf("the request that ran: %s", got)
		}
		eventually(t, "its line is in the old log", func() bool { return strings.Contains(s.file("old.log"), "/s.php") })
		eventually(t, "the old log is closed", func() bool {
			return !slices.Contains(openDescriptors(t, s.cmd.Process.Pid), filepath.Join(s.dir, "old.log"))
		})
		if got := s.file("new.log"); strings.Contains(got, "/s.php") {
			t.Errorf("the new log has %q", got)
		}
	})
}

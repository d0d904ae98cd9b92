//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// startOwn starts phpserve alone with a configuration.
func startOwn(t *testing.T, config string, files map[string]string) *side {
	t.Helper()
	s := newSide(t, "phpserve", config, files)
	s.start()
	return s
}

// rewrite changes the configuration file.
func (s *side) rewrite(config string) {
	s.t.Helper()
	if os.Geteuid() == 0 {
		config = strings.ReplaceAll(config, "USER\n", "user = www-data\ngroup = www-data\nlisten.owner = www-data\n")
	}
	config = strings.ReplaceAll(strings.ReplaceAll(config, "USER\n", ""), "DIR", s.dir)
	if err := os.WriteFile(s.conf, []byte(config), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// reload sends SIGUSR2 and waits for the n-th time that phpserve says what came of it.
func (s *side) reload(n int, said string) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		s.t.Fatal(err)
	}
	s.waitForTimes(said, n)
}

// waitForTimes waits until a text was said n times.
func (s *side) waitForTimes(want string, n int) {
	s.t.Helper()
	late, done := patient.Late(), s.done
	var ended error
	for {
		text, changed := s.out.read()
		if strings.Count(text, want) >= n {
			return
		}
		if done == nil { // what it has said to its end was there now
			s.t.Fatalf("%s ended: %v; it has not said %q %d times\n%s", s.name, ended, want, n, s.out)
		}
		select {
		case <-changed:
		case ended = <-done:
			done = nil
		case <-late:
			s.t.Fatalf("%s does not say %q %d times\n%s", s.name, want, n, s.out)
		}
	}
}

// TestFPMReloadLosesNoRequest changes the pool twenty times while eight clients ask without a pause, one of them for what
// takes longer than a reload does.
func TestFPMReloadLosesNoRequest(t *testing.T) { underBothEngines(t, testFPMReloadLosesNoRequest) }

func testFPMReloadLosesNoRequest(t *testing.T, engine string) {
	config := func(i int) string {
		return strings.Replace(poolWith(fmt.Sprintf("php_value[precision] = %d", i)), "pm.max_children = 1\n", "pm.max_children = 4\n", 1)
	}
	s := startEngine(t, engine, config(1), map[string]string{
		"s.php":    `<?php echo "precision ", ini_get('precision');`,
		"slow.php": `<?php usleep(300000); echo "slow ", ini_get('precision');`,
	})
	var asked, wrong atomic.Int64
	var clients sync.WaitGroup
	done := make(chan struct{})
	for c := range 8 {
		params := map[string]string{}
		want := "precision "
		if c == 0 {
			params["SCRIPT_FILENAME"], want = "DIR/slow.php", "slow "
		}
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				asked.Add(1)
				if answer := s.ask("www.sock", params, ""); !strings.Contains(answer, "\r\n\r\n"+want) || strings.HasPrefix(answer, "Status:") {
					wrong.Add(1)
					t.Errorf("got %s", answer)
				}
			}
		})
	}
	for i := range 20 {
		s.rewrite(config(i + 2))
		s.reload(i+2, "ready to handle connections")
		if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, fmt.Sprintf("precision %d\n", i+2)) {
			t.Errorf("after reload %d: %s", i+1, answer)
		}
	}
	eventually(t, "there were enough requests", func() bool { return asked.Load() >= 100 })
	close(done)
	clients.Wait()
	if wrong.Load() > 0 {
		t.Errorf("%d of %d requests were lost", wrong.Load(), asked.Load())
	}
	t.Logf("%d requests through 20 reloads", asked.Load())
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A configuration that cannot work is reported, and what runs goes on.
func TestFPMReloadRefusesABadConfiguration(t *testing.T) {
	t.Parallel()
	s := startOwn(t, poolWith(), map[string]string{"s.php": `<?php echo getmypid();`})
	before := s.ask("www.sock", nil, "")
	for i, bad := range []struct{ config, why string }{
		{poolWith("nonsense = 1"), "unknown entry 'nonsense'"},
		{strings.Replace(poolWith(), "pm.max_children = 1", "pm.max_children = 0", 1), "pm.max_children must be a positive value"},
		{poolWith() + "[two]\nUSER\nlisten = /nowhere/at/all.sock\npm = ondemand\npm.max_children = 1\n", "/nowhere/at/all.sock"},
		{poolWith("php_admin_value[zend_extension] = /nowhere.so", "php_value[opcache.preload] = /nowhere.php"), "reload failed"},
	} {
		s.rewrite(bad.config)
		s.reload(i+1, "reload failed, the old configuration goes on")
		s.waitFor(bad.why)
		if pidNow := s.ask("www.sock", nil, ""); !strings.Contains(pidNow, "\r\n\r\n") || strings.HasPrefix(pidNow, "Status") {
			t.Errorf("after %q: %s", bad.why, pidNow)
		}
	}
	if code := s.stop(syscall.SIGTERM); code != 0 || before == "" {
		t.Errorf("exit code %d", code)
	}
}

// Pools that did not change keep their workers; others are added, replaced and removed.
func TestFPMReloadReplacesOnlyWhatChanged(t *testing.T) {
	underBothEngines(t, testFPMReloadReplacesOnlyWhatChanged)
}

func testFPMReloadReplacesOnlyWhatChanged(t *testing.T, engine string) {
	pool := func(name, more string) string {
		return "[" + name + "]\nUSER\nlisten = DIR/" + name + ".sock\npm = static\npm.max_children = 1\n" + more + "\n"
	}
	s := startEngine(t, engine, pool("same", "")+pool("changed", "")+pool("gone", ""), map[string]string{"s.php": `<?php echo getmypid();`})
	same, changed := s.pid("same.sock"), s.pid("changed.sock")
	s.rewrite(pool("same", "") + pool("changed", "php_value[precision] = 3") + pool("new", ""))
	s.reload(2, "ready to handle connections")
	for _, want := range []string{"reloading: kept same", "reloading: replaced changed", "reloading: added new", "reloading: removed gone"} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("it does not say %q\n%s", want, s.out)
		}
	}
	if s.pid("same.sock") != same || s.pid("changed.sock") == changed || s.pid("new.sock") == "" {
		t.Errorf("pids: same %s to %s, changed %s to %s", same, s.pid("same.sock"), changed, s.pid("changed.sock"))
	}
	eventually(t, "the removed pool's socket is gone", func() bool { return !exists(filepath.Join(s.dir, "gone.sock")) })
	s.stop(syscall.SIGTERM)
}

// What PHP reads at its start counts, too; and a pool whose opcache does not look at its scripts gets new code by a reload.
func TestFPMReloadReplacesPoolsWhosePHPChanged(t *testing.T) {
	t.Parallel()
	pool := "[www]\nUSER\nlisten = DIR/www.sock\npm = static\npm.max_children = 1\n"
	for _, tt := range []struct {
		name, config string
		change       func(s *side)
		replaced     bool
	}{
		{"nothing", pool, func(*side) {}, false},
		{"php.ini", pool, func(s *side) { s.write("php.ini", "precision = 4\n; longer\n") }, true},
		{"a file in conf.d", pool, func(s *side) { s.write("conf.d/new.ini", "precision = 4\n") }, true},
		{"opcache does not look", pool + "php_admin_flag[opcache.validate_timestamps] = off\n", func(*side) {}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSide(t, "phpserve", tt.config, map[string]string{"php.ini": "precision = 3\n", "conf.d/some.ini": "zend_extension = opcache\nextension = posix\n"})
			s.start()
			before := s.pid("www.sock")
			tt.change(s)
			s.reload(2, "ready to handle connections")
			if after := s.pid("www.sock"); after == "" || (after != before) != tt.replaced {
				t.Errorf("worker %s, then %s\n%s", before, after, s.out)
			}
			s.stop(syscall.SIGTERM)
		})
	}
}

// TestFPMReadsTheINIFilesOfARelativeConfiguration: PHP is started in another folder than the one that -y is relative to.
func TestFPMReadsTheINIFilesOfARelativeConfiguration(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", "[www]\nUSER\nlisten = DIR/www.sock\npm = static\npm.max_children = 1\n", map[string]string{
		"php.ini": "precision = 3\n", "conf.d/some.ini": "serialize_precision = 4\n",
		"s.php": `<?php echo ini_get('precision'), " ", ini_get('serialize_precision');`,
	})
	s.conf = "fpm.conf"
	s.start()
	if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "\n3 4\n") {
		t.Errorf("%s\n%s", answer, s.out)
	}
	s.stop(syscall.SIGTERM)
}

// TestFPMSaysWhatPHPSaysAtItsStart: an extension that cannot be loaded is told by -t and by the start, once, whatever
// catch_workers_output is.
func TestFPMSaysWhatPHPSaysAtItsStart(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		s := newSide(t, "phpserve", poolWith()+"[other]\nUSER\nlisten = DIR/other.sock\npm = static\npm.max_children = 2\n", map[string]string{
			"php.ini": "", "conf.d/some.ini": "extension = posix\nextension = no-such-extension\n",
		})
		s.engine = engine
		const want = "NOTICE: PHP message: PHP Warning:  PHP Startup: Unable to load dynamic library 'no-such-extension'"
		for i, begin := range []func(){
			func() { s.run("-t", "-y", s.conf) },
			func() { s.start() },
		} {
			begin()
			if n := strings.Count(s.out.String(), want); n != i+1 {
				t.Errorf("it is told %d times\n%s", n, s.out)
			}
		}
		s.stop(syscall.SIGTERM)
		if strings.Count(s.out.String(), "no-such-extension'") != 2 {
			t.Errorf("workers tell it, too\n%s", s.out)
		}
	})
}

// TestFPMRefusesINIFilesThatItsPoolCannotRead: php-fpm's master reads them as root, php-cgi mostly as the pool's user, and passes
// over what it cannot read.
func TestFPMRefusesINIFilesThatItsPoolCannotRead(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("PHP is started as phpserve's own user")
	}
	s := newSide(t, "phpserve", poolWith(), map[string]string{"php.ini": "", "conf.d/some.ini": "extension = posix\n"})
	if err := os.Chmod(filepath.Join(s.dir, "conf.d/some.ini"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-t"}, {"-F", "-O"}} {
		code, said := s.run(append(args, "-y", s.conf)...), s.neutral(s.out.String())
		if want := `ERROR: [pool www] user "www-data", as whom PHP is started, cannot read DIR/conf.d/some.ini: `; code != exitConfig || !strings.Contains(said, want) {
			t.Errorf("%q: %d, not %q\n%s", args, code, want, said)
		}
	}
}

// write changes a file of the side's.
func (s *side) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// pid asks a pool for the process that runs its scripts. The head is in front of it.
func (s *side) pid(socket string) string {
	s.t.Helper()
	file, err := filepath.Abs(filepath.Join(s.dir, "pid.php"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`<?php echo "process ", getmypid(), ".";`), 0o644); err != nil {
		s.t.Fatal(err)
	}
	answer := s.ask(socket, map[string]string{"SCRIPT_FILENAME": file}, "")
	_, pid, _ := strings.Cut(answer, "process ")
	pid, _, _ = strings.Cut(pid, ".")
	return pid
}

// 129 is more sockets than php-fpm puts into one variable for its next image (fpm_sockets.c).
func TestFPMReloadOf129Pools(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		config := func(precision int) string {
			var b strings.Builder
			b.WriteString("[global]\nerror_log = DIR/error.log\n")
			for i := range 129 {
				fmt.Fprintf(&b, "[p%d]\nUSER\nlisten = DIR/%d.sock\npm = ondemand\npm.max_children = 1\nphp_value[precision] = %d\n", i, i, precision)
			}
			return b.String()
		}
		s := startEngine(t, engine, config(5), map[string]string{"s.php": `<?php echo "precision ", ini_get('precision');`})
		for round, precision := range []int{5, 6} {
			if round > 0 {
				s.rewrite(config(precision))
				s.reload(round+1, "ready to handle connections")
			}
			for i := range 129 {
				if answer := s.ask(fmt.Sprintf("%d.sock", i), nil, ""); !strings.Contains(answer, fmt.Sprintf("precision %d\n", precision)) {
					t.Fatalf("round %d, pool %d: %s", round, i, answer)
				}
			}
		}
		if code := s.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/linelog"
)

// run starts one that ends by itself and returns its exit code.
func (s *side) run(args ...string) int {
	s.t.Helper()
	var cmd *exec.Cmd
	if s.name == "php-fpm" {
		cmd = exec.Command("php-fpm8.2", args...)
	} else {
		cmd = &exec.Cmd{Path: s.binary(), Args: append([]string{"phpserve", "fpm"}, args...)}
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
	patient.Eventually(t, what, done)
}

// TestFPMDaemonizes goes to the background and comes back only when requests are served.
func TestFPMDaemonizes(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		s := newSide(t, "phpserve", strings.Replace(poolWith(), "[global]\n", "[global]\npid = DIR/pid\n", 1), map[string]string{"s.php": `<?php echo "served";`})
		process := s.startInBackground("--engine", engine)
		if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "served") {
			t.Errorf("got %s", answer)
		}
		if code := s.run("-y", s.conf, "--engine", engine); code != exitConfig || !strings.Contains(s.out.String(), "already listen on") {
			t.Errorf("a second one: exit code %d\n%s", code, s.out)
		}
		if err := process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the one in the background ends", func() bool { return !exists(filepath.Join(s.dir, "pid")) })
		for _, want := range []string{"NOTICE: fpm is running, pid N\n", "NOTICE: exiting, bye-bye!\n"} {
			eventually(t, want+" in error.log", func() bool { return strings.Contains(s.file("error.log"), want) })
		}
	})
}

// TestFPMReopensItsLogs does what logrotate does.
func TestFPMReopensItsLogs(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		s := newSide(t, "phpserve", poolWith(), map[string]string{"s.php": `<?php echo getmypid();`})
		s.engine = engine
		s.start()
		before := s.pid("www.sock")
		eventually(t, "the line is there", func() bool { return strings.Count(s.file("access.log"), "\n") == 1 }) // it follows the answer
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
	})
}

// TestFPMSignalsLetRequestsFinish: the first signal waits for what runs, the second does not.
func TestFPMSignalsLetRequestsFinish(t *testing.T) {
	underBothEngines(t, testFPMSignalsLetRequestsFinish)
}

func testFPMSignalsLetRequestsFinish(t *testing.T, engine string) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		for _, twice := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, twice %v", sig, twice), func(t *testing.T) {
				t.Parallel()
				s := startEngine(t, engine, strings.Replace(poolWith(), "[global]\n", "[global]\nprocess_control_timeout = 1d\n", 1), map[string]string{
					"s.php": `<?php touch('DIR/runs'); while (!file_exists('DIR/go')) { usleep(1000); clearstatcache(); } echo "finished";`,
				})
				answer := make(chan string, 1)
				go func() { answer <- s.ask("www.sock", nil, "") }()
				eventually(t, "the script runs", func() bool { return exists(filepath.Join(s.dir, "runs")) })
				if err := s.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				s.waitFor("ing ...")
				if twice {
					again, late := time.NewTicker(secondSignal), patient.Late() // one that comes before does not count
					defer again.Stop()
					for len(answer) == 0 {
						select {
						case got := <-answer:
							answer <- got
						case <-again.C:
							_ = s.cmd.Process.Signal(sig) // it may have ended
						case <-late:
							t.Fatal("no other signal ends the request")
						}
					}
				} else if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
				if got := <-answer; strings.Contains(got, "finished") == twice {
					t.Errorf("got %s", got)
				}
				<-s.done
				if code := s.cmd.ProcessState.ExitCode(); code != 0 {
					t.Errorf("exit code %d", code)
				}
			})
		}
	}
}

// A signal ends phpserve also while a reload waits for a PHP that does not start, and right behind a crash that has all pools
// replaced.
func TestFPMStopsDuringAReload(t *testing.T) {
	t.Parallel()
	t.Run("reload", func(t *testing.T) {
		t.Parallel()
		s := startOwn(t, poolWith(), map[string]string{"hang.php": `<?php file_put_contents('DIR/hangs', ''); chmod('DIR/hangs', 0666); sleep(100000);`})
		s.rewrite(poolWith("php_value[opcache.preload] = DIR/hang.php"))
		if err := s.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the new PHP hangs", func() bool { return exists(filepath.Join(s.dir, "hangs")) })
		if code := s.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("emergency restart", func(t *testing.T) {
		t.Parallel()
		config := "[global]\nemergency_restart_threshold = 1\nemergency_restart_interval = 1m\n[www]\nUSER\nlisten = DIR/www.sock\npm = static\npm.max_children = 2\n"
		s := startOwn(t, config, map[string]string{"s.php": `<?php posix_kill(getmypid(), SIGSEGV);`})
		s.ask("www.sock", map[string]string{"REQUEST_METHOD": "POST"}, "")
		if code := s.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// TestFPMRefusesABadClientList: php-fpm's children would refuse everybody.
func TestFPMRefusesABadClientList(t *testing.T) {
	t.Parallel()
	config := strings.Replace(poolWith("listen.allowed_clients = 127.0.0.1,nonsense"), "listen = DIR/www.sock", "listen = 127.0.0.1:0", 1)
	s := newSide(t, "phpserve", config, nil)
	if code := s.run("-F", "-O", "-y", s.conf); code != exitConfig || !strings.Contains(s.out.String(), "Wrong IP address 'nonsense' in listen.allowed_clients") {
		t.Errorf("exit code %d\n%s", code, s.out)
	}
}

// TestFPMSyslog: each message at its own level.
func TestFPMSyslog(t *testing.T) {
	t.Parallel()
	address, read := systemd(t, openFolder(t, "phpserve-syslog-"))
	const daemon = 3 << 3 // LOG_DAEMON
	system, err := openSyslog("unixgram", address, daemon, "php-fpm")
	if err != nil {
		t.Fatal(err)
	}
	l := &fpmLog{toFile: linelog.New(&syslogLines{system}, linelog.Config{}), level: fpmconf.LevelDebug, limit: 1024}
	defer l.Close()
	for _, tt := range []struct {
		level fpmconf.Level
		want  string
	}{
		{fpmconf.LevelDebug, "<31>"}, {fpmconf.LevelNotice, "<29>"}, {fpmconf.LevelWarning, "<28>"}, {fpmconf.LevelError, "<27>"}, {fpmconf.LevelAlert, "<25>"},
	} {
		l.Print(tt.level, "a message")
		if got := read(); !strings.HasPrefix(got, tt.want) || !strings.Contains(got, " php-fpm[") || !strings.HasSuffix(strings.TrimSpace(got), "["+tt.level.String()+"] a message") {
			t.Errorf("%v: %q", tt.level, got)
		}
	}
}

// TestFPMWarnsOfWhatHasNoEffect: nothing is ignored in silence.
func TestFPMWarnsOfWhatHasNoEffect(t *testing.T) {
	t.Parallel()
	directives := map[string]string{
		"apparmor_hat": "hat", "listen.setfib": "1",
	}
	var lines []string
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

// TestFPMLogLines holds log_limit: lines end within it, and not within a character, and nothing of a message is lost.
func TestFPMLogLines(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", strings.Replace(poolWith("catch_workers_output = yes"), "[global]\n", "[global]\nlog_limit = 600\n", 1), map[string]string{
		"s.php": `<?php error_log(str_repeat("ü", 500)); error_log("short");`,
	})
	s.start()
	s.ask("www.sock", nil, "")
	s.waitFor("short")
	s.stop(syscall.SIGTERM)
	whole := 0
	for line := range strings.Lines(s.out.String()) {
		if _, text, ok := strings.Cut(line, "] "); ok && len(text) > 600 {
			t.Errorf("%d bytes: %s", len(text), text)
		}
		if !utf8.ValidString(line) {
			t.Errorf("cut within a character: %q", line)
		}
		whole += strings.Count(line, "ü")
	}
	if whole != 500 {
		t.Errorf("%d of 500 characters\n%s", whole, s.out)
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
	eventually(t, "the log is opened anew", func() bool { return strings.Contains(s.stderr.String(), "access log opened anew") })
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

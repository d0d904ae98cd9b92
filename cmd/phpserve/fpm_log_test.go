//go:build unix

package main

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Of two error logs these differ anyway.
var (
	descriptors = regexp.MustCompile(`\bfd=\d+`)
	ages        = regexp.MustCompile(`[\d.]+ (seconds from start|sec\))`)
	// reloadings is how a reload is done: php-fpm executes itself, phpserve says which pools were kept, replaced and added.
	reloadings = regexp.MustCompile(`(?m)^(\[TIME\] NOTICE: reloading: ).*$`)
)

// errorLog is what a side has said, less what differs anyway. Debian's php-fpm tells how often it reports to systemd, also without one.
func (s *side) errorLog() []string {
	text := s.neutral(s.out.String())
	text = ages.ReplaceAllString(descriptors.ReplaceAllString(text, "fd=N"), "N $1")
	text = reloadings.ReplaceAllString(text, "${1}HOW")
	var lines []string
	for line := range strings.Lines(text) {
		line = withoutWhy(line)
		if !strings.HasSuffix(line, "systemd monitor interval set to 10000ms") && !strings.Contains(line, "] request failed status=") { // phpserve's own
			lines = append(lines, line)
		}
	}
	return lines
}

// withoutWhy is a line about the end of a worker without what only phpserve tells: the cause and the script.
func withoutWhy(line string) string {
	line = strings.TrimSuffix(line, "\n")
	for _, why := range []string{" from start, cause: ", " from start, script: "} {
		if before, _, ok := strings.Cut(line, why); ok {
			return before + " from start"
		}
	}
	return line
}

// logStep is something that is done to both sides, and what each says then.
type logStep struct {
	name string
	do   func(s *side)
	said string // is waited for
	n    int    // how often it is said by then
}

// signalled is the step of a signal.
func signalled(name string, sig syscall.Signal, said string, n int) logStep {
	return logStep{name, func(s *side) { _ = s.cmd.Process.Signal(sig) }, said, n} // the wait finds out
}

// TestFPMErrorLogIsPHPFPMs: the whole error log of a life is php-fpm's, line by line.
func TestFPMErrorLogIsPHPFPMs(t *testing.T) {
	t.Parallel()
	const two = "[global]\nprocess_control_timeout = 10s\n[one]\nUSER\nlisten = DIR/one.sock\npm = static\npm.max_children = 1\nprocess.dumpable = yes\nACCESS" +
		"[two]\nUSER\nlisten = DIR/two.sock\npm = ondemand\npm.max_children = 2\nprocess.dumpable = yes\n"
	ready := func(n int, steps ...logStep) []logStep {
		return append(steps, logStep{"ready", func(*side) {}, "ready to handle connections", n})
	}
	for _, tt := range []struct {
		name, access string
		steps        []logStep
		end          syscall.Signal
	}{
		{"started and terminated", "", nil, syscall.SIGTERM},
		{"interrupted", "", nil, syscall.SIGINT},
		{"finished", "", nil, syscall.SIGQUIT},
		{"reloaded by USR2", "", ready(2, signalled("USR2", syscall.SIGUSR2, "Reloading in progress ...", 1)), syscall.SIGTERM},
		{"reloaded by HUP", "", ready(2, signalled("HUP", syscall.SIGHUP, "Reloading in progress ...", 1)), syscall.SIGTERM},
		{"logs opened anew", "access.log = DIR/access.log\n", []logStep{signalled("USR1", syscall.SIGUSR1, "access log file re-opened", 1)}, syscall.SIGTERM},
		{"logs opened anew, without an access log", "", []logStep{signalled("USR1", syscall.SIGUSR1, "error log file re-opened", 1)}, syscall.SIGTERM},
		{"signals that say nothing", "", []logStep{signalled("WINCH", syscall.SIGWINCH, "", 0), signalled("CONT", syscall.SIGCONT, "", 0)}, syscall.SIGTERM},
		{"a worker that is replaced", "pm.max_requests = 1\n", []logStep{{"request", func(s *side) { s.ask("one.sock", nil, "") }, " started\n", 1}, {"ended", func(*side) {}, " exited with code 0", 1}}, syscall.SIGTERM},
		{
			"a worker that dies", "",
			[]logStep{{"request", func(s *side) {
				s.ask("one.sock", map[string]string{"REQUEST_METHOD": "POST", "SCRIPT_FILENAME": "DIR/die.php", "SCRIPT_NAME": "/die.php"}, "")
			}, " started\n", 1}},
			syscall.SIGTERM,
		},
		{"a request without a script", "", []logStep{{"request", func(s *side) { s.ask("two.sock", map[string]string{"SCRIPT_FILENAME": "DIR/none.php"}, "") }, "", 0}}, syscall.SIGTERM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			run := func(name, engine string) []string {
				s := newSide(t, name, strings.Replace(two, "ACCESS", tt.access, 1), map[string]string{
					"s.php": `<?php echo 1;`, "die.php": `<?php posix_kill(getmypid(), 9);`,
				})
				s.engine = engine
				s.start()
				for _, step := range tt.steps {
					if step.do(s); step.said != "" {
						s.waitForTimes(step.said, step.n)
					}
				}
				if code := s.stop(tt.end); code != 0 {
					t.Errorf("%s: exit code %d", name, code)
				}
				return s.errorLog()
			}
			want := run("php-fpm", "")
			for _, engine := range []string{"zygote", "spawn"} {
				got := run("phpserve", engine)
				if strings.Contains(tt.name, "a worker that") { // it is replaced when its end is decided, or is seen
					slices.Sort(got)
					slices.Sort(want)
				}
				if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
					t.Errorf("%s\nphp-fpm:\n%s\nphpserve:\n%s", engine, w, g)
				}
			}
		})
	}
}

// TestFPMSaysItsStartOnce: what goes to the log file does not go to standard error, too.
func TestFPMSaysItsStartOnce(t *testing.T) {
	t.Parallel()
	for _, errorLog := range []string{"DIR/error.log", "/proc/self/fd/2", "/dev/stderr"} {
		t.Run(errorLog, func(t *testing.T) {
			t.Parallel()
			var counts [2]int
			for i, name := range []string{"php-fpm", "phpserve"} {
				s := newSide(t, name, strings.Replace(poolWith(), "DIR/error.log", errorLog, 1), nil)
				s.launch("-F", "-y", s.conf)
				read := func() string {
					if strings.HasPrefix(errorLog, "DIR") {
						return s.file("error.log") + s.out.String()
					}
					return s.out.String()
				}
				eventually(t, name+" serves", func() bool { return strings.Contains(read(), "ready to handle connections") })
				s.stop(syscall.SIGTERM)
				counts[i] = strings.Count(read(), "fpm is running") + strings.Count(read(), "ready to handle connections")
			}
			if counts[0] != 2 || counts[1] != 2 {
				t.Errorf("php-fpm says %d lines, phpserve %d", counts[0], counts[1])
			}
		})
	}
}

//go:build linux

package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// says waits until phpserve has logged a text n times.
func (s *instance) says(t *testing.T, want string, n int) {
	t.Helper()
	eventually(t, "the log says "+want, func() bool { return strings.Count(s.stderr.String(), want) >= n })
}

// lasting is a script that runs until the file "go" is there, and makes the file "begun" first.
const lasting = `<?php file_put_contents(dirname(__FILE__) . '/begun', ''); while (!file_exists(dirname(__FILE__) . '/go')) { usleep(10000); clearstatcache(); } echo "whole";`

// lastingSite is a folder with that script.
func lastingSite(t *testing.T) string {
	t.Helper()
	dir := openFolder(t, "phpserve-signals-")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "index.php"), lasting)
	return dir
}

// beginLasting asks for it and returns what comes of that.
func beginLasting(t *testing.T, dir, url string) <-chan string {
	t.Helper()
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(url + "/shop?page=2")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- resp.Status + " " + string(body)
	}()
	eventually(t, "the script runs", func() bool { return exists(filepath.Join(dir, "begun")) })
	return answer
}

// launchLasting starts phpserve with it; the test stops it.
func launchLasting(t *testing.T, engine string) (s *instance, dir string) {
	t.Helper()
	dir = lastingSite(t)
	s, err := launch(dir, append(cleanEnviron(), "PHPSERVE_PROCESS_CONTROL_TIMEOUT=24h"), "run", "--listen", "127.0.0.1:0", "--engine", engine, ".")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill) // if it still runs
	return s, dir
}

// TestRunFinishesRequestsWhateverSignalStopsIt: TERM, INT and QUIT, and several of them for one wish.
func TestRunFinishesRequestsWhateverSignalStopsIt(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		for name, signals := range map[string][]syscall.Signal{
			"TERM": {syscall.SIGTERM}, "QUIT": {syscall.SIGQUIT}, "INT and TERM": {syscall.SIGINT, syscall.SIGTERM},
			"QUIT, TERM, INT": {syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT}, "TERM, HUP, USR2": {syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR2},
		} {
			t.Run(name, func(t *testing.T) {
				var s *instance
				var dir string
				var answer <-chan string
				patient.WithinLimit(t, func() (tooSlow bool) {
					s, dir = launchLasting(t, engine)
					answer = beginLasting(t, dir, s.url)
					return sendsAtOnce(t, s.cmd.Process, signals...)
				})
				s.says(t, `msg="waiting for running requests" requests=1 oldest="GET /shop?page=2"`, 1)
				s.says(t, `to_end_at_once="press Ctrl-C or send SIGTERM once more"`, 1)
				writeFile(t, filepath.Join(dir, "go"), "")
				if got := <-answer; got != "200 OK whole" {
					t.Errorf("the request that ran: %s", got)
				}
				<-s.exited
				if text := s.stderr.String(); s.err != nil || strings.Contains(text, "goroutine ") || strings.Contains(text, "ending at once") {
					t.Errorf("exit: %v\n%s", s.err, text)
				}
			})
		}
	})
}

// sendsAtOnce sends signals, and says whether that took so long that the later ones may have been others.
func sendsAtOnce(t *testing.T, to *os.Process, signals ...syscall.Signal) (tooSlow bool) {
	t.Helper()
	began := time.Now()
	for _, sig := range signals {
		if err := to.Signal(sig); err != nil && time.Since(began) < secondSignal {
			t.Fatal(err)
		}
	}
	return time.Since(began) >= secondSignal
}

// TestRunEndsAtOnceAtASecondSignal: one that comes when phpserve has said what it waits for.
func TestRunEndsAtOnceAtASecondSignal(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		s, dir := launchLasting(t, engine)
		answer := beginLasting(t, dir, s.url)
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s.says(t, "waiting for running requests", 1)
		if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if got := <-answer; strings.Contains(got, "whole") {
			t.Errorf("the request that ran: %s", got)
		}
		<-s.exited
		if !strings.Contains(s.stderr.String(), "ending at once") {
			t.Errorf("it does not say that it ends\n%s", s.stderr)
		}
	})
}

// TestRunReloadsWhenItIsAsked: by SIGHUP and SIGUSR2, as everywhere.
func TestRunReloadsWhenItIsAsked(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		dir := openFolder(t, "phpserve-signals-")
		writeFile(t, filepath.Join(dir, "index.php"), `<?php echo ini_get('precision');`)
		config := filepath.Join(dir, "phpserve.yaml")
		writeFile(t, config, "engine: "+engine+"\nphp_value: [precision=3]\n")
		s := serve(t, dir, ".", "--config", config)
		v := newVisitor(t, s.url)
		if got := v.get(200, "/").body; got != "3" {
			t.Fatalf("before: %s", got)
		}
		for i, tt := range []struct {
			sig       syscall.Signal
			precision string
		}{{syscall.SIGHUP, "4"}, {syscall.SIGUSR2, "5"}, {syscall.SIGHUP, "6"}} {
			writeFile(t, config, "engine: "+engine+"\nphp_value: [precision="+tt.precision+"]\n")
			if err := s.cmd.Process.Signal(tt.sig); err != nil {
				t.Fatal(err)
			}
			s.says(t, "msg=reloaded", i+1)
			if got := v.get(200, "/").body; got != tt.precision {
				t.Errorf("after %v: %s", tt.sig, got)
			}
		}
		writeFile(t, config, "nonsense: 1\n")
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.says(t, "reload failed, the old configuration goes on", 1)
		if got := v.get(200, "/").body; got != "6" {
			t.Errorf("after a bad configuration: %s", got)
		}
	})
}

// TestFPMTakesSignalsAtOnceForOne does the same in php-fpm's place.
func TestFPMTakesSignalsAtOnceForOne(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		var s *side
		answer := make(chan string, 1)
		patient.WithinLimit(t, func() (tooSlow bool) {
			s = startEngine(t, engine, strings.Replace(poolWith(), "[global]\n", "[global]\nprocess_control_timeout = 1d\n", 1), map[string]string{"s.php": lasting})
			if err := os.Chmod(s.dir, 0o777); err != nil {
				t.Fatal(err)
			}
			this, got := s, make(chan string, 1)
			answer = got
			go func() { got <- this.ask("www.sock", nil, "") }()
			eventually(t, "the script runs", func() bool { return exists(filepath.Join(s.dir, "begun")) })
			if tooSlow = sendsAtOnce(t, s.cmd.Process, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT); tooSlow {
				_ = s.cmd.Process.Kill() // it may have ended
				<-s.done
			}
			return tooSlow
		})
		s.waitFor("NOTICE: Terminating ...")
		writeFile(t, filepath.Join(s.dir, "go"), "")
		if got := <-answer; !strings.Contains(got, "whole") {
			t.Errorf("the request that ran: %s", got)
		}
		<-s.done
		if code := s.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d\n%s", code, s.out)
		}
	})
}

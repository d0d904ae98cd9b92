package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
)

// countedPHP has phpserve find a php-cgi that notes its arguments in the file "starts" each time it is started. While there is a file
// "broken", no worker and no zygote can start: PHP says what is in there.
func (s *side) countedPHP() {
	s.t.Helper()
	php, err := exec.LookPath("php-cgi8.2")
	if err != nil {
		s.t.Fatalf("these tests need php-cgi8.2 (apt-get install php8.2-cgi): %v", err)
	}
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		s.t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho \"php-cgi $*\" >> %[1]s/starts\ncase \"$1\" in -b) if [ -e %[1]s/broken ]; then cat %[1]s/broken >&2; exit 3; fi;; esac\nexec %[2]s \"$@\"\n", s.dir, php)
	syscall.ForkLock.RLock() // else a child that is just being started could hold it open: ETXTBSY
	err = os.WriteFile(filepath.Join(bin, "php-cgi8.2"), []byte(script), 0o755)
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "starts"), nil, 0o666)
	}
	if err == nil {
		err = os.Chmod(filepath.Join(s.dir, "starts"), 0o666) // for the pools' user
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// startsOfPHP are the arguments of each PHP that was started, and of those that are a zygote or a worker.
func (s *side) startsOfPHP() (all, serving []string) {
	all = strings.Split(strings.TrimSuffix(s.file("starts"), "\n"), "\n")
	for _, args := range all {
		if strings.HasPrefix(args, "php-cgi -b ") {
			serving = append(serving, args)
		}
	}
	return all, serving
}

// manyOndemand is a configuration of n pools.
func manyOndemand(n, precision int) string {
	var b strings.Builder
	b.WriteString("[global]\nerror_log = DIR/error.log\n")
	for i := range n {
		fmt.Fprintf(&b, "[p%d]\nUSER\nlisten = DIR/%d.sock\npm = ondemand\npm.max_children = 2\npm.process_idle_timeout = 1s\n"+
			"pm.status_path = /status\nrequest_slowlog_timeout = 1d\nslowlog = DIR/slow.log\nphp_value[precision] = %d\n", i, i, precision)
	}
	return b.String()
}

// TestOndemandPoolThatNobodyAsksHasNoPHP: what such pools cost is counted in processes and in starts of PHP, not in seconds.
func TestOndemandPoolThatNobodyAsksHasNoPHP(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		const pools, handful = 129, 8
		script := map[string]string{"s.php": `<?php echo "precision ", ini_get('precision'), ".";`}
		s := newSide(t, "phpserve", manyOndemand(pools, 5), script)
		s.engine = engine
		s.countedPHP()
		s.start()
		asleep := func(when string, most, served int) {
			t.Helper()
			all, serving := s.startsOfPHP()
			if len(all) > most || len(serving) != served {
				t.Errorf("%s: PHP was started %d times, %d times to serve:\n%s", when, len(all), len(serving), strings.Join(all, "\n"))
			}
		}
		asleep("after the start", handful, 0)
		if found := descendants(s.cmd.Process.Pid); len(found) > 0 {
			t.Errorf("after the start there are processes: %v", found)
		}
		status := s.ask("9.sock", map[string]string{"SCRIPT_NAME": "/status", "SCRIPT_FILENAME": "DIR/status", "REQUEST_URI": "/status"}, "")
		if !strings.Contains(status, "pool:                 p9") || !strings.Contains(status, "total processes:      0") {
			t.Errorf("the status of a pool without PHP is %s", status)
		}
		asleep("after its status", handful, 0)
		s.rewrite(manyOndemand(pools, 6))
		s.reload(2, "ready to handle connections")
		asleep("after a reload", 2*handful, 0)
		if answer := s.ask("7.sock", nil, ""); !strings.Contains(answer, "precision 6.") {
			t.Errorf("the first request got %s", answer)
		}
		_, serving := s.startsOfPHP()
		if len(serving) != 1 || !strings.Contains(serving[0], "phpserve-p7-") {
			t.Errorf("the first request started %q", serving)
		}
		if code := s.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// TestOndemandPoolWhosePHPCannotStart says so when it is asked, and serves the request when PHP can start again.
func TestOndemandPoolWhosePHPCannotStart(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		s := newSide(t, "phpserve", manyOndemand(2, 5), map[string]string{
			"s.php": `<?php echo "precision ", ini_get('precision'), ".";`, "broken": "libexample.so.5 is not there\n",
		})
		s.engine = engine
		s.countedPHP()
		s.start()
		answers := make(chan string, 3)
		for range cap(answers) {
			go func() { answers <- s.ask("1.sock", nil, "") }()
		}
		s.waitFor("libexample.so.5 is not there")
		if text := s.out.String(); !strings.Contains(text, "[pool p1] ") || strings.Contains(text, "ERROR: [pool p0] ") {
			t.Errorf("it says\n%s", text)
		}
		if err := os.Remove(filepath.Join(s.dir, "broken")); err != nil {
			t.Fatal(err)
		}
		for range cap(answers) {
			select {
			case answer := <-answers:
				if !strings.Contains(answer, "precision 5.") {
					t.Errorf("got %s", answer)
				}
			case <-patient.Late():
				t.Fatalf("a request is not served\n%s", s.out)
			}
		}
		if code := s.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// TestOndemandPoolStopsWhileItsPHPStarts does not wait for a PHP that takes its time.
func TestOndemandPoolStopsWhileItsPHPStarts(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", manyOndemand(1, 5), map[string]string{"s.php": "<?php echo 1;"})
	s.engine = manager.EngineZygote
	s.countedPHP()
	s.start()
	pipe := filepath.Join(s.dir, "broken") // who reads it waits
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	go func() { answered <- s.ask("0.sock", nil, "") }()
	eventually(t, "PHP starts", func() bool { _, serving := s.startsOfPHP(); return len(serving) == 1 })
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	<-answered // whatever it is: the server is gone
}

// TestZygoteThatNobodyNeedsIsNotReplaced until the next request does.
func TestZygoteThatNobodyNeedsIsNotReplaced(t *testing.T) {
	t.Parallel()
	s := newSide(t, "phpserve", manyOndemand(2, 5), map[string]string{"s.php": `<?php echo "precision ", ini_get('precision'), ".";`})
	s.engine = manager.EngineZygote
	s.countedPHP()
	s.start()
	for round := range 2 {
		if answer := s.ask("0.sock", nil, ""); !strings.Contains(answer, "precision 5.") {
			t.Fatalf("round %d: %s", round, answer)
		}
		if _, serving := s.startsOfPHP(); len(serving) != round+1 {
			t.Errorf("round %d: started %q", round, serving)
		}
		zygotes := children(s.cmd.Process.Pid)
		if len(zygotes) != 1 {
			t.Fatalf("round %d: phpserve has the children %v", round, zygotes)
		}
		eventually(t, "the idle worker ends", func() bool { return slices.Equal(descendants(s.cmd.Process.Pid), zygotes) })
		// Nor does phpserve count it any more.
		eventually(t, "the pool has no worker", func() bool {
			return strings.Contains(s.ask("0.sock", map[string]string{"SCRIPT_NAME": "/status", "SCRIPT_FILENAME": "DIR/status", "REQUEST_URI": "/status"}, ""), "total processes:      0")
		})
		if err := syscall.Kill(zygotes[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.waitForTimes("the zygote ended; the next request starts another", round+1)
		eventually(t, "no PHP is left", func() bool { return len(descendants(s.cmd.Process.Pid)) == 0 })
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// answersOf asks a pool n times at once and returns the answers.
func (s *side) answersOf(n int, socket string, params map[string]string) []string {
	answers := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { answers[i] = s.ask(socket, params, "") })
	}
	wg.Wait()
	return answers
}

// process.max holds for all pools together.
func TestFPMProcessMax(t *testing.T) { underBothEngines(t, testFPMProcessMax) }

func testFPMProcessMax(t *testing.T, engine string) {
	pool := "[%s]\nUSER\nlisten = DIR/%s.sock\npm = ondemand\npm.max_children = 5\npm.process_idle_timeout = 1s\n"
	s := startEngine(t, engine, "[global]\nprocess.max = 3\n"+fmt.Sprintf(pool, "a", "a")+fmt.Sprintf(pool, "b", "b"), map[string]string{
		// How many run at the same time, and how many at most.
		"s.php": `<?php
			function count_running(int $change): array {
				$f = fopen('DIR/running', 'c+'); flock($f, LOCK_EX);
				[$now, $most] = json_decode(stream_get_contents($f) ?: '[0,0]');
				$now += $change; $most = max($most, $now);
				rewind($f); ftruncate($f, 0); fwrite($f, json_encode([$now, $most])); fclose($f);
				return [$now, $most];
			}
			count_running(1); while (count_running(0)[1] < 3) { usleep(1000); } usleep(200000); echo "most ", count_running(-1)[1], ".";`,
	})
	var wg sync.WaitGroup
	for _, socket := range []string{"a.sock", "b.sock"} {
		wg.Go(func() {
			for _, answer := range s.answersOf(5, socket, nil) {
				if !strings.Contains(answer, "most ") {
					t.Errorf("got %s", answer)
				}
			}
		})
	}
	wg.Wait()
	if got := s.file("running"); got != "[0,3]" {
		t.Errorf("running now and at most: %s", got)
	}
	s.stop(syscall.SIGTERM)
}

// Three crashes within the interval have the pools replaced, and nobody notices.
func TestFPMEmergencyRestart(t *testing.T) { underBothEngines(t, testFPMEmergencyRestart) }

func testFPMEmergencyRestart(t *testing.T, engine string) {
	config := "[global]\nemergency_restart_threshold = 3\nemergency_restart_interval = 1m\n[www]\nUSER\nlisten = DIR/www.sock\npm = static\npm.max_children = 2\n"
	s := startEngine(t, engine, config, map[string]string{
		"crash.php": `<?php posix_kill(getmypid(), SIGSEGV);`, "s.php": `<?php echo "fine";`,
	})
	for i := range 3 {
		params := map[string]string{"SCRIPT_FILENAME": "DIR/crash.php", "REQUEST_METHOD": "POST"}
		if answer := s.ask("www.sock", params, ""); !strings.HasPrefix(answer, "Status: 502") {
			t.Errorf("crash %d: %s", i+1, answer)
		}
	}
	s.waitFor("emergency_restart_threshold is reached")
	for range 20 {
		if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "fine") {
			t.Errorf("afterwards: %s", answer)
		}
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// request_terminate_timeout ends a script behind its response only with track_finished.
func TestFPMTerminateTimeoutTracksFinished(t *testing.T) {
	underBothEngines(t, testFPMTerminateTimeoutTracksFinished)
}

func testFPMTerminateTimeoutTracksFinished(t *testing.T, engine string) {
	for _, track := range []string{"no", "yes"} {
		t.Run(track, func(t *testing.T) {
			t.Parallel()
			patient.UnderLimit(t, time.Second, func(limit time.Duration) (tooSlow bool) {
				s := startEngine(t, engine, poolWith("request_terminate_timeout = "+seconds(limit), "request_terminate_timeout_track_finished = "+track), map[string]string{
					"s.php": fmt.Sprintf(`<?php echo "out"; fastcgi_finish_request(); usleep(%d); file_put_contents('DIR/tail', 'ran');`, 2*limit.Microseconds()),
				})
				answer := s.ask("www.sock", nil, "")
				// The only worker is free again when the script has ended, either way.
				s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/none.php"}, "")
				pid, ran := s.pid("www.sock"), exists(s.dir+"/tail")
				s.stop(syscall.SIGTERM)
				t.Logf("limit %v: got %s, then process %s; the script ran to its end: %v", limit, answer, pid, ran)
				return !strings.Contains(answer, "out\n") || pid == "" || ran == (track == "yes")
			})
		})
	}
}

// PHP_VALUE of more kinds than are kept at a time: each request has its own, and those without have none.
func TestFPMValuesOfManyKinds(t *testing.T) { underBothEngines(t, testFPMValuesOfManyKinds) }

func testFPMValuesOfManyKinds(t *testing.T, engine string) {
	s := startEngine(t, engine, poolWith(), map[string]string{"s.php": `<?php echo "precision ", ini_get('precision'), ".";`})
	var wg sync.WaitGroup
	for round := range 2 {
		for i := range 20 {
			wg.Go(func() {
				params := map[string]string{"PHP_VALUE": fmt.Sprintf("precision = %d ; round %d", i, round)}
				if answer := s.ask("www.sock", params, ""); !strings.Contains(answer, fmt.Sprintf("precision %d.", i)) {
					t.Errorf("got %s", answer)
				}
				if answer := s.ask("www.sock", nil, ""); !strings.Contains(answer, "precision 14.") {
					t.Errorf("without PHP_VALUE: %s", answer)
				}
			})
		}
	}
	wg.Wait()
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestFPMShowsWhatRequestsWithPHPValueDo: their workers are the pool's for everybody who asks, and what they did is not forgotten
// with them.
func TestFPMShowsWhatRequestsWithPHPValueDo(t *testing.T) {
	t.Parallel()
	s := startOwn(t, poolWith("pm.status_path = /status"), map[string]string{
		"s.php":     `<?php echo "precision ", ini_get('precision'), ".";`,
		"waits.php": `<?php function waits() { touch('DIR/waits'); while (!file_exists('DIR/go')) { usleep(1000); clearstatcache(); } } waits();`,
	})
	at := "--control=" + controlOf(t, s.cmd.Process.Pid)
	answer := make(chan string)
	go func() {
		answer <- s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/waits.php", "PHP_VALUE": "precision = 5"}, "")
	}()
	eventually(t, "the script runs", func() bool { return exists(filepath.Join(s.dir, "waits")) })
	page := s.ask("www.sock", map[string]string{"SCRIPT_NAME": "/status", "QUERY_STRING": "full"}, "")
	for _, want := range []string{"active processes:     1\n", "total processes:      1\n", "max active processes: 1\n", "DIR/waits.php\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("the status page lacks %q\n%s", want, page)
		}
	}
	if code, out, errs := phpserve(t, "trace", at); code != 0 || !strings.Contains(out, "waits() ") {
		t.Errorf("trace: %d %s%s", code, out, errs)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	<-answer
	for i := range 20 { // more than are kept
		s.ask("www.sock", map[string]string{"PHP_VALUE": fmt.Sprintf("precision = %d", i)}, "")
	}
	var status controlStatus
	code, out, errs := phpserve(t, "status", "--json", at)
	if err := json.Unmarshal([]byte(out), &status); code != 0 || err != nil || len(status.Pools) != 1 || status.Pools[0].Requests != 21 {
		t.Errorf("status: %d %v %s%s", code, err, out, errs)
	}
	s.stop(syscall.SIGTERM)
}

//go:build unix

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// pidsOf asks a pool n times at once, each time for what takes a while, and returns the processes that answered.
func (s *side) pidsOf(n int) (pids []string) {
	s.t.Helper()
	for _, answer := range s.answersOf(n, "www.sock", nil) {
		_, pid, ok := strings.Cut(answer, "process ")
		pid, _, _ = strings.Cut(pid, ".")
		if !ok || strings.HasPrefix(answer, "Status:") {
			s.t.Errorf("got %s", answer)
		}
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// TestFPMProcessManagers: how many processes answer what comes at once.
func TestFPMProcessManagers(t *testing.T) { underBothEngines(t, testFPMProcessManagers) }

func testFPMProcessManagers(t *testing.T, engine string) {
	for _, tt := range []struct {
		pm          string
		most        int
		idleTimeout bool
	}{
		{"pm = static\npm.max_children = 3", 3, false},
		{"pm = dynamic\npm.max_children = 4\npm.start_servers = 1\npm.min_spare_servers = 1\npm.max_spare_servers = 2", 4, false},
		{"pm = ondemand\npm.max_children = 4\npm.process_idle_timeout = 1s", 4, true},
	} {
		t.Run(tt.pm, func(t *testing.T) {
			t.Parallel()
			config := "[global]\nerror_log = DIR/error.log\n[www]\nUSER\nlisten = DIR/www.sock\n" + tt.pm + "\n"
			s := startEngine(t, engine, config, map[string]string{
				// The first requests wait for each other, so that each has a process.
				"s.php": fmt.Sprintf(`<?php touch('DIR/runs.' . getmypid()); while (count(glob('DIR/runs.*')) < %d) { usleep(1000); } echo "process ", getmypid(), ".";`, tt.most),
			})
			pids := s.pidsOf(tt.most + 2) // two wait for a process
			if len(pids) != tt.most {
				t.Errorf("%d processes answered", len(pids))
			}
			if tt.idleTimeout {
				eventually(t, "idle processes have ended", func() bool {
					return !slices.ContainsFunc(pids, func(pid string) bool {
						n, err := strconv.Atoi(pid)
						return err != nil || syscall.Kill(n, 0) == nil
					})
				})
				if len(s.pidsOf(1)) != 1 {
					t.Error("nobody answers any more")
				}
			}
			if code := s.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d\n%s", code, s.out)
			}
		})
	}
}

// TestFPMMaxRequests: processes are replaced, and every request is answered.
func TestFPMMaxRequests(t *testing.T) { underBothEngines(t, testFPMMaxRequests) }

func testFPMMaxRequests(t *testing.T, engine string) {
	s := startEngine(t, engine, poolWith("pm.max_requests = 4"), map[string]string{"s.php": `<?php echo "process ", getmypid(), ".";`})
	served := map[string]int{}
	for i := range 40 {
		params := map[string]string{"REQUEST_METHOD": "POST", "QUERY_STRING": fmt.Sprint(i)} // which nobody repeats
		_, pid, ok := strings.Cut(s.ask("www.sock", params, ""), "process ")
		if !ok {
			t.Errorf("request %d has no answer", i)
		}
		served[pid]++
	}
	for pid, n := range served {
		if n > 4 {
			t.Errorf("%s served %d requests", pid, n)
		}
	}
	if code := s.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.out)
	}
}

// TestFPMTerminateTimeout: the web server gets 504, the access log its line, and the pool another worker.
func TestFPMTerminateTimeout(t *testing.T) { underBothEngines(t, testFPMTerminateTimeout) }

func testFPMTerminateTimeout(t *testing.T, engine string) {
	patient.UnderLimit(t, time.Second, func(limit time.Duration) (tooSlow bool) {
		s := startEngine(t, engine, poolWith("request_terminate_timeout = "+seconds(limit)), map[string]string{"s.php": `<?php sleep(100000); echo "late";`})
		before := s.pid("www.sock")
		if answer := s.ask("www.sock", map[string]string{"REQUEST_METHOD": "POST"}, ""); !strings.HasPrefix(answer, "Status: 504 ") {
			t.Errorf("got %s", answer)
		}
		after := s.pid("www.sock")
		if code := s.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if before == "" || after == "" {
			return true
		}
		if after == before {
			t.Errorf("worker %s, then %s", before, after)
		}
		if log := s.file("access.log"); !strings.Contains(log, "POST /s.php 504 ") {
			t.Errorf("access.log: %s", log)
		}
		return false
	})
}

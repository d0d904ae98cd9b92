package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// TestRunServesBeforeAnybodyReadsItsFirstScreen has a reader of standard output that does not read, or has gone.
func TestRunServesBeforeAnybodyReadsItsFirstScreen(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{true, false} {
		t.Run(fmt.Sprintf("gone=%v", gone), func(t *testing.T) {
			t.Parallel()
			fifo := filepath.Join(openFolder(t, "phpserve-screen-"), "out")
			reader := stalledFIFO(t, fifo)
			fill, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			fillPipe(t, fill)
			if gone {
				reader.Close()
			}
			url := fmt.Sprintf("http://127.0.0.1:%d", patient.Port(t))
			// The shell opens the FIFO for both, which does not wait for a reader, and gives phpserve the end to write to.
			p := startForReaders(t, "exec 5<>"+fifo+" 1>"+fifo+" 5>&-", "run", siteForReaders(t), "--listen", strings.TrimPrefix(url, "http://"))
			fill.Close()
			patient.Eventually(t, "phpserve serves", func() bool {
				resp, err := http.Get(url + "/a.txt") //nolint:noctx // the test binary has a limit
				if err != nil {
					return false
				}
				return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
			})
			p.stop(t)
		})
	}
}

// stalledFIFO makes a FIFO with a reader that does not read.
func stalledFIFO(t *testing.T, path string) *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return reader
}

// fillPipe writes until nothing more fits.
func fillPipe(t *testing.T, f *os.File) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var full error
	if err := raw.Control(func(fd uintptr) {
		for _, piece := range [][]byte{make([]byte, 4096), {0}} {
			for full = nil; full == nil; {
				_, full = syscall.Write(int(fd), piece)
			}
		}
	}); err != nil || !errors.Is(full, syscall.EAGAIN) {
		t.Fatal(err, full)
	}
}

// TestServingGoesOnWhenAFIFOThatIsALogIsNotRead has the access log be a FIFO whose reader stalls.
func TestServingGoesOnWhenAFIFOThatIsALogIsNotRead(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(openFolder(t, "phpserve-fifo-"), "log")
	stalledFIFO(t, fifo)
	p := startForReaders(t, ":", "run", siteForReaders(t), "--listen", "127.0.0.1:0", "--access-log", fifo)
	url := strings.TrimSpace(p.waitFor(t, "  http://127.0.0.1:"))
	for range 60 { // each line has almost 2 kB, more than a pipe holds
		getServed(t, url+"/a.txt")
	}
	p.stopWith(t, syscall.SIGINT)
}

// TestFPMLogsGoOnWhenThereIsRoomAgain fills the disk under each log of php-fpm's (setrlimit(2), RLIMIT_FSIZE), and makes room.
func TestFPMLogsGoOnWhenThereIsRoomAgain(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]string{"error": "said", "access": "said", "slow": "slow"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSide(t, "phpserve", poolWith("catch_workers_output = yes", "access.format = \"%{REQUEST_URI}e %{HTTP_USER_AGENT}e\"",
				"slowlog = DIR/slow.log", "request_slowlog_timeout = 1"), map[string]string{
				"said.php": `<?php error_log($_SERVER['QUERY_STRING'] . str_repeat('m', 900)); echo 'served';`,
				"slow.php": `<?php function ` + strings.Repeat("long", 60) + `() { usleep(1600000); }
					` + strings.Repeat("long", 60) + `(); echo 'served';`,
			})
			path := filepath.Join(s.dir, name+".log")
			p := startForReaders(t, "ulimit -f 16", "fpm", "-F", "-y", s.conf) // 16 times 512 bytes
			patient.Eventually(t, "php-fpm's place is taken", func() bool { return strings.Contains(s.file("error.log"), "ready to handle connections") })
			get := func(query string) {
				t.Helper()
				if got := s.ask("www.sock", map[string]string{
					"SCRIPT_FILENAME": filepath.Join(s.dir, ask+".php"), "SCRIPT_NAME": "/" + ask + ".php", "QUERY_STRING": query,
					"REQUEST_URI": "/" + ask + ".php?" + query, "HTTP_USER_AGENT": strings.Repeat("agent ", 300),
				}, ""); !strings.Contains(got, "served") {
					t.Fatalf("got %s", got)
				}
			}
			size := func() int64 {
				info, err := os.Stat(path)
				if err != nil {
					return 0
				}
				return info.Size()
			}
			if name == "slow" { // a file that is full already needs one request to show it
				fillFile(t, path, 8<<10)
			}
			patient.Eventually(t, "the log is full", func() bool {
				get("before")
				return size() >= 8<<10
			})
			get("while-full")
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			arrived := false
			patient.Eventually(t, "the log goes on, with what had waited", func() bool {
				text, err := os.ReadFile(path)
				arrived = arrived || err == nil && (strings.Contains(string(text), "while-full") || name == "slow" && len(text) > 0)
				if len(text) > 7<<10 { // full again
					if err := os.Truncate(path, 0); err != nil {
						t.Fatal(err)
					}
				}
				return arrived
			})
			p.stop(t)
		})
	}
}

func fillFile(t *testing.T, path string, size int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(strings.Repeat("x", size-1) + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCountsOfRepeatedLinesAreToldWhenPhpserveStops has workers die more often than the log tells of one by one, and stops at once.
func TestCountsOfRepeatedLinesAreToldWhenPhpserveStops(t *testing.T) {
	t.Parallel()
	const script = `<?php posix_kill(getmypid(), SIGKILL);`
	t.Run("fpm", func(t *testing.T) {
		t.Parallel()
		s := startOwn(t, poolWith(), map[string]string{"s.php": script})
		for range 3 * repeatBurst {
			s.ask("www.sock", map[string]string{"REQUEST_METHOD": "POST"}, "")
		}
		s.stop(syscall.SIGTERM)
		mustTellCounts(t, s.out.String(), "exited on signal 9")
	})
	t.Run("run", func(t *testing.T) {
		t.Parallel()
		dir := openFolder(t, "phpserve-counts-")
		writeFile(t, filepath.Join(dir, "index.php"), script)
		s, err := launch(dir, cleanEnviron(), "run", "--listen", "127.0.0.1:0", ".")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.kill) // if it still runs
		for range 3 * repeatBurst {
			newVisitor(t, s.url).post(502, "/", nil)
		}
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		mustTellCounts(t, s.stderr.String(), "502")
	})
}

// mustTellCounts fails unless lines that say the same are fewer than there were, and one says how many more there were.
func mustTellCounts(t *testing.T, log, same string) {
	t.Helper()
	n := strings.Count(log, same)
	if n == 0 || n > 2*repeatBurst || !strings.Contains(log, " more times in the last ") {
		t.Errorf("%d lines with %q in\n%s", n, same, log)
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
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

// logsOfFull has a script that says much and one that is slow until the test has seen it be traced.
var logsOfFull = map[string]string{
	"said.php": `<?php error_log($_SERVER['QUERY_STRING'] . str_repeat('m', 900)); echo 'served';`,
	"slow.php": `<?php function ` + slowOfFull + `() { while (!file_exists(dirname(__FILE__) . '/go')) { usleep(10000); clearstatcache(); } }
		` + slowOfFull + `(); echo 'served';`,
}

var slowOfFull = strings.Repeat("slow", 60)

// fullSize is what files may have in these tests, in bytes: 16 times the 512 of ulimit.
const fullSize = 16 * 512

// mustGoOnWhenThereIsRoom fills a log and has a line wait, then makes room: the line must arrive. The slow log is full before it is told
// of the first slow request; traced says whether it has been.
func mustGoOnWhenThereIsRoom(t *testing.T, log, path string, get func(script, query string), traced func() bool) {
	t.Helper()
	if log != "slow" {
		patient.Eventually(t, "the log is full", func() bool {
			get("said.php", "before")
			info, err := os.Stat(path)
			return err == nil && info.Size() >= fullSize
		})
		get("said.php", "while-full")
		makeRoomUntil(t, path, "while-full")
		return
	}
	fillFile(t, path, fullSize)
	var slow sync.WaitGroup
	slow.Go(func() { get("slow.php", "") })
	patient.Eventually(t, "the request is traced", traced)
	writeFile(t, filepath.Join(filepath.Dir(path), "go"), "")
	slow.Wait()
	makeRoomUntil(t, path, slowOfFull)
}

// makeRoomUntil empties a file whenever it is full, until it has had a text. No line comes between: who writes finds it full.
func makeRoomUntil(t *testing.T, path, want string) {
	t.Helper()
	had := ""
	patient.Eventually(t, "the log goes on, with what had waited", func() bool {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) < fullSize {
			return strings.Contains(had+string(text), want)
		}
		had += string(text)
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(had, want)
	})
}

// TestFPMLogsGoOnWhenThereIsRoomAgain fills the disk under each log of php-fpm's (setrlimit(2), RLIMIT_FSIZE), and makes room.
func TestFPMLogsGoOnWhenThereIsRoomAgain(t *testing.T) {
	t.Parallel()
	for _, log := range []string{"error", "access", "slow"} {
		t.Run(log, func(t *testing.T) {
			t.Parallel()
			s := newSide(t, "phpserve", poolWith("catch_workers_output = yes", "access.format = \"%{REQUEST_URI}e %{HTTP_USER_AGENT}e\"",
				"slowlog = DIR/slow.log", "request_slowlog_timeout = 1"), logsOfFull)
			p := startForReaders(t, "ulimit -f 16", "fpm", "-F", "-y", s.conf)
			errorLog := func(want string) bool { return strings.Contains(s.file("error.log"), want) }
			patient.Eventually(t, "php-fpm's place is taken", func() bool { return errorLog("ready to handle connections") })
			mustGoOnWhenThereIsRoom(t, log, filepath.Join(s.dir, log+".log"), func(script, query string) {
				if got := s.ask("www.sock", map[string]string{
					"SCRIPT_FILENAME": filepath.Join(s.dir, script), "SCRIPT_NAME": "/" + script, "QUERY_STRING": query,
					"REQUEST_URI": "/" + script + "?" + query, "HTTP_USER_AGENT": strings.Repeat("agent ", 300),
				}, ""); !strings.Contains(got, "served") {
					t.Errorf("got %s", got)
				}
			}, func() bool { return errorLog(manager.SlowNotice) })
			p.stop(t)
		})
	}
}

// TestRunLogsGoOnWhenThereIsRoomAgain is the same for the logs of a server; its own is standard error.
func TestRunLogsGoOnWhenThereIsRoomAgain(t *testing.T) {
	t.Parallel()
	for _, log := range []string{"error", "access", "slow"} {
		t.Run(log, func(t *testing.T) {
			t.Parallel()
			dir := openFolder(t, "phpserve-full-")
			for name, text := range logsOfFull {
				writeFile(t, filepath.Join(dir, name), text)
			}
			writeFile(t, filepath.Join(dir, "phpserve.yaml"), "listen: 127.0.0.1:0\nroot: .\naccess.log: access.log\nslowlog: slow.log\nrequest_slowlog_timeout: 1s\n")
			writeFile(t, filepath.Join(dir, "slow.log"), "")
			if err := os.Chmod(dir, 0o777); err != nil { // for what the slow script waits for
				t.Fatal(err)
			}
			errorLog := filepath.Join(dir, "error.log")
			p := startForReaders(t, "ulimit -f 16; exec 2>>"+errorLog, "run", "--config", filepath.Join(dir, "phpserve.yaml"))
			url := strings.TrimSpace(p.waitFor(t, "  http://127.0.0.1:"))
			mustGoOnWhenThereIsRoom(t, log, filepath.Join(dir, log+".log"), func(script, query string) {
				if got, err := fetch(plainClient(), http.MethodGet, url+"/"+script+"?"+query, nil); err != nil || got.body != "served" {
					t.Errorf("got %v, %v", got, err)
				}
			}, func() bool {
				text, err := os.ReadFile(errorLog)
				return err == nil && strings.Contains(string(text), manager.SlowNotice)
			})
			if log == "access" {
				makeRoomUntil(t, errorLog, "cannot write the access log") // it is full, too
			}
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

// TestCountsOfRepeatedLinesAreToldWhenPhpserveStops has the log say the same more often than it tells one by one, and stops at once.
func TestCountsOfRepeatedLinesAreToldWhenPhpserveStops(t *testing.T) {
	t.Parallel()
	t.Run("fpm", func(t *testing.T) {
		t.Parallel()
		mustTellCounts(t, "connection closed: not FastCGI", func() (say func(), stop func() string) {
			s := startOwn(t, poolWith(), nil)
			return func() {
					nc, err := net.Dial("unix", filepath.Join(s.dir, "www.sock"))
					if err != nil {
						t.Fatal(err)
					}
					defer nc.Close()
					fmt.Fprint(nc, "GET / HTTP/1.1\r\n\r\n")
					if _, err := io.Copy(io.Discard, nc); err != nil && !errors.Is(err, syscall.ECONNRESET) {
						t.Error(err)
					}
				}, func() string {
					s.stop(syscall.SIGTERM)
					return s.out.String()
				}
		})
	})
	t.Run("run", func(t *testing.T) {
		t.Parallel()
		dir := openFolder(t, "phpserve-counts-")
		writeFile(t, filepath.Join(dir, "index.php"), `<?php posix_kill(getmypid(), SIGKILL);`)
		mustTellCounts(t, "request failed", func() (say func(), stop func() string) {
			s, err := launch(dir, cleanEnviron(), "run", "--listen", "127.0.0.1:0", ".")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.kill) // if it still runs
			return func() { newVisitor(t, s.url).post(http.StatusBadGateway, "/", nil) }, func() string {
				if err := s.stop(syscall.SIGTERM); err != nil {
					t.Error(err)
				}
				return s.stderr.String()
			}
		})
	})
}

// mustTellCounts has a phpserve say the same, and fails unless the log has the first lines and, with the last of them, how many more there
// were. A machine that is so slow that the time in which they are counted has passed before the stop tries again.
func mustTellCounts(t *testing.T, same string, start func() (say func(), stop func() string)) {
	t.Helper()
	const more = 5
	for late := patient.LastMoment(); time.Now().Before(late); {
		say, stop := start()
		begun := time.Now()
		for range repeatBurst + more {
			say()
		}
		log := stop()
		if time.Since(begun) >= repeatWindow {
			continue
		}
		if n := strings.Count(log, same); n != repeatBurst+1 || !strings.Contains(log, fmt.Sprintf("… %d more times in the last ", more)) {
			t.Errorf("%d lines with %q in\n%s", n, same, log)
		}
		return
	}
	t.Errorf("%d lines of one kind take more than %v", repeatBurst+more, repeatWindow)
}

package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// killProcess sends SIGKILL to a process of this test.
func killProcess(t *testing.T, pid int) { sendSignal(t, pid, syscall.SIGKILL) }

// killAll sends SIGKILL to processes that end each other: with the first of them the others may be gone.
func killAll(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := trySignal(t, pid, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatalf("cannot kill %d: %v", pid, err)
		}
	}
}

func sendSignal(t *testing.T, pid int, sig os.Signal) {
	t.Helper()
	if err := trySignal(t, pid, sig); err != nil {
		t.Fatalf("cannot send %v to %d: %v", sig, pid, err)
	}
}

func trySignal(t *testing.T, pid int, sig os.Signal) error {
	t.Helper()
	if pid <= 1 || pid == os.Getpid() {
		t.Fatalf("process %d is not one of this test", pid)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	return p.Signal(sig)
}

// crashScripts count their runs in a file beside the document root and then do what they are named for.
var crashScripts = func() map[string]string {
	const count = `<?php file_put_contents(dirname(__DIR__) . '/' . $_GET['count'] . '.pids', getmypid() . "\n", FILE_APPEND);
		file_put_contents(dirname(__DIR__) . '/' . $_GET['count'], 'x', FILE_APPEND); `
	return map[string]string{
		"pid.php":  `<?php echo getmypid();`,
		"hold.php": holdScript,
		"kill.php": count + `posix_kill(getmypid(), SIGKILL);`,
		"segv.php": count + `posix_kill(getmypid(), SIGSEGV);`,
		"abrt.php": count + `posix_kill(getmypid(), SIGABRT);`,
		// Until PHP 8.3 the C stack has no guard but the kernel's.
		"deep.php":   count + `ini_set('memory_limit', '-1'); function f() { array_map('f', [1]); } f();`,
		"once.php":   count + `if (filesize(dirname(__DIR__) . '/' . $_GET['count']) === 1) posix_kill(getmypid(), SIGKILL); echo 'second run';`,
		"body.php":   count + `echo md5(file_get_contents('php://input'));`,
		"exit.php":   count + `echo 'said ', getmypid(); exit(255);`,
		"die.php":    count + `die('last words ' . getmypid());`,
		"memory.php": count + `ini_set('memory_limit', '4M'); $s = str_repeat('x', 64 << 20); echo 'not reached';`,
		"throw.php":  count + `throw new RuntimeException('thrown');`,
		// Breaks off in the middle of what the client already reads.
		"partial.php": count + `if (isset($_GET['length'])) header('Content-Length: 1000000'); echo 'the beginning'; while (ob_get_level()) ob_end_flush(); flush();
			while (!file_exists(dirname(__DIR__) . '/' . $_GET['until'])) { usleep(2000); clearstatcache(); }
			posix_kill(getmypid(), SIGKILL);`,
	}
}()

// plainPages keeps error pages short.
func plainPages(c *Config) { c.ErrorPages = ErrorPagesPlain }

// runs is how often a script of crashScripts ran.
func (ts *testServer) runs(count string) int {
	ts.t.Helper()
	text, err := os.ReadFile(ts.beside(count))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		ts.t.Fatal(err)
	}
	return len(text)
}

// ranOn are the workers that a script of crashScripts ran on, in this order.
func (ts *testServer) ranOn(count string) (pids []int) {
	ts.t.Helper()
	text, err := os.ReadFile(ts.beside(count + ".pids"))
	if err != nil {
		ts.t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(text)) {
		pids = append(pids, atoi(ts.t, pid))
	}
	return pids
}

// replaced waits until the pool has its n workers again, none of them among the dead.
func (ts *testServer) replaced(n int, dead ...int) {
	ts.t.Helper()
	eventually(ts.t, fmt.Sprintf("%d workers without %v", n, dead), func() bool {
		ready := 0
		for _, w := range ts.pool().Workers() {
			if slices.Contains(dead, w.PID) {
				return false
			}
			if w.State == manager.StateIdle {
				ready++
			}
		}
		return ready == n
	})
}

func TestCrashOfASafeRequestIsRepeatedOnceThen502(t *testing.T) {
	t.Parallel()
	for script, how := range map[string]string{"kill.php": "SIGKILL", "segv.php": "SIGSEGV", "abrt.php": "SIGABRT", "deep.php": "SIGSEGV"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				ts := startServer(t, engine, crashScripts, plainPages)
				ts.idleWorkers(2)
				got := ts.get("/" + script + "?count=n")
				if script == "deep.php" && got.StatusCode == http.StatusInternalServerError && ts.runs("n") == 1 {
					return // this PHP guards its stack (zend.max_allowed_stack_size of PHP 8.3)
				}
				if got.StatusCode != http.StatusBadGateway || ts.runs("n") != 2 {
					t.Fatalf("got %d after %d runs: %s", got.StatusCode, ts.runs("n"), got.body)
				}
				dead := ts.ranOn("n") // the second may be the one in the first one's place
				if len(dead) != 2 || dead[0] == dead[1] {
					t.Fatalf("it ran on %v", dead)
				}
				ts.replaced(2, dead...)
				ts.log.waitFor(t, "worker lost, request repeated on another")
				ts.log.waitFor(t, "request failed")
				for _, pid := range dead {
					ts.log.waitForLine(t, "worker ended", "pid="+strconv.Itoa(pid), script, how, "uri=")
				}
				ts.access.waitFor(t, `"GET /`+script+`?count=n HTTP/1.1" 502 `)
				if got := ts.get("/pid.php"); got.StatusCode != 200 {
					t.Errorf("the next request got %d", got.StatusCode)
				}
			})
		})
	}
}

// hasLine says whether one line of text contains all of parts.
func hasLine(text string, parts ...string) bool {
	for line := range strings.Lines(text) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return true
		}
	}
	return false
}

func TestSafeRequestSurvivesTheLossOfItsFirstWorker(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, crashScripts, plainPages)
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			got := ts.do(method, "/once.php?count="+method, nil)
			if got.StatusCode != 200 || ts.runs(method) != 2 || method == "GET" && got.body != "second run" {
				t.Errorf("%s got %d %q after %d runs", method, got.StatusCode, got.body, ts.runs(method))
			}
			ts.idleWorkers(2)
		}
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			ts.access.waitForLine(t, method+" /once.php")
		}
		ts.access.waitForLines(t, 3, "once.php")
	})
}

func TestUnsafeRequestIsNeverRunTwice(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, crashScripts, plainPages)
		for i, size := range []int{0, 100, 300 << 10} {
			for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
				count := fmt.Sprint(method, i)
				got := ts.do(method, "/kill.php?count="+count, bytes.NewReader(make([]byte, size)))
				if got.StatusCode != http.StatusBadGateway || ts.runs(count) != 1 {
					t.Errorf("%s with %d bytes got %d after %d runs", method, size, got.StatusCode, ts.runs(count))
				}
				ts.access.waitFor(t, `"`+method+` /kill.php?count=`+count+` HTTP/1.1" 502 `)
			}
		}
		ts.idleWorkers(2)
	})
}

func TestCrashAfterTheBeginningBreaksTheConnectionOff(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "&length=1"} {
		t.Run("query"+query, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				ts := startServer(t, engine, crashScripts, plainPages)
				conn := ts.dial()
				defer conn.Close()
				fmt.Fprintf(conn, "GET /partial.php?count=n&until=go%s HTTP/1.1\r\nHost: %s\r\n\r\n", query, ts.addr)
				reader := bufio.NewReader(conn)
				resp, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				begin := make([]byte, len("the beginning"))
				if _, err := io.ReadFull(resp.Body, begin); err != nil || resp.StatusCode != 200 || string(begin) != "the beginning" {
					t.Fatalf("got %d %q, %v", resp.StatusCode, begin, err)
				}
				ts.touch("go")
				rest, err := io.ReadAll(resp.Body)
				if !errors.Is(err, io.ErrUnexpectedEOF) || len(rest) > 0 {
					t.Errorf("the response ends as if it were complete: %q, %v", rest, err)
				}
				if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
					t.Errorf("after the break came %q, %v", rest, err)
				}
				if n := ts.runs("n"); n != 1 {
					t.Errorf("the script ran %d times", n)
				}
				ts.idleWorkers(2)
				ts.log.waitForLine(t, "worker ended", "partial.php")
				ts.log.waitForLine(t, "request broke off", "partial.php")
				ts.access.waitFor(t, "GET /partial.php")
			})
		})
	}
}

func TestScriptThatEndsItselfKeepsItsWorker(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, crashScripts, plainPages)
		workers := ts.idleWorkers(2)
		for script, want := range map[string]string{"exit.php": "said ", "die.php": "last words "} {
			got := ts.do("POST", "/"+script+"?count=x"+script, strings.NewReader("x"))
			pid, ok := strings.CutPrefix(got.body, want)
			if got.StatusCode != 200 || !ok || !slices.Contains(workers, atoi(t, pid)) || ts.runs("x"+script) != 1 {
				t.Errorf("%s: got %d %q after %d runs", script, got.StatusCode, got.body, ts.runs("x"+script))
			}
		}
		// PHP itself answers these with 500 (main/main.c:php_error_cb); the message is in the log with its script.
		for script, message := range map[string]string{"memory.php": "Allowed memory size of", "throw.php": "Uncaught RuntimeException: thrown"} {
			got := ts.get("/" + script + "?count=" + script)
			if got.StatusCode != 500 || strings.Contains(got.body, "not reached") || ts.runs(script) != 1 {
				t.Errorf("%s: got %d %q after %d runs", script, got.StatusCode, got.body, ts.runs(script))
			}
			if log := ts.log.waitFor(t, message); !hasLine(log, message, "level=ERROR", script, "pool=www", "pid=", "request_id=") {
				t.Errorf("the log has no record of %s:\n%s", script, log)
			}
		}
		if now := ts.idleWorkers(2); !slices.Equal(now, workers) {
			t.Errorf("workers were %v and are %v", workers, now)
		}
	})
}

func TestRequestAfterTheDeathOfIdleWorkersSucceeds(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, crashScripts, plainPages)
		for round := range 5 {
			for _, size := range []int{-1, 0, 100, 300 << 10} {
				killed := ts.idleWorkers(2)
				for _, pid := range killed {
					killProcess(t, pid)
					eventually(t, "it is dead", func() bool { return !processExists(pid) })
				}
				count := fmt.Sprintf("n%d.%d", round, size)
				method, body := "POST", bytes.Repeat([]byte{'b'}, max(size, 0))
				if size < 0 {
					method = "GET"
				}
				got := ts.do(method, "/body.php?count="+count, bytes.NewReader(body))
				if got.StatusCode != 200 || got.body != md5Hex(body) || ts.runs(count) != 1 {
					t.Errorf("%s with %d bytes got %d %q after %d runs", method, size, got.StatusCode, got.body, ts.runs(count))
				}
				// The request may have met only one of them: the other is idle in the pool's books until its end is reported.
				ts.replaced(2, killed...)
			}
		}
	})
}

// The zygote cannot report the deaths here, so that the pool hands out every one of the dead workers first.
func TestRequestIsSentOnUntilAWorkerTakesIt(t *testing.T) {
	t.Parallel()
	ts := startServer(t, manager.EngineZygote, crashScripts, func(c *Config) {
		plainPages(c)
		c.Pools[0].MaxChildren = 4
	})
	for _, size := range []int{0, 100, 60 << 10, 300 << 10, 3 << 20} {
		pids := ts.idleWorkers(4)
		zygote := parentOf(t, pids[0])
		sendSignal(t, zygote, syscall.SIGSTOP)
		// The first worker stays: the one that has been idle longest is taken last.
		var oldest manager.WorkerInfo
		for _, w := range ts.pool().Workers() {
			if oldest.PID == 0 || w.Since.Before(oldest.Since) {
				oldest = w
			}
		}
		for _, pid := range pids {
			if pid != oldest.PID {
				killProcess(t, pid)
				eventually(t, "it is dead", func() bool { return !processExists(pid) })
			}
		}
		body := bytes.Repeat([]byte{'b'}, size)
		count := "n" + strconv.Itoa(size)
		got := ts.do("POST", "/body.php?count="+count, bytes.NewReader(body))
		sendSignal(t, zygote, syscall.SIGCONT)
		if got.StatusCode != 200 || got.body != md5Hex(body) || ts.runs(count) != 1 {
			t.Errorf("POST with %d bytes got %d after %d runs: %s", size, got.StatusCode, ts.runs(count), got.body)
		}
		ts.replaced(4, slices.DeleteFunc(pids, func(pid int) bool { return pid == oldest.PID })...)
	}
}

func TestDeathOfOneWorkerLeavesTheOthersRequestsAlone(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, crashScripts, func(c *Config) {
			plainPages(c)
			c.Pools[0].MaxChildren = 3
		})
		a, b := ts.hold("a"), ts.hold("b")
		if got := ts.do("POST", "/kill.php?count=n", nil); got.StatusCode != http.StatusBadGateway {
			t.Errorf("got %d", got.StatusCode)
		}
		for _, h := range []held{a, b} {
			if got := h.finish(); got.StatusCode != 200 || got.body != strconv.Itoa(h.pid) {
				t.Errorf("got %d %q", got.StatusCode, got.body)
			}
		}
		ts.replaced(3)
	})
}

package server

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
)

// finishLib is what the scripts of these tests begin with: say() leaves a note beside the document root, and await() goes
// on when the test has made a file there.
const finishLib = `<?php
function say(string $what): void { file_put_contents(dirname(__DIR__) . '/said', $what . "\n", FILE_APPEND); }
function await(string $name): void { while (!file_exists(dirname(__DIR__) . '/' . $name)) { usleep(2000); clearstatcache(); } }
`

// said waits until a script has left a note and returns all notes.
func (ts *testServer) said(what string) string {
	ts.t.Helper()
	var text []byte
	eventually(ts.t, "a script says "+what, func() bool {
		text, _ = os.ReadFile(ts.beside("said")) // it may not be there yet
		return strings.Contains(string(text), what+"\n")
	})
	return string(text)
}

func TestFinishRequestGivesTheWholeResponseWhileTheScriptGoesOn(t *testing.T) {
	const body = 150 << 10
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"finish.php": finishLib + `
				header('X-Answer: 42');
				echo str_repeat('a', 150 << 10);
				$first = fastcgi_finish_request();
				say('first ' . var_export($first, true));
				say('second ' . var_export(fastcgi_finish_request(), true));
				await('go');
				// All of this goes nowhere, and a client that left long ago does not end the script.
				for ($i = 0; $i < 13; $i++) { echo str_repeat('late', 2048); flush(); }
				ob_start(); echo 'late'; ob_end_flush();
				fwrite(fopen('php://output', 'w'), str_repeat('late', 25600));
				say('aborted ' . connection_aborted() . ' status ' . connection_status());
				say('done');`,
			"pid.php": `<?php echo getmypid();`,
		}, plainPages)
		workers := ts.idleWorkers(2)
		client := newClient(t)
		got, err := ts.try(client, http.MethodGet, "/finish.php", nil)
		if err != nil || got.StatusCode != 200 || got.body != strings.Repeat("a", body) || got.Header.Get("X-Answer") != "42" {
			t.Fatalf("got %v, %d bytes, %v", got.Response, len(got.body), err)
		}
		ts.said("second false")
		// The script still runs, on a worker that takes nothing else meanwhile; the connection is free at once.
		busy := 0
		for _, w := range ts.pool().Workers() {
			if w.State == manager.StateBusy {
				busy = w.PID
			}
		}
		if busy == 0 {
			t.Fatalf("no worker is busy: %+v", ts.pool().Workers())
		}
		for range 5 {
			again, err := ts.try(client, http.MethodGet, "/pid.php", nil)
			if err != nil || again.StatusCode != 200 || atoi(t, again.body) == busy {
				t.Errorf("got %q, %v; worker %d is busy", again.body, err, busy)
			}
		}
		ts.touch("go")
		notes := ts.said("done")
		for _, want := range []string{"first true\n", "second false\n", "aborted 0 status 0\n"} {
			if !strings.Contains(notes, want) {
				t.Errorf("no %q in the notes:\n%s", want, notes)
			}
		}
		if now := ts.idleWorkers(2); !slices.Equal(now, workers) {
			t.Errorf("workers were %v and are %v", workers, now)
		}
		if n := strings.Count(ts.access.waitFor(t, "GET /finish.php"), "/finish.php"); n != 1 {
			t.Errorf("%d access lines", n)
		}
	})
}

func TestFinishRequestLeavesTheConnectionForTheNextRequest(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"finish.php": finishLib + `echo 'answer ', $_GET['n']; fastcgi_finish_request(); await('go'); say('done' . $_GET['n']);`,
			"empty.php":  finishLib + `header('X-Empty: yes'); http_response_code(202); fastcgi_finish_request(); await('go'); say('done-empty');`,
			"no.php":     finishLib + `http_response_code(204); fastcgi_finish_request(); await('go'); say('done-no');`,
		}, func(c *Config) { c.Pools[0].MaxChildren = 4 })
		conn := ts.dial()
		defer conn.Close()
		reader := bufio.NewReader(conn)
		ask := func(method, path string, status int, body string) {
			t.Helper()
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, path)
			conn.SetReadDeadline(patient.LastMoment())
			req := &http.Request{Method: method}
			resp, err := http.ReadResponse(reader, req)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != status || string(text) != body || resp.Close {
				t.Errorf("%s %s: got %v %q, %v", method, path, resp, text, err)
			}
		}
		ask("GET", "/finish.php?n=1", 200, "answer 1")
		ask("HEAD", "/finish.php?n=2", 200, "")
		ask("GET", "/empty.php", 202, "")
		ask("GET", "/no.php", 204, "")
		if s := ts.pool().Stats(); s.Busy != 4 {
			t.Errorf("stats are %+v", s)
		}
		ts.touch("go")
		for _, what := range []string{"done1", "done2", "done-empty", "done-no"} {
			ts.said(what)
		}
		ts.idleWorkers(4)
	})
}

func TestFinishRequestEndsAStreamedResponse(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"stream.php": finishLib + `while (ob_get_level()) ob_end_flush(); echo 'one '; flush(); await('more'); echo 'two'; fastcgi_finish_request(); await('go'); echo 'late'; flush(); say('done');`,
		}, nil)
		conn := ts.dial()
		defer conn.Close()
		fmt.Fprintf(conn, "GET /stream.php HTTP/1.1\r\nHost: x\r\n\r\n")
		conn.SetReadDeadline(patient.LastMoment())
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 4)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "one " {
			t.Fatalf("got %q, %v", first, err)
		}
		ts.touch("more")
		if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "two" {
			t.Errorf("got %q, %v", rest, err)
		}
		ts.touch("go")
		ts.said("done")
		ts.idleWorkers(2)
	})
}

func TestFinishRequestLeavesSessionsAndShutdownFunctionsWorking(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"start.php": finishLib + `session_save_path(dirname(__DIR__)); session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo $_SESSION['n'];
				session_write_close(); fastcgi_finish_request(); await('go');`,
			// Without session_write_close() the session is written by shutdown, after the response.
			"open.php": finishLib + `session_save_path(dirname(__DIR__)); session_start(); $_SESSION['n'] += 10; echo $_SESSION['n'];
				register_shutdown_function(function () { say('shutdown before: ' . var_export(fastcgi_finish_request(), true)); echo 'late'; $_SESSION['n'] += 100; say('shutdown'); });
				fastcgi_finish_request();`,
			"shutdown.php": finishLib + `register_shutdown_function(function () { echo ' and more'; say('finish ' . var_export(fastcgi_finish_request(), true)); echo 'late'; say('late'); }); echo 'body';`,
		}, func(c *Config) { c.Pools[0].MaxChildren = 4 })
		cookie := "PHPSESSID=abcdefghijklmnopqrstuv1234"
		if got := ts.get("/start.php", "Cookie", cookie).body; got != "1" {
			t.Errorf("got %q", got)
		}
		// The first script is still there, but its session is free.
		if got := ts.get("/start.php", "Cookie", cookie).body; got != "2" {
			t.Errorf("got %q", got)
		}
		if got := ts.get("/open.php", "Cookie", cookie).body; got != "12" {
			t.Errorf("got %q", got)
		}
		if notes := ts.said("shutdown"); !strings.Contains(notes, "shutdown before: false\n") {
			t.Errorf("notes:\n%s", notes)
		}
		ts.touch("go")
		ts.idleWorkers(4)
		if got := ts.get("/start.php", "Cookie", cookie).body; got != "113" {
			t.Errorf("what was written after the response is lost: %q", got)
		}
		if got := ts.get("/shutdown.php"); got.body != "body and more" {
			t.Errorf("got %q", got.body)
		}
		if notes := ts.said("late"); !strings.Contains(notes, "finish true\n") {
			t.Errorf("notes:\n%s", notes)
		}
	})
}

func TestOnlyFinishRequestEndsAResponse(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			// What a client sends goes to PHP's log and back in the body, and looks like the token as far as anybody can guess.
			"echo.php": `<?php $in = file_get_contents('php://input'); error_log($in); error_log($in, 4); trigger_error($in, E_USER_WARNING);
				echo $in; while (ob_get_level()) ob_end_flush(); flush(); error_log($in, 4); echo ' to the end';`,
		}, nil)
		for _, guess := range []string{"phpserve-finish-", "phpserve-finish-" + strings.Repeat("0", 32), "@TOKEN@", "fastcgi_finish_request", strings.Repeat("phpserve-finish-", 900)} {
			got := ts.do(http.MethodPost, "/echo.php", strings.NewReader(guess))
			if got.StatusCode != 200 || got.body != guess+" to the end" {
				t.Errorf("%.40q: got %d %.80q", guess, got.StatusCode, got.body)
			}
		}
		ts.log.waitFor(t, "phpserve-finish-"+strings.Repeat("0", 32))
		if token := ts.pool().FinishToken(); len(token) < 32 || strings.Contains(ts.log.String(), token) {
			t.Errorf("the token %q is short or was logged", token)
		}
	})
}

func TestFinishTokenIsNotShownToAnyone(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"all.php": finishLib + `
				echo json_encode([$_SERVER, $_ENV, getenv(), $GLOBALS['GLOBALS'] ?? 0, get_defined_vars(), get_defined_constants(true)['user'] ?? 0, ini_get_all(null, false), get_included_files()]);
				error_log('before'); fastcgi_finish_request(); error_log('after'); trigger_error('warned', E_USER_WARNING); say('done');`,
		}, nil)
		got := ts.get("/all.php")
		ts.said("done")
		ts.idleWorkers(2)
		log := ts.log.waitFor(t, "warned")
		token := ts.pool().FinishToken()
		if len(got.body) < 1000 || strings.Contains(got.body, token) || strings.Contains(log, token) || strings.Contains(ts.access.String(), token) {
			t.Errorf("the token can be read")
		}
		// What the script says around the end of its response is logged as ever.
		for _, want := range []string{"text=before", "text=after", "warned"} {
			if !hasLine(log, want, "all.php", "request_id=") {
				t.Errorf("no record of %q in:\n%s", want, log)
			}
		}
	})
}

func TestFinishRequestWithBuffersAndAPrependFileOfTheOperator(t *testing.T) {
	scripts := map[string]string{
		"lib/prepend.php": `<?php $prepended = ($prepended ?? 0) + 1; ob_start(fn ($s) => strtoupper($s));`,
		"buffers.php": finishLib + `ob_start(fn ($s) => "[$s]"); echo 'prepended ', $prepended, ' '; ob_start(); echo 'inner';
			say('finish ' . var_export(fastcgi_finish_request(), true)); echo 'late'; say('level ' . ob_get_level()); say('done');`,
		"gzip.php": finishLib + `echo str_repeat('compressed ', 1000); say('finish ' . var_export(fastcgi_finish_request(), true)); echo 'late'; await('go'); say('done');`,
	}
	eachEngine(t, func(t *testing.T, engine string) {
		t.Run("callbacks", func(t *testing.T) {
			ts := startServer(t, engine, scripts, func(c *Config) {
				c.Pools[0].PHPValue = []string{"auto_prepend_file=" + filepath.Join(c.Sites[0].Root, "lib/prepend.php"), "output_buffering=65536"}
			})
			if got := ts.get("/buffers.php").body; got != "[PREPENDED 1 INNER]" {
				t.Errorf("got %q", got)
			}
			if notes := ts.said("done"); !strings.Contains(notes, "finish true\n") || !strings.Contains(notes, "level 0\n") {
				t.Errorf("notes:\n%s", notes)
			}
			ts.idleWorkers(2)
		})
		t.Run("zlib", func(t *testing.T) {
			ts := startServer(t, engine, scripts, func(c *Config) { c.Pools[0].PHPValue = []string{"zlib.output_compression=On"} })
			got := ts.get("/gzip.php", "Accept-Encoding", "gzip")
			zr, err := gzip.NewReader(bytes.NewReader([]byte(got.body)))
			if err != nil || got.Header.Get("Content-Encoding") != "gzip" {
				t.Fatalf("got %v %v", got.Header, err)
			}
			text, err := io.ReadAll(zr)
			if err != nil || string(text) != strings.Repeat("compressed ", 1000) {
				t.Errorf("got %d bytes, %v", len(text), err)
			}
			ts.touch("go")
			if notes := ts.said("done"); !strings.Contains(notes, "finish true\n") {
				t.Errorf("notes:\n%s", notes)
			}
			ts.idleWorkers(2)
		})
	})
}

func TestFailureBehindTheResponseIsLoggedAndTheWorkerReplaced(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"kill.php":  finishLib + `echo 'answer'; fastcgi_finish_request(); posix_kill(getmypid(), SIGKILL);`,
			"throw.php": finishLib + `echo 'answer'; fastcgi_finish_request(); throw new LogicException('behind');`,
		}, nil)
		before := ts.idleWorkers(2)
		for _, script := range []string{"/throw.php", "/kill.php"} {
			if got := ts.get(script); got.StatusCode != 200 || got.body != "answer" {
				t.Errorf("%s: got %d %q", script, got.StatusCode, got.body)
			}
		}
		ts.log.waitForLine(t, "worker ended", "kill.php", "SIGKILL")
		ts.log.waitForLine(t, "Uncaught LogicException: behind", "throw.php", "level=ERROR")
		eventually(t, "the worker is replaced", func() bool { return !slices.Equal(ts.idleWorkers(2), before) })
	})
}

func TestClientThatLeavesAfterItsResponseDoesNotEndTheScript(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		patient.UnderLimit(t, 500*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
			ts := startServer(t, engine, map[string]string{
				"finish.php": finishLib + `echo 'answer'; fastcgi_finish_request(); say('finished'); await('go'); echo str_repeat('late', 50000); flush(); say('aborted ' . connection_aborted()); say('done');`,
			}, func(c *Config) { c.Pools[0].RequestTerminateTimeout = limit })
			got := ts.get("/finish.php", "Connection", "close")
			if got.StatusCode == http.StatusGatewayTimeout {
				return true
			}
			if got.body != "answer" {
				t.Fatalf("got %q", got.body)
			}
			ts.said("finished")
			// request_terminate_timeout is over too: it counts until the response's end (request_terminate_timeout_track_finished).
			<-time.After(limit * 3 / 2)
			ts.touch("go")
			if notes := ts.said("done"); !strings.Contains(notes, "aborted 0\n") {
				t.Errorf("notes:\n%s", notes)
			}
			ts.idleWorkers(2)
			return false
		})
	})
}

func TestFinishRequestLeavesTheScriptItsBody(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		dir := t.TempDir()
		ts := startServer(t, engine, map[string]string{
			"finish.php": finishLib + `echo 'ok'; fastcgi_finish_request(); await('go'); say(sha1(file_get_contents('php://input')));`,
			// This one streams before, so that its response leaves by the other way.
			"stream.php": finishLib + `while (ob_get_level()) { ob_end_flush(); } echo 'o'; flush(); await('begin'); echo 'k';
				fastcgi_finish_request(); await('go'); say(sha1(file_get_contents('php://input')) . ' streamed');`,
		}, func(c *Config) { c.SpoolDir = dir; c.Pools[0].PHPValue = []string{"enable_post_data_reading=0"} })
		workers := ts.idleWorkers(2)
		body := sizedBody(5 << 20)
		// Streaming begins gatherTime after the first piece; a script that still waits proves it.
		begun := make(chan answer, 1)
		go func() {
			begun <- ts.do(http.MethodPut, "/stream.php", bytes.NewReader(body), "Content-Type", "application/octet-stream")
		}()
		if got := ts.do(http.MethodPut, "/finish.php", bytes.NewReader(body), "Content-Type", "application/octet-stream"); got.StatusCode != 200 || got.body != "ok" {
			t.Errorf("got %d %q", got.StatusCode, got.body)
		}
		ts.touch("begin")
		if got := <-begun; got.StatusCode != 200 || got.body != "ok" {
			t.Errorf("got %d %q", got.StatusCode, got.body)
		}
		ts.touch("go")
		ts.said(sha1Hex(body))
		ts.said(sha1Hex(body) + " streamed")
		if now := ts.idleWorkers(2); !slices.Equal(now, workers) {
			t.Errorf("workers were %v and are %v", workers, now)
		}
		eventually(t, "the files are given back", func() bool { return ts.spools.Bodies.Taken() == 0 && len(openSpoolFiles(t, dir)) == 0 })
	})
}

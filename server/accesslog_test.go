package server

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/server/accesslog"
)

var updateGolden = flag.Bool("update", false, "write the golden files of the access log anew")

// accessFiles is a site whose requests end in every way.
var accessFiles = map[string]string{
	"ok.php": `<?php echo 'ok';`, "gate.php": gateScript, "a.txt": "static", "sub/a.txt": "x",
	"kill.php": `<?php posix_kill(getmypid(), 9); sleep(60);`,
	"begun.php": `<?php echo str_repeat('x', 70000); ob_get_level() && ob_flush(); flush();
		while (!file_exists(__DIR__ . '/end')) { usleep(1000); clearstatcache(); } posix_kill(getmypid(), 9); sleep(60);`,
	"exit.php":   `<?php exit(255);`,
	"oom.php":    `<?php ini_set('display_errors', '0'); ini_set('memory_limit', '4M'); $x = str_repeat('x', 8 << 20);`,
	"head.php":   `<?php header('X-Big: ' . str_repeat('a', 70000));`,
	"stream.php": `<?php while (ob_get_level()) { ob_end_flush(); } for ($i = 0; $i < 3; $i++) { echo str_repeat('x', 1000); flush(); usleep(3000); }`,
}

func TestAccessLogHasExactlyOneLineForEveryRequest(t *testing.T) {
	t.Parallel()
	const host = " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
	tests := []struct{ name, request, want string }{
		{"script", "GET /ok.php?n1" + host + "\r\n", `"GET /ok.php?n1 HTTP/1.1" 200 2`},
		{"streamed script", "GET /stream.php?n2" + host + "\r\n", `"GET /stream.php?n2 HTTP/1.1" 200 3000`},
		{"static", "GET /a.txt?n3" + host + "\r\n", `"GET /a.txt?n3 HTTP/1.1" 200 6`},
		{"HEAD", "HEAD /a.txt?n4" + host + "\r\n", `"HEAD /a.txt?n4 HTTP/1.1" 200 0`},
		{"not modified", "GET /a.txt?n5" + host + "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n\r\n", `"GET /a.txt?n5 HTTP/1.1" 304 0`},
		{"404", "GET /none?n6" + host + "\r\n", `"GET /none?n6 HTTP/1.1" 404 `},
		{"redirect", "GET /sub?n7" + host + "\r\n", `"GET /sub?n7 HTTP/1.1" 301 0`},
		{"405", "TRACE /?n8" + host + "\r\n", `"TRACE /?n8 HTTP/1.1" 405 `},
		{"OPTIONS of the server", "OPTIONS *" + host + "\r\n", `"OPTIONS * HTTP/1.1" 204 0`},
		{"bad path", "GET /%00?n9" + host + "\r\n", `"GET /%00?n9 HTTP/1.1" 400 `},
		{"413", "POST /ok.php?n10" + host + "Content-Length: 2000\r\n\r\n" + strings.Repeat("x", 2000), `"POST /ok.php?n10 HTTP/1.1" 413 `},
		{"worker killed", "POST /kill.php?n11" + host + "\r\n", `"POST /kill.php?n11 HTTP/1.1" 502 `},
		{"worker killed, and the next that it was repeated on", "GET /kill.php?n12" + host + "\r\n", `"GET /kill.php?n12 HTTP/1.1" 502 `},
		{"exit(255)", "POST /exit.php?n14" + host + "\r\n", `"POST /exit.php?n14 HTTP/1.1" 200 0`},
		{"out of memory", "GET /oom.php?n15" + host + "\r\n", `"GET /oom.php?n15 HTTP/1.1" 500 `},
		{"bad response head", "GET /head.php?n16" + host + "\r\n", `"GET /head.php?n16 HTTP/1.1" 200 0`},
		{"refused by net/http: no Host", "GET / HTTP/1.1\r\n\r\n", `"GET / HTTP/1.1" 400 `},
		{"refused by net/http: not HTTP", "\x16\x03\x01\r\n\r\n", `"\x16\x03\x01 - -" 400 `},
		{"refused by net/http: header flood", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-A: b\r\n", 10_000) + "\r\n", `"GET / HTTP/1.1" 431 `},
		{"refused by net/http: transfer encoding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", `"POST / HTTP/1.1" 501 `},
		{"refused by net/http: version", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", `"GET / HTTP/9.9" 505 `},
		{"refused by net/http: expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\nx", `"POST / HTTP/1.1" 417 `},
		{"refused by net/http: second of a connection", "GET /ok.php?n17 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", `"GET / HTTP/1.1" 400 `},
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, accessFiles, func(c *Config) { c.AccessFormat, c.Sites[0].MaxBodySize = accesslog.Common, 1000 })
		seen := 0
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				_ = wire(t, ts, tt.request)
				lines := 1
				if strings.Contains(tt.request, "n17") {
					lines = 2
				}
				seen += lines
				eventually(t, "the line is there", func() bool { return strings.Count(ts.access.String(), "\n") >= seen })
				all := strings.Split(ts.access.String(), "\n")
				if n := len(all) - 1; n != seen {
					t.Fatalf("%d lines, want %d:\n%s", n, seen, ts.access)
				}
				if got := all[seen-1]; !strings.HasPrefix(got, "127.0.0.1 - - [") || !strings.Contains(got, tt.want) {
					t.Errorf("got %s\nwant %s", got, tt.want)
				}
			})
		}
		t.Run("worker killed in the middle of the response", func(t *testing.T) {
			conn := connect(t, ts)
			send(t, conn, "GET /begun.php HTTP/1.1\r\nHost: a\r\n\r\n")
			r := bufio.NewReader(conn)
			if _, err := r.Peek(1); err != nil {
				t.Fatal(err)
			}
			testfiles.Put(t, ts.root, map[string]string{"end": ""})
			if text, err := io.ReadAll(r); err != nil || strings.HasSuffix(string(text), "0\r\n\r\n") {
				t.Errorf("the response looks complete: %v", err)
			}
			ts.access.waitFor(t, `"GET /begun.php HTTP/1.1" 200 70000`)
		})
		t.Run("the client left while the script ran: 499", func(t *testing.T) {
			g := gate(t, ts, "gone")
			g.running(t, ts)
			g.quit()
			ts.access.waitFor(t, `"GET /gate.php?g=gone HTTP/1.1" 499 0`)
			g.open(t, ts)
		})
		t.Run("the script that goes on does not add a line", func(t *testing.T) {
			eventually(t, "the script ends", func() bool { return ts.pool().Stats().Idle == 2 })
			_ = wire(t, ts, "GET /ok.php?last"+host+"\r\n")
			ts.access.waitFor(t, "?last ")
			ts.access.waitForLines(t, seen+3, "")
		})
	})
}

func TestAccessLogTimesArePlausible(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, accessFiles, func(c *Config) { c.AccessFormat, c.Pools[0].MaxChildren = accesslog.JSON, 1 })
		first := gate(t, ts, "first")
		first.running(t, ts)
		second := gate(t, ts, "second")
		waiting(t, ts, 1)
		atLeast := time.Now()
		eventually(t, "some time passes", func() bool { return time.Since(atLeast) > 50*time.Millisecond })
		queued := time.Since(atLeast).Seconds()
		first.open(t, ts)
		first.finish(t)
		second.running(t, ts)
		run := time.Now()
		eventually(t, "some time passes", func() bool { return time.Since(run) > 50*time.Millisecond })
		ran := time.Since(run).Seconds()
		second.open(t, ts)
		second.finish(t)
		ts.access.waitFor(t, "g=first")
		ts.access.waitFor(t, "g=second")
		_ = askWire(t, ts, "GET", "/a.txt")
		ts.access.waitFor(t, "/a.txt")
		records := map[string]accesslog.JSONRecord{}
		for line := range strings.Lines(ts.access.String()) {
			var rec accesslog.JSONRecord
			if err := json.Unmarshal([]byte(line), &rec); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			records[rec.URI] = rec
		}
		a, b, c := records["/gate.php?g=first"], records["/gate.php?g=second"], records["/a.txt"]
		if a.PHPTime < queued || a.QueueTime+a.PHPTime > a.Duration {
			t.Errorf("first: queue %v, php %v, in all %v", a.QueueTime, a.PHPTime, a.Duration)
		}
		if b.QueueTime < queued || b.PHPTime < ran || b.QueueTime+b.PHPTime > b.Duration {
			t.Errorf("second: queue %v (at least %v), php %v (at least %v), in all %v", b.QueueTime, queued, b.PHPTime, ran, b.Duration)
		}
		if c.QueueTime != 0 || c.PHPTime != 0 || c.PID != 0 || c.Pool != "" {
			t.Errorf("static: %+v", c)
		}
		if pids := ts.pids(); len(pids) != 1 || b.PID != pids[0] || b.Pool != "www" || b.Script != filepath.Join(ts.root, "gate.php") {
			t.Errorf("second: %+v, workers %v", b, pids)
		}
	})
}

// normal are what differs from run to run.
var normal = []struct{ pattern, with string }{
	{`\[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [-+]\d{4}\]`, "[TIME]"},
	{`" \d+\.\d{4} queue=\d+\.\d{4} php=\d+\.\d{4} pid=\d+ id=[0-9a-f]{32}`, `" SECONDS queue=SECONDS php=SECONDS pid=PID id=ID`},
	{`" \d+\.\d{4} queue=0\.0000 php=0\.0000 pid=- id=([0-9a-f]{32}|-)`, `" SECONDS queue=0.0000 php=0.0000 pid=- id=ID`},
	{`"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^"]*"`, `"time":"TIME"`},
	{`"(duration|queue_time|php_time)":[0-9][0-9.e-]*`, `"$1":SECONDS`},
	{`"pid":\d+`, `"pid":PID`},
	{`"request_id":"[0-9a-f]{32}"`, `"request_id":"ID"`},
}

func TestAccessLogFormatsAreGolden(t *testing.T) {
	t.Parallel()
	user := base64.StdEncoding.EncodeToString([]byte("joe \"x\"\n127.0.0.9 - - [forged:secret"))
	requests := []string{
		"GET /ok.php?a=b&c=%0a%22 HTTP/1.1\r\nHost: site.test\r\nUser-Agent: agent/1 (x; y)\r\nReferer: https://site.test/a?b\r\nConnection: close\r\n\r\n",
		"HEAD /a.txt HTTP/1.0\r\n\r\n",
		"POST /none HTTP/1.1\r\nHost: site.test\r\nUser-Agent: curl/8\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		// CWE-117: what a client sends can neither end a field nor begin a line.
		"GET /a.txt?\"\\\xff HTTP/1.1\r\nHost: site.test\r\nUser-Agent: \" 200 \\ \xc3\xbc\x80\tx\r\nReferer: \"-\" \xe2\x80\xa8\r\nAuthorization: Basic " + user + "\r\nConnection: close\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	}
	for _, format := range []string{accesslog.Common, accesslog.Combined, accesslog.JSON} {
		t.Run(format, func(t *testing.T) {
			ts := startServer(t, engines[1], accessFiles, func(c *Config) { c.AccessFormat, c.ErrorPages = format, ErrorPagesPlain })
			for i, request := range requests {
				_ = wire(t, ts, request)
				eventually(t, "the line is there", func() bool { return strings.Count(ts.access.String(), "\n") == i+1 })
			}
			got := strings.ReplaceAll(ts.access.String(), ts.root, "ROOT")
			for _, n := range normal {
				got = regexp.MustCompile(n.pattern).ReplaceAllString(got, n.with)
			}
			for i := range len(got) {
				if c := got[i]; c < ' ' && c != '\n' || format != accesslog.JSON && c >= 0x7f {
					t.Errorf("byte %#x in the log", c)
				}
			}
			golden := filepath.Join("testdata", "access_"+format+".golden")
			if *updateGolden {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("got (%v)\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

// net/http answers these by itself, in the version of the request.
func TestAccessLogHasTheRequestsThatNetHTTPRefuses(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], accessFiles, func(c *Config) { c.AccessFormat = accesslog.Common })
	for i, tt := range []struct{ request, status string }{
		{"GET /a.txt HTTP/1.1\r\nHost: a\r\nExpect: foo\r\n\r\n", "417"},
		{"GET /a.txt HTTP/1.0\r\nExpect: foo\r\n\r\n", "417"},
		{"GET /a.txt HTTP/1.1\r\n\r\n", "400"},
		{"GET /a.txt HTTP/9.9\r\nHost: a\r\n\r\n", "505"},
	} {
		if got := wire(t, ts, tt.request); !strings.Contains(got[:min(len(got), 20)], " "+tt.status+" ") {
			t.Errorf("%q: got %q", tt.request, got)
		}
		eventually(t, "the line is there", func() bool { return strings.Count(ts.access.String(), "\n") == i+1 })
		head, _, _ := strings.Cut(tt.request, "\r\n")
		if lines := strings.Split(ts.access.String(), "\n"); !strings.Contains(lines[i], `"`+head+`" `+tt.status+" ") {
			t.Errorf("%q: line %q", tt.request, lines[i])
		}
	}
}

func TestAccessLogFileIsAppendedAndPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("server", func(t *testing.T) {
		ts := startServer(t, engines[1], accessFiles, func(c *Config) { c.AccessLog, c.AccessFormat = path, accesslog.Common })
		_ = askWire(t, ts, "GET", "/a.txt")
	})
	text, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(text, []byte("old\n127.0.0.1 ")) || bytes.Count(text, []byte("\n")) != 2 {
		t.Errorf("after the stop: %q %v", text, err)
	}
}

func TestAccessLogKeepsUpWithPipelining(t *testing.T) {
	t.Parallel()
	const n = 200
	ts := startServer(t, engines[1], accessFiles, func(c *Config) { c.AccessFormat = accesslog.Common })
	var requests strings.Builder
	for i := range n {
		fmt.Fprintf(&requests, "GET /a.txt?p%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
	}
	conn := connect(t, ts)
	go io.WriteString(conn, requests.String()) //nolint:errcheck // the answers show it
	r := bufio.NewReader(conn)
	for i := range n {
		if got := readAnswer(t, r, "GET"); got.body != "static" {
			t.Fatalf("answer %d: %d %q", i, got.StatusCode, got.body)
		}
	}
	lines := strings.Split(ts.access.waitFor(t, fmt.Sprintf("?p%d ", n-1)), "\n")
	for i := range n {
		if !strings.Contains(lines[i], fmt.Sprintf("?p%d ", i)) {
			t.Fatalf("line %d: %s", i, lines[i])
		}
	}
}

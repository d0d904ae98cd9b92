package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/server/accesslog"
)

// cutScripts run until they are ended; each says that it runs. The first has told its client nothing yet, the second has begun to.
var cutScripts = map[string]string{
	"before.php": finishLib + `say('before'); while (true) sleep(1000);`,
	"during.php": finishLib + `echo 'the beginning'; while (ob_get_level()) ob_end_flush(); flush(); say('during'); while (true) sleep(1000);`,
	"other.php":  `<?php echo 'other';`,
}

// stopNow stops the server and has it wait for nothing.
func (ts *testServer) stopNow() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ts.Stop(ctx)
}

// It is not the client that ends these requests.
func TestRequestThatAStopCutsOffIsNotLoggedAsTheClientsDoing(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, cutScripts, nil)
		send := func(request string) *bufio.Reader {
			conn := ts.dial()
			t.Cleanup(func() { conn.Close() })
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			return bufio.NewReader(conn)
		}
		before := send("GET /before.php HTTP/1.1\r\nHost: a\r\n\r\n")
		during := send("GET /during.php HTTP/1.1\r\nHost: a\r\n\r\n")
		ts.said("before")
		ts.said("during")
		if _, err := during.Peek(1); err != nil { // what its script says is on its way before it comes to the client
			t.Fatal(err)
		}
		queued := send("GET /other.php?queued HTTP/1.1\r\nHost: a\r\n\r\n")
		eventually(t, "a request waits for a worker", func() bool { return ts.pool().Stats().Waiting == 1 })
		upload := send("POST /other.php?upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
		if line, err := upload.ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") { // its body is waited for
			t.Fatalf("got %q, %v", line, err)
		}
		if _, err := upload.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		ts.stopNow()
		for request, want := range map[string]string{"/before.php ": "503", "/during.php ": "200", "/other.php?queued ": "503", "/other.php?upload ": "503"} {
			if log := ts.access.String(); !hasLine(log, request, `" `+want+` `) {
				t.Errorf("no line of %s with %s in:\n%s", request, want, log)
			}
		}
		if log := ts.log.String(); !hasLine(log, "level=ERROR", "running requests were cut off", "requests=4") {
			t.Errorf("the log does not say how many were cut off:\n%s", log)
		}
		for name, from := range map[string]*bufio.Reader{"before": before, "queued": queued, "upload": upload} {
			// On a machine that is too slow for that the connection has been closed instead.
			if resp, err := http.ReadResponse(from, nil); err == nil && resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s got %s", name, resp.Status)
			}
		}
		resp, err := http.ReadResponse(during, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("the response looks complete")
		}
	})
}

func TestHTTP2RequestThatAStopCutsOffGets503(t *testing.T) {
	t.Parallel()
	ts, ca := startTLS(t, cutScripts, nil)
	answered := make(chan string, 1)
	go func() {
		status, _ := askHTTP2(t, ts, ca, [2]string{":method", "GET"}, [2]string{":scheme", "https"}, [2]string{":authority", "a.test"}, [2]string{":path", "/before.php"})
		answered <- status
	}()
	ts.said("before")
	ts.stopNow()
	if status := <-answered; status != "503" && status != "0" { // 0: the connection was closed, on a machine that was too slow
		t.Errorf("got %s", status)
	}
	if log := ts.access.String(); !hasLine(log, "GET /before.php HTTP/2.0", `" 503 `) {
		t.Errorf("no line with 503 in:\n%s", log)
	}
}

func TestResponderRequestThatAStopCutsOffIsNotLoggedAsTheWebServersDoing(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{"before": "503", "during": "200"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				socket := ""
				ts := startServer(t, engine, cutScripts, func(c *Config) {
					base := filepath.Dir(c.Sites[0].Root)
					socket = filepath.Join(base, "fpm.sock")
					c.Responders = []ResponderConfig{{Pool: "www", Listen: socket, Access: accesslog.FPMConfig{File: filepath.Join(base, "access.log"), Format: "%s"}}}
				})
				conn, err := net.Dial("unix", socket)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := conn.Write(oneFastCGIRequest(filepath.Join(ts.root, script+".php"))); err != nil {
					t.Fatal(err)
				}
				ts.said(script)
				answer := bufio.NewReader(conn)
				if script == "during" {
					if _, err := answer.Peek(1); err != nil {
						t.Fatal(err)
					}
				}
				ts.stopNow()
				if log := ts.noteIn("access.log"); log != want+"\n" {
					t.Errorf("the access log has %q, want %s", log, want)
				}
				if log := ts.log.String(); !hasLine(log, "level=ERROR", "running requests were cut off", "requests=1") {
					t.Errorf("the log does not say how many were cut off:\n%s", log)
				}
				got, err := io.ReadAll(answer)
				if text := string(got); err == nil && script == "before" && text != "" && !strings.Contains(text, "Status: 503 ") {
					t.Errorf("the web server got %q", text)
				}
			})
		})
	}
}

func TestStopThatCutsNothingOffSaysNothing(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, cutScripts, nil)
		if got := ts.get("/other.php"); got.body != "other" {
			t.Fatalf("got %d %q", got.StatusCode, got.body)
		}
		ts.stopNow()
		if log := ts.log.String(); strings.Contains(log, "cut off") {
			t.Errorf("the log:\n%s", log)
		}
		if log := ts.access.String(); strings.Count(log, "\n") != 1 {
			t.Errorf("the access log:\n%s", log)
		}
	})
}

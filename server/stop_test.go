package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// stopScripts tell how long they ran and whether a signal cut their sleep short.
var stopScripts = map[string]string{
	"index.php":  `<?php echo 'hello';`,
	"robots.txt": "served without PHP",
	"sleep.php": `<?php touch(dirname(__DIR__) . '/' . $_GET['mark']); $t = hrtime(true); $left = sleep((int) ($_GET['s'] ?? 1)); $ms = (hrtime(true) - $t) / 1e6;
		while (isset($_GET['until']) && !file_exists(dirname(__DIR__) . '/' . $_GET['until'])) { usleep(2000); clearstatcache(); }
		echo 'left=', $left, ' ms=', (int) $ms, ' ', str_repeat('x', 100000), ' end';`,
	"tail.php": `<?php echo 'answer'; fastcgi_finish_request(); touch(dirname(__DIR__) . '/' . $_GET['mark']); sleep(1); touch(dirname(__DIR__) . '/tail-done');`,
}

// patientStop has a stop wait for requests for as long as they take.
const patientStop = "PHPSERVE_PROCESS_CONTROL_TIMEOUT=24h"

// exit waits until phpserve has ended and checks that it left as it should: code 0, nothing behind.
func (c *command) exit() {
	c.t.Helper()
	select {
	case <-c.exited:
	case <-patient.Late():
		c.t.Fatal("phpserve does not end")
	}
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		c.t.Errorf("phpserve ended with %v", c.cmd.ProcessState)
	}
	if left := c.php(); len(left) > 0 {
		c.t.Errorf("these PHP processes are left: %v", left)
	}
	if left, err := filepath.Glob(filepath.Join(c.tmp, "*")); err != nil || len(left) > 0 {
		c.t.Errorf("left in the temporary folder: %v %v", left, err)
	}
}

// later is the answer of a request that runs meanwhile.
type later struct {
	answer
	err  error
	took time.Duration
}

// begin sends a request and waits until its script runs.
func (c *command) begin(path, mark string) <-chan later {
	c.t.Helper()
	got := make(chan later, 1)
	client := newClient(c.t)
	go func() {
		start := time.Now()
		a, err := c.try(client, http.MethodGet, path+"mark="+mark, nil)
		got <- later{a, err, time.Since(start)}
	}()
	eventually(c.t, path+" runs", func() bool {
		_, err := os.Stat(c.beside(mark))
		return err == nil
	})
	return got
}

func TestSignalLetsRunningRequestsFinishAndThenEnds(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				// A port of its own: another program that listens on it after phpserve would take the connections that are to be refused.
				c := startCommand(t, engine, stopScripts, []string{"--listen", "127.0.0.1:" + strconv.Itoa(patient.Port(t))}, []string{patientStop})
				kept := c.dial() // an idle kept-alive connection
				defer kept.Close()
				fmt.Fprintf(kept, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				reader := bufio.NewReader(kept)
				resp, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					t.Fatal(err)
				}
				slow := c.begin("/sleep.php?s=1&until=go&", "a")
				sendSignal(t, c.cmd.Process.Pid, sig)
				eventually(t, "new connections are refused", func() bool {
					conn, err := net.Dial("tcp", c.addr)
					if err == nil {
						conn.Close()
					}
					return err != nil
				})
				select {
				case <-c.exited:
					t.Error("phpserve ended before its request")
				default:
				}
				c.touch("go")
				if _, err := reader.ReadByte(); err != io.EOF {
					t.Errorf("the idle connection was not closed: %v", err)
				}
				a := <-slow
				if a.err != nil || a.StatusCode != 200 || !strings.HasSuffix(a.body, "x end") {
					t.Fatalf("the running request got %v, %v", a.Response, a.err)
				}
				var left, ms int
				if _, err := fmt.Sscanf(a.body, "left=%d ms=%d", &left, &ms); err != nil || left != 0 || ms < 990 {
					t.Errorf("its sleep was cut short: %.40q", a.body)
				}
				c.exit()
				if text := c.access.String(); !hasLine(text, "GET /sleep.php", `" 200 `) {
					t.Errorf("no access line of the last request in:\n%s", text)
				}
			})
		})
	}
}

func TestQueuedRequestIsServedBeforeTheEnd(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		c := startCommand(t, engine, stopScripts, []string{"--workers", "1"}, []string{patientStop})
		first := c.begin("/sleep.php?s=0&until=go&", "a")
		second := make(chan later, 1)
		client := newClient(t)
		conn := make(chan struct{}) // closed when the second request is on its way
		go func() {
			raw := c.dial()
			defer raw.Close()
			fmt.Fprintf(raw, "GET /index.php HTTP/1.1\r\nHost: x\r\n\r\n")
			close(conn)
			resp, err := http.ReadResponse(bufio.NewReader(raw), nil)
			second <- later{answer: answer{Response: resp}, err: err}
		}()
		<-conn
		// Accepted and read before the signal: requests of one listener are accepted in order.
		if a, err := c.try(client, http.MethodGet, "/robots.txt", nil); err != nil || a.StatusCode != 200 {
			t.Fatalf("got %v, %v", a.Response, err)
		}
		sendSignal(t, c.cmd.Process.Pid, syscall.SIGTERM)
		c.log.waitFor(t, "msg=stopping")
		c.touch("go")
		if a := <-first; a.err != nil || a.StatusCode != 200 {
			t.Errorf("the running request got %v, %v", a.Response, a.err)
		}
		if a := <-second; a.err != nil || a.StatusCode != 200 {
			t.Errorf("the waiting request got %v, %v", a.Response, a.err)
		}
		c.exit()
	})
}

func TestProcessControlTimeoutEndsWhatRunsLonger(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		c := startCommand(t, engine, stopScripts, nil, []string{"PHPSERVE_PROCESS_CONTROL_TIMEOUT=1s"})
		slow := c.begin("/sleep.php?s=100000&", "a")
		begin := time.Now()
		sendSignal(t, c.cmd.Process.Pid, syscall.SIGTERM)
		a := <-slow
		if a.err == nil && a.StatusCode < 500 {
			t.Errorf("the request that was ended got %v", a.Response)
		}
		if d := time.Since(begin); d < 900*time.Millisecond {
			t.Errorf("it was ended after %v already", d)
		}
		c.exit()
		if text := c.access.String(); !hasLine(text, "GET /sleep.php", `" 503 `) {
			t.Errorf("no access line with 503 of the request that was ended in:\n%s", text)
		}
		c.log.waitForLine(t, "running requests were cut off", "requests=1")
	})
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		c := startCommand(t, engine, stopScripts, nil, []string{"PHPSERVE_PROCESS_CONTROL_TIMEOUT=24h"})
		slow := c.begin("/sleep.php?s=100000&", "a")
		sendSignal(t, c.cmd.Process.Pid, syscall.SIGTERM)
		c.log.waitFor(t, "msg=stopping")
		select {
		case <-c.exited:
			t.Fatal("the first signal ended it")
		default:
		}
		c.log.waitFor(t, "to_end_at_once") // a second signal in the first half second is taken for the first one
		sendSignal(t, c.cmd.Process.Pid, syscall.SIGTERM)
		c.exit()
		if a := <-slow; a.err == nil && a.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("the request that was ended got %v", a.Response)
		}
		if text := c.access.String(); !hasLine(text, "GET /sleep.php", `" 503 `) {
			t.Errorf("no access line with 503 of the request that was ended in:\n%s", text)
		}
		c.log.waitForLine(t, "running requests were cut off", "requests=1")
	})
}

func TestScriptBehindItsResponseIsWaitedFor(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		c := startCommand(t, engine, stopScripts, nil, []string{patientStop})
		a := <-c.begin("/tail.php?", "a")
		if a.err != nil || a.body != "answer" {
			t.Fatalf("got %q, %v", a.body, a.err)
		}
		sendSignal(t, c.cmd.Process.Pid, syscall.SIGTERM)
		c.exit()
		if _, err := os.Stat(c.beside("tail-done")); err != nil {
			t.Errorf("the script was not let finish: %v", err)
		}
	})
}

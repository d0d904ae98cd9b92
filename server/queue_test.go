package server

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/manager"
)

// gateScript runs until its gate, a file, is there; it says so with another one.
const gateScript = `<?php $g = basename($_GET['g']); touch(__DIR__ . "/in-$g");
while (!file_exists(__DIR__ . "/gate-$g")) { usleep(1000); clearstatcache(); } file_put_contents(__DIR__ . '/order', "$g\n", FILE_APPEND); echo $g;`

// gated is a request that runs or waits.
type gated struct {
	name string
	r    *bufio.Reader
	quit func()
}

// gate starts a request for gateScript.
func gate(t *testing.T, ts *testServer, name string) *gated {
	t.Helper()
	conn := connect(t, ts)
	send(t, conn, "GET /gate.php?g="+name+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	return &gated{name, bufio.NewReader(conn), func() { conn.Close() }}
}

// running waits until the script runs.
func (g *gated) running(t *testing.T, ts *testServer) {
	t.Helper()
	eventually(t, g.name+" runs", func() bool { _, err := os.Stat(filepath.Join(ts.root, "in-"+g.name)); return err == nil })
}

// open lets the script go on.
func (g *gated) open(t *testing.T, ts *testServer) {
	t.Helper()
	testfiles.Put(t, ts.root, map[string]string{"gate-" + g.name: ""})
}

// finish waits for the answer of a script whose gate is open.
func (g *gated) finish(t *testing.T) {
	t.Helper()
	if got := readAnswer(t, g.r, "GET"); got.StatusCode != 200 || got.body != g.name {
		t.Errorf("%s: %d %q", g.name, got.StatusCode, got.body)
	}
}

// waiting waits until n requests are in the queue.
func waiting(t *testing.T, ts *testServer, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d requests wait", n), func() bool { return ts.pool().Stats().Waiting == n })
}

func TestQueueIsBoundedFairAndPassedByStaticFiles(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"gate.php": gateScript, "a.txt": "static"}, func(c *Config) {
			c.Pools[0].MaxChildren, c.Pools[0].QueueSize = 1, 4
		})
		var all []*gated
		for i := range 5 { // one runs, four wait, in this order
			g := gate(t, ts, fmt.Sprint("q", i))
			if i == 0 {
				g.running(t, ts)
			}
			waiting(t, ts, i)
			all = append(all, g)
		}
		t.Run("full queue answers 503 with Retry-After at once", func(t *testing.T) {
			got := askWire(t, ts, "GET", "/gate.php?g=late")
			if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
				t.Errorf("got %d, Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
			}
			if s := ts.pool().Stats(); s.QueueFull != 1 || s.Waiting != 4 {
				t.Errorf("stats: %+v", s)
			}
		})
		t.Run("static files are answered while all workers are busy", func(t *testing.T) {
			if got := askWire(t, ts, "GET", "/a.txt"); got.body != "static" {
				t.Errorf("got %d %q", got.StatusCode, got.body)
			}
			if got := askWire(t, ts, "GET", "/none"); got.StatusCode != 404 {
				t.Errorf("got %d", got.StatusCode)
			}
		})
		t.Run("a client that left while it waited is taken off the queue and never runs", func(t *testing.T) {
			all[2].quit()
			waiting(t, ts, 3)
		})
		t.Run("first come, first served", func(t *testing.T) {
			for i, g := range all {
				if i != 2 {
					g.running(t, ts)
					g.open(t, ts)
					g.finish(t)
				}
			}
			order, err := os.ReadFile(filepath.Join(ts.root, "order"))
			if want := "q0\nq1\nq3\nq4\n"; err != nil || string(order) != want {
				t.Errorf("order %q %v, want %q", order, err, want)
			}
			if _, err := os.Stat(filepath.Join(ts.root, "in-q2")); err == nil {
				t.Error("the script of a client that had left was run")
			}
		})
		for want, n := range map[string]int{`g=q2 HTTP/1.1" 499 0 `: 1, `g=late HTTP/1.1" 503 `: 1, `" 200 `: 5} {
			ts.access.waitForLines(t, n, want)
		}
		ts.access.waitForLines(t, 8, "HTTP/1.1") // and /none
	})
}

func TestQueueTimeoutAnswers503(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"gate.php": gateScript}, func(c *Config) {
			c.Pools[0].MaxChildren, c.Pools[0].QueueTimeout = 1, 100*time.Millisecond
		})
		first := gate(t, ts, "first")
		first.running(t, ts)
		got := askWire(t, ts, "POST", "/gate.php?g=late")
		if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
			t.Errorf("got %d, Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
		}
		if s := ts.pool().Stats(); s.QueueTimeouts != 1 || s.Waiting != 0 {
			t.Errorf("stats: %+v", s)
		}
		first.open(t, ts)
		first.finish(t)
	})
}

func TestQueueOfZeroRefusesAtOnce(t *testing.T) {
	t.Parallel()
	ts := startServer(t, manager.EngineSpawn, map[string]string{"gate.php": gateScript}, func(c *Config) {
		c.Pools[0].MaxChildren, c.Pools[0].QueueSize = 1, 0
	})
	first := gate(t, ts, "first")
	first.running(t, ts)
	if got := askWire(t, ts, "GET", "/gate.php?g=late"); got.StatusCode != 503 {
		t.Errorf("got %d", got.StatusCode)
	}
	first.open(t, ts)
	first.finish(t)
}

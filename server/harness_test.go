package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/site"
)

// engines are the two ways to make workers; tests of what PHP runs hold for both.
var engines = []string{manager.EngineZygote, manager.EngineSpawn}

// eachEngine runs a test once per engine.
func eachEngine(t *testing.T, test func(t *testing.T, engine string)) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, engine)
		})
	}
}

// eachEngineAlone is eachEngine for a test that is not parallel and in which requests meet the workers that they are expected to: where
// another server of this process leaves processes behind, a worker gets a new connection at the end of its request, and meanwhile
// another one takes the next.
func eachEngineAlone(t *testing.T, test func(t *testing.T, engine string)) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) { test(t, engine) })
	}
}

// testServer is a real server with real php-cgi on a loopback port.
type testServer struct {
	*Server
	t      *testing.T
	root   string // document root
	addr   string // HOST:PORT
	url    string // http://HOST:PORT
	log    *logBuffer
	access *logBuffer
}

// logBuffer collects what a server writes.
type logBuffer struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func newLogBuffer() *logBuffer { return &logBuffer{changed: make(chan struct{})} }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// waitFor waits until the text contains want and returns all of it.
func (b *logBuffer) waitFor(t *testing.T, want string) string {
	t.Helper()
	deadline := patient.Late()
	for {
		b.mu.Lock()
		text, changed := b.buf.String(), b.changed
		b.mu.Unlock()
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no %q in:\n%s", want, text)
		}
	}
}

// waitForLine waits until one line contains all of parts.
func (b *logBuffer) waitForLine(t *testing.T, parts ...string) {
	t.Helper()
	b.waitForNumber(t, 1, parts)
}

// waitForLines waits until n lines contain all of parts. More than n fail the test.
func (b *logBuffer) waitForLines(t *testing.T, n int, parts ...string) {
	t.Helper()
	if found := b.waitForNumber(t, n, parts); found > n {
		t.Errorf("%d lines with %q, want %d:\n%s", found, parts, n, b)
	}
}

// waitForNumber waits until at least n lines contain all of parts, and returns how many there are.
func (b *logBuffer) waitForNumber(t *testing.T, n int, parts []string) (found int) {
	t.Helper()
	deadline := patient.Late()
	for {
		b.mu.Lock()
		text, changed := b.buf.String(), b.changed
		b.mu.Unlock()
		found = 0
		for line := range strings.Lines(text) {
			if hasLine(line, parts...) {
				found++
			}
		}
		if found >= n {
			return found
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d lines with %q, want %d:\n%s", found, parts, n, text)
		}
	}
}

// testUser is whom PHP runs as when the tests run as root.
func testUser() string {
	if os.Geteuid() == 0 {
		return "www-data"
	}
	return ""
}

// testPHP finds the php-cgi of the machine; without one the tests fail.
func testPHP(t *testing.T) *manager.PHP {
	t.Helper()
	php, _, err := manager.FindPHP(t.Context(), "", ".")
	if err != nil {
		t.Fatalf("these tests need php-cgi (apt-get install php-cgi): %v", err)
	}
	return php
}

// makeRoot makes a document root that the workers' user can read and write.
func makeRoot(t *testing.T, files map[string]string) string {
	t.Helper()
	base, err := os.MkdirTemp("", "phpserve-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	root := filepath.Join(base, "public")
	for _, dir := range []string{base, root} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	testfiles.Put(t, root, files)
	return root
}

// startServer serves files with the given engine. change may change the configuration before the start; its first site
// and only pool are Sites[0] and Pools[0]. The server is stopped at the end of the test, which fails if anything of it
// is left.
func startServer(t *testing.T, engine string, files map[string]string, change func(*Config), before ...func(*Server)) *testServer {
	t.Helper()
	ts := &testServer{t: t, root: makeRoot(t, files), log: newLogBuffer(), access: newLogBuffer()}
	c := DefaultConfig()
	c.Listen = []string{"127.0.0.1:0"}
	// Tests of a limit set it; to all others no limit may matter.
	c.ProcessControlTimeout, c.HeaderTimeout, c.BodyTimeout = time.Hour, time.Hour, time.Hour
	c.WriteTimeout, c.IdleTimeout = time.Hour, time.Hour
	one := site.DefaultConfig()
	one.Root = ts.root
	pool := manager.DefaultPoolConfig(2)
	pool.Engine, pool.User = engine, testUser()
	pool.PM, pool.MaxChildren, pool.QueueTimeout = manager.PMStatic, 2, time.Hour
	c.Sites, c.Pools = []site.Config{one}, []manager.PoolConfig{pool}
	if change != nil {
		change(&c)
	}
	logger := slog.New(slog.NewTextHandler(ts.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := New(c, map[string]*manager.PHP{"www": testPHP(t)}, "test", logger, ts.access)
	if err != nil {
		t.Fatal(err)
	}
	for _, prepare := range before {
		prepare(s)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatalf("cannot start: %v\n%s", err, ts.log)
	}
	ts.Server, ts.addr = s, s.listeners[0].Addr().String()
	ts.url = "http://" + ts.addr
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // then scripts that are left are ended
		defer cancel()
		pids := ts.pids()
		s.Stop(ctx)
		for _, pid := range pids {
			if processExists(pid) {
				t.Errorf("worker %d is left after the stop", pid)
			}
		}
		if t.Failed() {
			t.Logf("log:\n%s", ts.log)
		}
	})
	return ts
}

// pool is the server's only pool.
func (ts *testServer) pool() *manager.Pool { return ts.Pool("www") }

// pids are the process ids of the workers.
func (ts *testServer) pids() (pids []int) {
	for _, w := range ts.pool().Workers() {
		pids = append(pids, w.PID)
	}
	return pids
}

// processExists says whether a process runs; one that only waits to be buried does not.
func processExists(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// eventually waits until ok returns true; it is for states that no event tells about, such as those of other processes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	patient.Eventually(t, what, ok)
}

// answer is a response with its whole body.
type answer struct {
	*http.Response
	body string
}

// get sends a GET for a path, which is sent as written.
func (ts *testServer) get(path string, header ...string) answer {
	ts.t.Helper()
	return ts.do(http.MethodGet, path, nil, header...)
}

// do sends a request; header is name, value, name, value ...
func (ts *testServer) do(method, path string, body io.Reader, header ...string) answer {
	ts.t.Helper()
	ctx, cancel := context.WithDeadline(ts.t.Context(), patient.LastMoment())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, ts.url, body)
	if err != nil {
		ts.t.Fatal(err)
	}
	req.URL.Opaque = path // as written; a path that begins with // needs wire_test.go
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Add(header[i], header[i+1])
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		ts.t.Fatalf("%s %s: %v\n%s", method, path, err, ts.log)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		ts.t.Fatalf("%s %s: cannot read the body: %v", method, path, err)
	}
	return answer{resp, string(text)}
}

// dial opens a plain connection to the server.
func (ts *testServer) dial() net.Conn {
	ts.t.Helper()
	conn, err := net.Dial("tcp", ts.addr)
	if err != nil {
		ts.t.Fatal(err)
	}
	return conn
}

package server

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
)

// holdScript runs until the file named by "until" exists, beside the document root.
const holdScript = `<?php
while (!file_exists(dirname(__DIR__) . '/' . $_GET['until'])) {
    usleep(2000);
    clearstatcache();
}
echo getmypid();`

// try sends a request and returns what went wrong, also in the middle of the body.
func (ts *testServer) try(client *http.Client, method, path string, body io.Reader) (answer, error) {
	ctx, cancel := context.WithDeadline(ts.t.Context(), patient.LastMoment())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, ts.url+path, body)
	if err != nil {
		return answer{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp, string(text)}, err
}

// newClient is a client that keeps its connections.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// beside is a path next to the document root, which scripts reach as dirname(__DIR__).
func (ts *testServer) beside(name string) string { return filepath.Join(filepath.Dir(ts.root), name) }

// touch makes a file next to the document root.
func (ts *testServer) touch(name string) {
	ts.t.Helper()
	if err := os.WriteFile(ts.beside(name), nil, 0o644); err != nil {
		ts.t.Fatal(err)
	}
}

// held is a request that keeps its worker busy.
type held struct {
	pid    int
	finish func() answer // lets the script end and returns the response
}

// hold sends a request for hold.php (holdScript) and returns once a worker runs it.
func (ts *testServer) hold(name string) held {
	ts.t.Helper()
	got := make(chan answer, 1)
	failed := make(chan error, 1)
	client := newClient(ts.t)
	uri := "/hold.php?until=" + name
	go func() {
		a, err := ts.try(client, http.MethodGet, uri, nil)
		if err != nil {
			failed <- err
			return
		}
		got <- a
	}()
	h := held{}
	eventually(ts.t, uri+" runs", func() bool {
		for _, w := range ts.pool().Workers() {
			if w.State == manager.StateBusy && w.Request.URI == uri {
				h.pid = w.PID
				return true
			}
		}
		return false
	})
	h.finish = func() answer {
		ts.t.Helper()
		ts.touch(name)
		select {
		case a := <-got:
			return a
		case err := <-failed:
			ts.t.Fatalf("%s: %v", uri, err)
		case <-patient.Late():
			ts.t.Fatalf("%s does not end", uri)
		}
		return answer{}
	}
	return h
}

// idleWorkers waits until n workers are idle and none is in any other state, and returns their pids.
func (ts *testServer) idleWorkers(n int) (pids []int) {
	ts.t.Helper()
	eventually(ts.t, fmt.Sprintf("%d idle workers", n), func() bool {
		pids = nil
		for _, w := range ts.pool().Workers() {
			if w.State != manager.StateIdle {
				return false
			}
			pids = append(pids, w.PID)
		}
		return len(pids) == n
	})
	slices.Sort(pids)
	return pids
}

// procStat are the fields of /proc/PID/stat behind the command's name.
func procStat(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	text := string(stat)
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
}

// parentOf is the process id of a process' parent; of a worker of the zygote engine, the zygote's.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	f := procStat(pid)
	if len(f) < 2 {
		t.Fatalf("process %d does not exist", pid)
	}
	return atoi(t, f[1])
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatalf("%q is not a number: %v", s, err)
	}
	return n
}

func TestIdleWorkersAreTakenLastInFirstOut(t *testing.T) {
	eachEngineAlone(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"pid.php": `<?php echo getmypid();`, "hold.php": holdScript}, func(c *Config) {
			c.Pools[0].MaxChildren = 4
		})
		first := ts.get("/pid.php").body
		for i := range 20 {
			if got := ts.get("/pid.php").body; got != first {
				t.Fatalf("request %d ran on %s instead of %s", i, got, first)
			}
		}
		// Another one is freed last, and so becomes the next.
		a := ts.hold("a")
		b := ts.hold("b")
		if strconv.Itoa(a.pid) != first || b.pid == a.pid {
			t.Fatalf("held %d and %d; the warm one was %s", a.pid, b.pid, first)
		}
		a.finish()
		b.finish()
		ts.idleWorkers(4)
		if got := ts.get("/pid.php").body; got != strconv.Itoa(b.pid) {
			t.Errorf("the last to become idle was %d, but the request ran on %s", b.pid, got)
		}
	})
}

func TestEveryWorkerHasExactlyOneConnection(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"pid.php": `<?php echo getmypid();`}, func(c *Config) {
			c.Pools[0].MaxChildren = 3
		})
		connections := func() map[int]int {
			n := map[int]int{}
			for _, pid := range ts.pids() {
				for fd, kind := range descriptors(t, pid) {
					if fd > 2 && strings.HasPrefix(kind, "socket:") {
						n[pid]++
					}
				}
			}
			return n
		}
		client := newClient(t)
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				if a, err := ts.try(client, http.MethodGet, "/pid.php", nil); err != nil || a.StatusCode != 200 {
					t.Errorf("got %v, %v", a, err)
				}
			})
		}
		wg.Wait()
		ts.idleWorkers(3)
		for pid, n := range connections() {
			if want := 2 + lifelines(); n != want { // the connection and the listening socket
				t.Errorf("worker %d holds %d sockets, want %d: %v", pid, n, want, descriptors(t, pid))
			}
		}
	})
}

// lifelines is how many sockets besides its connection a worker holds: see manager's lifeline.
func lifelines() int {
	if runtime.GOOS == "linux" {
		return 1
	}
	return 0
}

// descriptors are the open descriptors of a process and what they are.
func descriptors(t *testing.T, pid int) map[int]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	fds := map[int]string{}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			fds[atoi(t, e.Name())] = target
		}
	}
	return fds
}

func TestStaticPoolKeepsMaxChildren(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"hold.php": holdScript}, func(c *Config) {
			c.Pools[0].MaxChildren = 3
		})
		before := ts.idleWorkers(3)
		a, b := ts.hold("a"), ts.hold("b")
		if s := ts.pool().Stats(); s.Total != 3 || s.Busy != 2 || s.Idle != 1 {
			t.Errorf("stats are %+v", s)
		}
		a.finish()
		b.finish()
		if after := ts.idleWorkers(3); !slices.Equal(before, after) {
			t.Errorf("workers were %v and are %v", before, after)
		}
	})
}

func TestDynamicPoolGrowsWithDemandAndShrinksToMaxSpare(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"hold.php": holdScript}, func(c *Config) {
			p := &c.Pools[0]
			p.PM, p.MaxChildren, p.StartServers, p.MinSpareServers, p.MaxSpareServers = manager.PMDynamic, 6, 2, 1, 2
		})
		ts.idleWorkers(2)
		var holds []held
		for i := range 6 {
			holds = append(holds, ts.hold("h"+strconv.Itoa(i)))
		}
		if s := ts.pool().Stats(); s.Total != 6 || s.Busy != 6 {
			t.Errorf("stats under load are %+v", s)
		}
		for _, h := range holds {
			h.finish()
		}
		ts.idleWorkers(2)
	})
}

func TestOndemandPoolForksForABurstAtOnceAndEndsIdleWorkers(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"hold.php": holdScript}, func(c *Config) {
			p := &c.Pools[0]
			p.PM, p.MaxChildren, p.ProcessIdleTimeout = manager.PMOndemand, 20, 300*time.Millisecond
		})
		if s := ts.pool().Stats(); s.Total != 0 {
			t.Fatalf("an idle ondemand pool has workers: %+v", s)
		}
		client := newClient(t)
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if a, err := ts.try(client, http.MethodGet, "/hold.php?until=go", nil); err != nil || a.StatusCode != 200 {
					t.Errorf("got %v, %v", a, err)
				}
			})
		}
		// All twelve run side by side: none waits for another.
		eventually(t, "12 busy workers", func() bool { return ts.pool().Stats().Busy == 12 })
		if s := ts.pool().Stats(); s.Total != 12 {
			t.Errorf("12 requests have %d workers", s.Total)
		}
		ts.touch("go")
		wg.Wait()
		eventually(t, "no worker is left", func() bool { return ts.pool().Stats().Total == 0 })
	})
}

func TestMaxRequestsReplacesWorkersWithoutALostRequest(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		const limit, spread = 40, 5 // an eighth either way
		ts := startServer(t, engine, map[string]string{"pid.php": `<?php echo getmypid();`}, func(c *Config) {
			c.Pools[0].MaxRequests = limit
		})
		var mu sync.Mutex
		served := map[string]int{}
		var wg sync.WaitGroup
		for range 4 {
			client := newClient(t)
			wg.Go(func() {
				for range 125 {
					a, err := ts.try(client, http.MethodPost, "/pid.php", strings.NewReader("x"))
					if err != nil || a.StatusCode != 200 {
						t.Errorf("got %v, %v", a, err)
						return
					}
					mu.Lock()
					served[a.body]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		alive := map[string]bool{}
		for _, pid := range ts.pids() {
			alive[strconv.Itoa(pid)] = true
		}
		ended := map[int]bool{}
		for pid, n := range served {
			if n > limit+spread || !alive[pid] && n < limit-spread {
				t.Errorf("worker %s served %d requests", pid, n)
			}
			if !alive[pid] {
				ended[n] = true
			}
		}
		if len(served) < 500/(limit+spread) {
			t.Errorf("500 requests ran on %d workers", len(served))
		}
		if len(ended) < 2 {
			t.Errorf("every worker ended after the same number of requests: %v", ended)
		}
	})
}

func TestWorkersTellsWhatEachWorkerDoes(t *testing.T) {
	eachEngineAlone(t, func(t *testing.T, engine string) {
		before := time.Now()
		ts := startServer(t, engine, map[string]string{"hold.php": holdScript, "pid.php": `<?php echo getmypid();`}, nil)
		ts.get("/pid.php")
		ts.get("/pid.php")
		sent := time.Now()
		h := ts.hold("a")
		var busy, idle manager.WorkerInfo
		for _, w := range ts.pool().Workers() {
			switch w.State {
			case manager.StateBusy:
				busy = w
			case manager.StateIdle:
				idle = w
			default:
				t.Errorf("a worker is %v", w.State)
			}
		}
		want := manager.Request{
			ID: busy.Request.ID, Method: "GET", URI: "/hold.php?until=a", Script: filepath.Join(ts.root, "hold.php"), Name: "/hold.php",
			Query: "until=a", Client: "127.0.0.1",
		}
		if busy.PID != h.pid || busy.Request != want || busy.Request.ID == "" {
			t.Errorf("the busy worker is %+v, want request %+v", busy, want)
		}
		if busy.Requests != 2 {
			t.Errorf("it has served %d requests before, want 2", busy.Requests)
		}
		if busy.Since.Before(sent) || busy.Since.After(time.Now()) || busy.Started.Before(before) || busy.Started.After(sent) {
			t.Errorf("its request began at %v, its process at %v; now is %v", busy.Since, busy.Started, time.Now())
		}
		if idle.PID == h.pid || idle.Request != (manager.Request{}) || idle.Requests != 0 {
			t.Errorf("the idle worker is %+v", idle)
		}
		if got := h.finish(); got.body != strconv.Itoa(h.pid) {
			t.Errorf("the script says it ran on %s, Workers said %d", got.body, h.pid)
		}
		ts.idleWorkers(2)
	})
}

// processFacts is what a worker should have in common with a freshly started php-cgi.
func processFacts(t *testing.T, pid int, engine string) map[string]string {
	t.Helper()
	facts := map[string]string{}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd", "Umask", "Uid", "Gid", "Groups", "NoNewPrivs", "Threads", "CapEff", "CapPrm", "Seccomp":
			facts[name] = strings.Join(strings.Fields(value), " ")
		}
	}
	for fd, target := range descriptors(t, pid) {
		kind, _, _ := strings.Cut(target, ":")
		if target == "/tmp/.ZendSem" || strings.HasPrefix(filepath.Base(target), ".ZendSem") {
			kind = "opcache lock"
		}
		if fd > 2 { // numbers above these differ with what php-cgi opened at its start
			facts["open "+kind] += "."
		} else {
			facts["fd "+strconv.Itoa(fd)] = kind
		}
	}
	facts["cwd"], _ = os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	facts["root"], _ = os.Readlink(fmt.Sprintf("/proc/%d/root", pid))
	timers, err := os.ReadFile(fmt.Sprintf("/proc/%d/timers", pid))
	if err != nil {
		t.Fatal(err)
	}
	facts["timers"] = string(timers)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	for kv := range strings.SplitSeq(strings.TrimRight(string(environ), "\x00"), "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		facts["env "+name] = value
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	facts["limits"] = string(limits)
	if f := procStat(pid); len(f) > 16 {
		facts["nice"] = f[16]
	}
	oom, _ := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	facts["oom_score_adj"] = string(oom)
	return facts
}

func TestForkedWorkerIsLikeAFreshlyStartedOne(t *testing.T) {
	t.Parallel()
	pids := map[string]int{}
	for _, engine := range engines {
		ts := startServer(t, engine, map[string]string{"pid.php": `<?php echo getmypid();`}, nil)
		pids[engine] = atoi(t, ts.get("/pid.php").body)

	}
	var fresh, forked map[string]string
	look := func() {
		fresh = processFacts(t, pids[manager.EngineSpawn], manager.EngineSpawn)
		forked = processFacts(t, pids[manager.EngineZygote], manager.EngineZygote)
	}
	if look(); len(fresh) < 20 {
		t.Fatalf("too little is known of a worker: %v", fresh)
	}
	// PHP may have files open for a moment behind a response.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := patient.LastMoment(); !maps.Equal(fresh, forked) && time.Now().Before(end); <-tick.C {
		look()
	}
	for name := range fresh {
		if fresh[name] != forked[name] {
			t.Errorf("%s: freshly started %q, forked %q", name, fresh[name], forked[name])
		}
	}
	for name := range forked {
		if _, ok := fresh[name]; !ok {
			t.Errorf("%s: %q only in the forked one", name, forked[name])
		}
	}
}

func TestNoWorkerHoldsTheControlSocketOrAnotherWorkersConnection(t *testing.T) {
	t.Parallel()
	ts := startServer(t, manager.EngineZygote, map[string]string{"pid.php": `<?php echo getmypid();`}, func(c *Config) {
		c.Pools[0].MaxChildren = 4
	})
	control := map[string]bool{}
	pids := ts.idleWorkers(4)
	zygote := parentOf(t, pids[0])
	for fd, kind := range descriptors(t, zygote) {
		if fd > 2 && strings.HasPrefix(kind, "socket:") {
			control[kind] = true
		}
	}
	seen := map[string]int{}
	for _, pid := range pids {
		for fd, kind := range descriptors(t, pid) {
			if fd > 2 && strings.HasPrefix(kind, "socket:") {
				seen[kind]++
			}
		}
	}
	// The lifeline and the listening socket are what zygote and workers share, and all of them hold both.
	for kind, n := range seen {
		if n != 1 && (n != 4 || !control[kind]) {
			t.Errorf("%d workers hold %s", n, kind)
		}
		if n == 1 && control[kind] {
			t.Errorf("a worker holds the zygote's %s", kind)
		}
	}
	if len(seen) != 4+1+lifelines() {
		t.Errorf("4 workers hold %v", seen)
	}
}

func TestExitCodesOfProgramsAreRightInAWorker(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"exec.php": `<?php
exec('exit 7', $out, $exec);
system('exit 8', $system);
$p = proc_open(['sh', '-c', 'exit 9'], [], $pipes);
$proc = proc_close($p);
$h = popen('exit 10', 'r');
$popen = pclose($h);
exec('kill -TERM $$', $out, $killed);
echo "$exec $system $proc $popen $killed ", trim(shell_exec('echo ok'));`}, nil)
		for range 3 {
			if got := ts.get("/exec.php").body; got != "7 8 9 10 15 ok" {
				t.Fatalf("got %q", got)
			}
		}
	})
}

func TestWorkersDrawDifferentRandomNumbers(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"hold.php": holdScript,
			"rand.php": `<?php echo mt_rand(), ' ', rand(), ' ', lcg_value(), ' ', bin2hex(random_bytes(8)), ' ', str_shuffle('abcdefghijklmnopqrstuvwxyz'), ' ', uniqid('', true);`,
		}, func(c *Config) { c.Pools[0].MaxChildren = 4 })
		seen := make([]map[string]bool, 6)
		for i := range 4 {
			for field, value := range strings.Fields(ts.get("/rand.php").body) {
				if seen[field] == nil {
					seen[field] = map[string]bool{}
				}
				if seen[field][value] {
					t.Errorf("two workers drew the same number %d: %s", field, value)
				}
				seen[field][value] = true
			}
			if i < 3 {
				defer ts.hold("h" + strconv.Itoa(i)).finish() // the next request meets another worker
			}
		}
	})
}

// What php-cgi is started with is for it alone: the folder with the pool's settings would change every PHP that a script runs. What the
// operator gives scripts by the same names they have, as in php-fpm.
func TestProgramsOfAScriptDoNotInheritThePoolsIni(t *testing.T) {
	t.Setenv("PHP_INI_SCAN_DIR", ":/nonexistent-a")
	script := map[string]string{"cli.php": `<?php echo 'own:', ini_get('precision'), ' ', shell_exec('` + phpCLI(t) + ` -r ' . escapeshellarg('echo "child:", ini_get("precision"), " ", var_export(getenv("PHP_INI_SCAN_DIR"), true), " ", ini_get("auto_prepend_file");'));`}
	for _, engine := range engines {
		for want, change := range map[string]func(*manager.PoolConfig){
			"own:9 child:14 false ":             func(*manager.PoolConfig) {},
			"own:9 child:14 ':/nonexistent-a' ": func(p *manager.PoolConfig) { p.ClearEnv = false },
			"own:9 child:14 ':/nonexistent-b' ": func(p *manager.PoolConfig) { p.Env = []string{"PHP_INI_SCAN_DIR=:/nonexistent-b"} },
		} {
			ts := startServer(t, engine, script, func(c *Config) {
				c.Pools[0].PHPValue = []string{"precision=9"}
				change(&c.Pools[0])
			})
			for range 2 {
				if got := ts.get("/cli.php").body; got != want {
					t.Errorf("%s: got %q, want %q", engine, got, want)
				}
			}
		}
	}
}

// phpCLI is a program that runs PHP code from the command line; php-cgi does when it is told not to be quiet.
func phpCLI(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/bin/php", "/usr/local/bin/php", "/opt/homebrew/bin/php"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("this test needs the php command (apt-get install php-cli)")
	return ""
}

func TestQueueRefusesWhatIsTooMuchOrTooLate(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		patient.UnderLimit(t, 200*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
			ts := startServer(t, engine, map[string]string{"hold.php": holdScript}, func(c *Config) {
				p := &c.Pools[0]
				p.MaxChildren, p.QueueSize, p.QueueTimeout = 1, 1, limit
			})
			h := ts.hold("a")
			late := make(chan answer, 1)
			client := newClient(t)
			go func() {
				a, err := ts.try(client, http.MethodGet, "/hold.php?until=b", nil)
				if err != nil {
					t.Error(err)
				}
				late <- a
			}()
			eventually(t, "one request waits", func() bool { return ts.pool().Stats().MaxWaiting == 1 })
			full := ts.get("/hold.php?until=c")
			for _, a := range []answer{full, <-late} {
				if a.Response == nil || a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
					t.Errorf("got %v", a.Response)
				}
			}
			s := ts.pool().Stats()
			h.finish()
			if s.QueueTimeouts == 2 { // the one had waited too long before the other came
				return true
			}
			if s.QueueFull != 1 || s.QueueTimeouts != 1 || s.MaxWaiting != 1 {
				t.Errorf("stats are %+v", s)
			}
			return false
		})
	})
}

func TestStopLeavesNoGoroutineProcessDescriptorOrFolder(t *testing.T) {
	tmp := filepath.Dir(makeRoot(t, nil)) // t.TempDir is too long for a socket's path
	t.Setenv("TMPDIR", tmp)
	for _, engine := range engines {
		goroutines := runtime.NumGoroutine()
		fds := len(descriptors(t, os.Getpid()))
		children := childrenOf(t, os.Getpid())
		t.Run(engine, func(t *testing.T) {
			ts := startServer(t, engine, map[string]string{"index.php": `<?php echo str_repeat('x', 300000); fastcgi_finish_request();`}, nil)
			for range 5 {
				if got := ts.get("/"); len(got.body) != 300000 {
					t.Errorf("got %d bytes", len(got.body))
				}
			}
		})
		eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
		eventually(t, "the descriptors are closed", func() bool { return len(descriptors(t, os.Getpid())) <= fds })
		for _, pid := range childrenOf(t, os.Getpid()) {
			if !slices.Contains(children, pid) {
				t.Errorf("%s: child %d is left", engine, pid)
			}
		}
		left, err := filepath.Glob(filepath.Join(tmp, "phpserve-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("%s: left in the temporary folder: %v %v", engine, left, err)
		}
	}
}

// childrenOf are the processes, dead ones too, whose parent is pid.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	for _, p := range processes(t) {
		if f := procStat(p); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			children = append(children, p)
		}
	}
	return children
}

// processes are the ids of all processes.
func processes(t *testing.T) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid <= math.MaxInt32 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isGone says whether err is a connection that ended before the response did.
func isGone(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

func md5Hex(p []byte) string {
	sum := md5.Sum(p)
	return hex.EncodeToString(sum[:])
}

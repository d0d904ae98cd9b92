package server

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
)

// buildBinary builds the real command once for all tests.
var buildBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "phpserve-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "phpserve")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/phpserve/phpserve/cmd/phpserve").CombinedOutput(); err != nil {
		return path, fmt.Errorf("%v: %s", err, out)
	}
	return path, nil
})

// TestMain removes what buildBinary made.
func TestMain(m *testing.M) {
	code := m.Run()
	if built.Load() {
		if path, _ := buildBinary(); path != "" {
			os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

var built atomic.Bool

// command is the real phpserve in a process of its own. Its embedded testServer has no Server, only what sends requests.
type command struct {
	*testServer
	cmd    *exec.Cmd
	tmp    string // its TMPDIR, which holds the runtime folder
	exited chan struct{}
}

// startCommand runs "phpserve run" on files with a static pool of two workers, more flags and more environment.
func startCommand(t *testing.T, engine string, files map[string]string, flags, env []string) *command {
	t.Helper()
	built.Store(true)
	path, err := buildBinary()
	if err != nil {
		t.Fatalf("cannot build phpserve: %v", err)
	}
	root := makeRoot(t, files)
	c := &command{
		testServer: &testServer{t: t, root: root, log: newLogBuffer(), access: newLogBuffer()},
		tmp:        filepath.Join(filepath.Dir(root), "tmp"), exited: make(chan struct{}),
	}
	if err := os.Mkdir(c.tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(c.tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", root, "--listen", "127.0.0.1:0", "--engine", engine, "--workers", "2", "--pm", "static"}
	if user := testUser(); user != "" {
		args = append(args, "--user", user)
	}
	c.cmd = exec.Command(path, append(args, flags...)...)
	c.cmd.Dir = filepath.Dir(root)
	// Its PHP inherits PATH, by which it can be told.
	c.cmd.Env = append(append(os.Environ(), "TMPDIR="+c.tmp, "XDG_RUNTIME_DIR=", "PATH="+os.Getenv("PATH")+":"+c.tmp), env...)
	c.cmd.Stdout, c.cmd.Stderr = c.access, c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait() // how it ended is in ProcessState
		close(c.exited)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.exited
		for _, pid := range c.php() { // only where the test has failed
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("log:\n%s", c.log)
		}
	})
	screen := c.access.waitFor(t, "  http://127.0.0.1:")
	c.addr = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`).FindStringSubmatch(screen)[1]
	c.url = "http://" + c.addr
	return c
}

// php are the PHP processes that this phpserve started and those that they forked, whoever their parent is now.
func (c *command) php() (pids []int) {
	for _, pid := range processes(c.t) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)) // it may have ended
		if err == nil && strings.Contains(string(environ), ":"+c.tmp+"\x00") && strings.Contains(filepath.Base(program), "php-cgi") && processExists(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// ask sends a request whose answer does not matter, and waits until its script has made the file named by "mark".
func (c *command) ask(path, mark string) {
	c.t.Helper()
	client := newClient(c.t)
	go func() { _, _ = c.try(client, http.MethodGet, path+"?mark="+mark, nil) }()
	eventually(c.t, path+" runs", func() bool {
		_, err := os.Stat(c.beside(mark))
		return err == nil
	})
}

// busyScripts keep a worker busy for longer than any test runs, each in another way.
var busyScripts = map[string]string{
	"sleep.php": `<?php touch(dirname(__DIR__) . '/' . $_GET['mark']); sleep(100000);`,
	"loop.php":  `<?php touch(dirname(__DIR__) . '/' . $_GET['mark']); set_time_limit(0); while (true);`,
	"write.php": `<?php touch(dirname(__DIR__) . '/' . $_GET['mark']); ignore_user_abort(true); while (true) { echo str_repeat('x', 8192); flush(); usleep(1000); }`,
	"deaf.php":  `<?php touch(dirname(__DIR__) . '/' . $_GET['mark']); foreach ([SIGTERM, SIGHUP, SIGINT, SIGIO] as $s) if (function_exists('pcntl_signal')) pcntl_signal($s, SIG_IGN); sleep(100000);`,
	"index.php": `<?php echo 'hello';`,
}

// gone waits until no PHP process of c is left. None of busyScripts ends by itself.
func (c *command) gone() {
	c.t.Helper()
	eventually(c.t, "every PHP process ends", func() bool { return len(c.php()) == 0 })
}

func TestKilledPhpserveLeavesNoPHPProcess(t *testing.T) {
	t.Parallel()
	for _, scripts := range [][]string{nil, {"sleep.php", "loop.php"}, {"write.php", "deaf.php"}} {
		t.Run(fmt.Sprint(scripts), func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				c := startCommand(t, engine, busyScripts, nil, nil)
				for _, s := range scripts {
					c.ask("/"+s, "mark-"+s)
				}
				if n, want := len(c.php()), 2+zygotes(engine); n != want {
					t.Fatalf("%d PHP processes run, want %d", n, want)
				}
				killProcess(t, c.cmd.Process.Pid)
				<-c.exited
				c.gone()
			})
		})
	}
}

// zygotes is how many PHP processes besides its workers an engine has.
func zygotes(engine string) int {
	if engine == manager.EngineZygote {
		return 1
	}
	return 0
}

func TestPhpserveAndZygoteKilledTogetherLeaveNoPHPProcess(t *testing.T) {
	// The zygote cannot end its workers: it is dead, or it is stopped.
	for name, sig := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCommand(t, manager.EngineZygote, busyScripts, []string{"--workers", "3"}, nil)
			c.ask("/sleep.php", "a")
			c.ask("/deaf.php", "b")
			children := childrenOf(t, c.cmd.Process.Pid)
			if len(children) != 1 {
				t.Fatalf("the children of phpserve are %v", children)
			}
			sendSignal(t, children[0], sig)
			killProcess(t, c.cmd.Process.Pid)
			<-c.exited
			c.gone()
		})
	}
}

func TestKilledZygoteIsReplacedAndNoRequestFails(t *testing.T) {
	t.Parallel()
	ts := startServer(t, manager.EngineZygote, map[string]string{"pid.php": `<?php echo getmypid();`, "hold.php": holdScript}, func(c *Config) {
		plainPages(c)
		c.Pools[0].MaxChildren = 4
	})
	old := ts.idleWorkers(4)
	first := parentOf(t, old[0])
	h := ts.hold("a")

	stop := make(chan struct{})
	var served atomic.Int64
	var clients sync.WaitGroup
	for i := range 4 {
		client := newClient(t)
		method := []string{http.MethodGet, http.MethodPost}[i%2]
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := ts.try(client, method, "/pid.php", strings.NewReader("x"))
				if err != nil || a.StatusCode != 200 {
					t.Errorf("a request failed: %v %v", a.Response, err)
					return
				}
				served.Add(1)
			}
		})
	}
	zygote := first
	for round := 1; round <= 3; round++ {
		killProcess(t, zygote)
		begin := time.Now()
		eventually(t, "the pool notices", func() bool {
			return strings.Count(ts.log.String(), "the zygote ended; starting another") >= round
		})
		eventually(t, "the workers of another zygote serve", func() bool {
			n := 0
			for _, w := range ts.pool().Workers() {
				f := procStat(w.PID)
				if w.PID == h.pid || w.State == manager.StateStarting || len(f) < 2 || f[1] == strconv.Itoa(zygote) || f[1] == "1" {
					continue
				}
				if parent, err := strconv.Atoi(f[1]); err == nil && parent != os.Getpid() && w.Requests > 0 {
					n++
				}
			}
			return n >= 3
		})
		eventually(t, "the old workers end", func() bool {
			return !slices.ContainsFunc(ts.pids(), func(pid int) bool { return pid != h.pid && slices.Contains(old, pid) })
		})
		for _, pid := range old {
			eventually(t, fmt.Sprintf("round %d: worker %d ends", round, pid), func() bool { return pid == h.pid || !processExists(pid) })
		}
		t.Logf("round %d: %v until the workers of the new zygote had taken over", round, time.Since(begin))
		old = slices.DeleteFunc(ts.pids(), func(pid int) bool { return pid == h.pid })
		zygote = parentOf(t, old[0])
	}
	eventually(t, "100 requests were served meanwhile", func() bool { return served.Load() >= 100 || t.Failed() })
	close(stop)
	clients.Wait()
	// What ran on an old worker runs to its end; then that worker goes, too.
	if !processExists(h.pid) {
		t.Errorf("the busy worker %d did not survive its zygote", h.pid)
	}
	if got := h.finish(); got.StatusCode != 200 || got.body != strconv.Itoa(h.pid) {
		t.Errorf("the held request got %d %q", got.StatusCode, got.body)
	}
	eventually(t, "the last old worker ends", func() bool { return !processExists(h.pid) })
	for _, pid := range ts.idleWorkers(4) {
		if parentOf(t, pid) == first {
			t.Errorf("worker %d is the first zygote's", pid)
		}
	}
}

func TestStoppedZygoteDoesNotBlockRequests(t *testing.T) {
	t.Parallel()
	patient.WithinLimit(t, func() (tooSlow bool) {
		ts := startServer(t, manager.EngineZygote, map[string]string{"pid.php": `<?php echo getmypid();`, "hold.php": holdScript}, func(c *Config) {
			c.Pools[0].PM, c.Pools[0].StartServers, c.Pools[0].MaxChildren = manager.PMDynamic, 2, 6
			c.Pools[0].MaxSpareServers = 2
		})
		zygote := parentOf(t, ts.idleWorkers(2)[0])
		replaced := func() bool { return !processExists(zygote) } // it has not forked for as long as a zygote may take
		sendSignal(t, zygote, syscall.SIGSTOP)
		h := ts.hold("a") // fewer idle workers than pm.min_spare_servers: the zygote is asked for more
		g := ts.hold("b")
		waiting := make(chan answer, 1)
		client := newClient(t)
		go func() {
			a, err := ts.try(client, http.MethodGet, "/pid.php", nil)
			if err != nil {
				t.Error(err)
			}
			waiting <- a
		}()
		eventually(t, "a request waits for a worker", func() bool { return ts.pool().Stats().Waiting == 1 || replaced() })
		h.finish()
		got := []string{(<-waiting).body}
		for range 50 {
			got = append(got, ts.get("/pid.php").body)
		}
		g.finish()
		if replaced() {
			return true
		}
		sendSignal(t, zygote, syscall.SIGCONT)
		if got = slices.Compact(got); len(got) != 1 || got[0] != strconv.Itoa(h.pid) {
			t.Errorf("the requests got %q, not the only worker that there was: %d", got, h.pid)
		}
		return false
	})
}

package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/site"
)

// writeProgram makes a shell script that can be run at once: a process that another test starts meanwhile would inherit the
// open file, and the kernel runs no file that somebody may write (ETXTBSY).
func writeProgram(t *testing.T, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// wrapPHP is the real php-cgi started by a shell script in dir that first runs the lines before.
func wrapPHP(t *testing.T, dir, before, args string) *manager.PHP {
	t.Helper()
	path := filepath.Join(dir, "php-cgi")
	script := fmt.Sprintf("#!/bin/sh\n%s\nexec %s %s \"$@\"\n", before, testPHP(t).Path, args)
	writeProgram(t, path, script)
	php, _, err := manager.FindPHP(t.Context(), path, dir)
	if err != nil {
		t.Fatal(err)
	}
	return php
}

// fragilePHP is a php-cgi that fails while the file "broken" is beside it: it says its content and exits with code 3,
// unless phpserve only asks it what it can do.
func fragilePHP(t *testing.T, dir string) *manager.PHP {
	t.Helper()
	return wrapPHP(t, dir, fmt.Sprintf("case \" $* \" in *\" -b \"*) if [ -e %[1]s/broken ]; then cat %[1]s/broken >&2; exit 3; fi; esac", dir), "")
}

// newFragile makes a server that runs fragilePHP and is not yet started.
func newFragile(t *testing.T, engine string, files map[string]string, change func(*Config)) *testServer {
	t.Helper()
	return newWithPHP(t, engine, files, func(dir string) *manager.PHP { return fragilePHP(t, dir) }, change)
}

// newWithPHP makes a server that runs the PHP that php makes in the folder of the document root, and is not yet started.
func newWithPHP(t *testing.T, engine string, files map[string]string, php func(dir string) *manager.PHP, change func(*Config)) *testServer {
	t.Helper()
	ts := &testServer{t: t, root: makeRoot(t, files), log: newLogBuffer(), access: newLogBuffer()}
	c := DefaultConfig()
	c.Listen, c.ErrorPages = []string{"127.0.0.1:0"}, ErrorPagesPlain
	one, pool := site.DefaultConfig(), manager.DefaultPoolConfig(2)
	one.Root = ts.root
	pool.Engine, pool.User = engine, testUser()
	pool.PM, pool.MaxChildren, pool.QueueTimeout = manager.PMStatic, 2, time.Hour
	c.Sites, c.Pools = []site.Config{one}, []manager.PoolConfig{pool}
	if change != nil {
		change(&c)
	}
	logger := slog.New(slog.NewTextHandler(ts.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := New(c, map[string]*manager.PHP{"www": php(filepath.Dir(ts.root))}, "test", logger, ts.access)
	if err != nil {
		t.Fatal(err)
	}
	ts.Server = s
	return ts
}

// breakPHP makes every further start of fragilePHP fail.
func (ts *testServer) breakPHP(says string) {
	ts.t.Helper()
	if err := os.WriteFile(ts.beside("broken"), []byte(says+"\n"), 0o644); err != nil {
		ts.t.Fatal(err)
	}
}

// start starts a server of newWithPHP.
func (ts *testServer) start() {
	ts.t.Helper()
	if err := ts.Start(ts.t.Context()); err != nil {
		ts.t.Fatalf("%v\n%s", err, ts.log)
	}
	ts.addr = ts.listeners[0].Addr().String()
	ts.url = "http://" + ts.addr
}

// stopQuietly ends the server and fails the test if a worker is left.
func (ts *testServer) stopQuietly() {
	ts.t.Helper()
	pids := ts.pids()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ts.Stop(ctx)
	for _, pid := range pids {
		if processExists(pid) {
			ts.t.Errorf("worker %d is left", pid)
		}
	}
	if ts.t.Failed() {
		ts.t.Logf("log:\n%s", ts.log)
	}
}

// TestStartThatFailsSaysWhyInPHPsOwnWords also where what PHP writes is discarded later.
func TestStartThatFailsSaysWhyInPHPsOwnWords(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		for _, discard := range []bool{false, true} {
			mustFail := func(t *testing.T, files map[string]string, broken string, change func(*Config), says ...string) {
				t.Helper()
				ts := newFragile(t, engine, files, func(c *Config) {
					c.Pools[0].DiscardOutput = discard
					change(c)
				})
				if broken != "" {
					ts.breakPHP(broken)
				}
				err := ts.Start(t.Context())
				if err == nil {
					ts.stopQuietly()
					t.Fatal("it started")
				}
				for _, want := range append(says, "[pool www]") {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("the error does not say %q: %v", want, err)
					}
				}
			}
			t.Run(fmt.Sprintf("php-cgi exits, discard %v", discard), func(t *testing.T) {
				const words = "php-cgi: error while loading shared libraries: libexample.so.5"
				mustFail(t, nil, words, func(*Config) {}, "code 3", words)
			})
			t.Run(fmt.Sprintf("preload is broken, discard %v", discard), func(t *testing.T) {
				mustFail(t, map[string]string{"preload.php": "<?php this is not PHP"}, "", func(c *Config) {
					c.Pools[0].PHPValue = []string{"opcache.preload=" + filepath.Join(c.Sites[0].Root, "preload.php"), "display_errors=0", "log_errors=1"}
				}, "syntax error", "preload.php")
			})
		}
	})
}

func TestStartThatHangsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := newFragile(t, engine, nil, func(c *Config) { c.Pools[0].MaxChildren = 8 }) // some are still being made when it stops
		wrapper := fmt.Sprintf("#!/bin/sh\necho $$ >> %s/hangs\nexec sleep 100000\n", filepath.Dir(ts.root))
		writeProgram(t, ts.beside("php-cgi"), wrapper)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		started := make(chan error, 1)
		go func() { started <- ts.Start(ctx) }()
		eventually(t, "PHP hangs", func() bool {
			text, err := os.ReadFile(ts.beside("hangs"))
			return err == nil && strings.HasSuffix(string(text), "\n")
		})
		cancel()
		if err := <-started; err == nil || !strings.Contains(err.Error(), "[pool www] cannot start") {
			t.Errorf("got %v", err)
		}
		if log := ts.log.String(); strings.Contains(log, "did not answer its greeting") {
			t.Errorf("the stop waited for the limit of a start:\n%s", log)
		}
		pids, err := os.ReadFile(ts.beside("hangs"))
		if err != nil {
			t.Fatal(err)
		}
		for pid := range strings.FieldsSeq(string(pids)) {
			if processExists(atoi(t, pid)) {
				t.Errorf("process %s is left", pid)
			}
		}
	})
}

func TestPoolThatCannotStartWorkersBacksOffAndRecovers(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := newFragile(t, engine, map[string]string{"pid.php": `<?php echo getmypid();`}, func(c *Config) { c.Pools[0].QueueTimeout = 300 * time.Millisecond })
		ts.start()
		defer ts.stopQuietly()
		if got := ts.get("/pid.php"); got.StatusCode != 200 {
			t.Fatalf("got %d", got.StatusCode)
		}
		ts.breakPHP("cannot allocate memory for example")
		victims := ts.idleWorkers(2)
		if engine == manager.EngineZygote {
			victims = append([]int{parentOf(t, victims[0])}, victims...)
		}
		begin := time.Now()
		killAll(t, victims...)
		// It tries again and again, ever more slowly. That a worker cannot start because the zygote ends is not what is counted here.
		failures := func() (n int) {
			for line := range strings.Lines(ts.log.String()) {
				if strings.Contains(line, "next_try_in=") && strings.Contains(line, "cannot allocate memory for example") {
					n++
				}
			}
			return n
		}
		tries := 4
		if engine == manager.EngineSpawn {
			tries = 8 // two workers are missing, whose starts fail side by side
		}
		eventually(t, "failed starts", func() bool { return failures() >= tries })
		if d := time.Since(begin); d < 650*time.Millisecond { // 100, 200 and 400 ms are waited in between
			t.Errorf("%d starts failed within %v", tries, d)
		}
		log := ts.log.String()
		if !hasLine(log, "cannot start a", "next_try_in=", "level=ERROR", "pool=www", "cannot allocate memory for example") {
			t.Errorf("the log does not say why:\n%s", log)
		}
		got := ts.get("/pid.php")
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("got %d %v", got.StatusCode, got.Header)
		}
		if err := os.Remove(ts.beside("broken")); err != nil {
			t.Fatal(err)
		}
		ts.idleWorkers(2)
		if got := ts.get("/pid.php"); got.StatusCode != 200 {
			t.Errorf("after the repair got %d", got.StatusCode)
		}
	})
}

func TestMissingPrependFileOfTheOperatorIsAnErrorOfEachRequestOnly(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"index.php": `<?php echo 'not reached';`}, func(c *Config) {
			plainPages(c)
			c.Pools[0].PHPValue = []string{"auto_prepend_file=/nonexistent/prepend.php"}
		})
		workers := ts.idleWorkers(2)
		if got := ts.get("/"); got.StatusCode != 500 || strings.Contains(got.body, "not reached") {
			t.Errorf("got %d %q", got.StatusCode, got.body)
		}
		if log := ts.log.waitFor(t, "Failed opening required"); !hasLine(log, "Failed opening required", "/nonexistent/prepend.php", "index.php") {
			t.Errorf("log:\n%s", log)
		}
		if now := ts.idleWorkers(2); fmt.Sprint(now) != fmt.Sprint(workers) {
			t.Errorf("workers were %v and are %v", workers, now)
		}
	})
}

func TestPHPThatCannotForkServesWithTheSpawnEngine(t *testing.T) {
	t.Parallel()
	for args, why := range map[string]string{
		"-d disable_functions=pcntl_fork":       "pcntl_fork is in disable_functions",
		"-d disable_functions=pcntl_waitpid,ls": "pcntl_waitpid is in disable_functions",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			php := func(dir string) *manager.PHP { return wrapPHP(t, dir, "", args) }
			ts := newWithPHP(t, manager.EngineAuto, map[string]string{"index.php": `<?php echo 'hello ', PHP_SAPI;`}, php, nil)
			ts.start()
			defer ts.stopQuietly()
			if kind, reason := ts.pool().Engine(); kind != manager.EngineSpawn || !strings.Contains(reason, why) {
				t.Errorf("the engine is %s (%s)", kind, reason)
			}
			for range 3 {
				if got := ts.get("/"); got.StatusCode != 200 || got.body != "hello cgi-fcgi" {
					t.Errorf("got %d %q", got.StatusCode, got.body)
				}
			}
		})
	}
}

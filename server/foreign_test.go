package server

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// What scripts start inherits the worker's connection; whoever has it could answer the next visitor, or read the request.

// connectionWriter is PHP code that starts a program which, when told to by a file, writes on whatever connection it has inherited.
const connectionWriter = `<?php
	$write = 'while [ ! -e ' . dirname(__DIR__) . '/go ]; do sleep 0.01; done; ' .
		'for fd in /proc/self/fd/*; do n=${fd##*/}; [ "$n" -gt 2 ] && printf "evil" >&$n; done; touch ' . dirname(__DIR__) . '/wrote';
	exec("bash -c '$write' >/dev/null 2>&1 &");
	echo 'started';`

func TestForeignWriterOnAConnectionNeverReachesAVisitor(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"start.php": connectionWriter,
			"next.php":  `<?php touch(dirname(__DIR__) . '/go'); while (!file_exists(dirname(__DIR__) . '/wrote')) { usleep(1000); clearstatcache(); } echo 'next';`,
			"same.php": `<?php
				if (pcntl_fork() === 0) { echo 'of the child'; ob_get_level() && ob_flush(); flush(); posix_kill(getmypid(), SIGKILL); }
				pcntl_wait($status); echo 'of the parent';`,
		}, func(c *Config) { c.Pools[0].PM, c.Pools[0].MaxChildren = manager.PMStatic, 1 })
		if got := ts.get("/start.php").body; got != "started" {
			t.Fatalf("got %q", got)
		}
		for range 3 {
			if got := ts.get("/next.php"); got.body != "next" {
				t.Errorf("got %d %q", got.StatusCode, got.body)
			}
		}
		// A child that writes within its parent's request is found by its writing: the request fails, it is not mixed up.
		if got := ts.get("/same.php"); got.StatusCode != http.StatusBadGateway || strings.Contains(got.body, "of the child") {
			t.Errorf("got %d %q", got.StatusCode, got.body)
		}
		ts.log.waitFor(t, "another process wrote on the worker's connection")
	})
}

// The worker goes on, on a connection that the program has not.
func TestBackgroundProgramCostsAWorkerItsConnectionAndNothingElse(t *testing.T) {
	eachEngineAlone(t, func(t *testing.T, engine string) {
		const sockets = `$sockets = implode(' ', array_unique(array_filter(array_map('readlink', glob('/proc/self/fd/*')), static function ($to) { return strncmp((string) $to, 'socket:', 7) === 0; })));`
		ts := startServer(t, engine, map[string]string{
			"start.php": `<?php ` + sockets + ` exec('sleep 100000 >/dev/null 2>&1 & echo $!', $out); echo getmypid(), ' ', $out[0], "\n", $sockets;`,
			"list.php":  `<?php ` + sockets + ` echo $sockets;`,
		}, func(c *Config) { c.Pools[0].PM, c.Pools[0].MaxChildren = manager.PMStatic, 1 })
		var worker, program int
		var during, after string
		// A process that another server of this test binary leaves behind may end meanwhile, and the worker gets a new connection for it.
		eventually(t, "the worker has one connection until the program is started", func() bool {
			before := ts.get("/list.php").body
			var pids string
			pids, during, _ = strings.Cut(ts.get("/start.php").body, "\n")
			after = ts.get("/list.php").body
			if _, err := fmt.Sscan(pids, &worker, &program); err != nil {
				t.Fatal(err)
			}
			return during == before
		})
		if after == during {
			t.Errorf("the worker has the connection that the program has inherited: %q", after)
		}
		if pids := ts.pids(); len(pids) != 1 || pids[0] != worker {
			t.Errorf("the worker was %d, now there are %v", worker, pids)
		}
		if !processExists(program) {
			t.Error("the program was ended")
		}
	})
}

// A script that calls setsid() leaves phpserve's process group.
func TestHostileDaemonsEndWithPhpserve(t *testing.T) { // alone: it ends all that phpserve has inherited
	for _, engine := range []string{manager.EngineZygote, manager.EngineSpawn} {
		t.Run(engine, func(t *testing.T) { endsDaemons(t, engine) })
	}
}

func endsDaemons(t *testing.T, engine string) {
	var daemon int
	t.Cleanup(func() { // after the server has stopped
		manager.EndDescendants()
		if daemon == 0 || processExists(daemon) {
			t.Errorf("process %d lives on", daemon)
			_ = syscall.Kill(daemon, syscall.SIGKILL)
		}
	})
	ts := startServer(t, engine, map[string]string{
		"daemon.php": `<?php
				if (pcntl_fork() === 0) {
					posix_setsid();
					if (pcntl_fork() === 0) { file_put_contents(dirname(__DIR__) . '/pid.new', getmypid()); rename(dirname(__DIR__) . '/pid.new', dirname(__DIR__) . '/pid'); sleep(600); }
					posix_kill(getmypid(), SIGKILL);
				}
				pcntl_wait($status);
				while (!file_exists(dirname(__DIR__) . '/pid')) { usleep(1000); clearstatcache(); }
				echo file_get_contents(dirname(__DIR__) . '/pid');`,
		"next.php": `<?php echo 'next';`,
	}, nil)
	daemon = atoi(t, ts.get("/daemon.php").body)
	if got := ts.get("/next.php").body; got != "next" {
		t.Errorf("got %q", got)
	}
	if !processExists(daemon) {
		t.Error("it was ended while its pool runs")
	}
}

// Whoever runs as the pool's user may send SIGSTOP. The request, which cannot be repeated if it has begun, has provably not begun.
func TestStoppedWorkerDoesNotSwallowARequest(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"once.php": `<?php
			file_put_contents(dirname(__DIR__) . '/runs', 'x', FILE_APPEND);
			echo strlen(file_get_contents('php://input')), ' ', filesize(dirname(__DIR__) . '/runs'), ' ', getmypid();`},
			func(c *Config) { c.Pools[0].PM, c.Pools[0].MaxChildren = manager.PMStatic, 1 })
		stopped := ts.pids()[0]
		if err := syscall.Kill(stopped, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the worker is stopped", func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", stopped))
			return err == nil && strings.Contains(string(stat), ") T ")
		})
		resp, err := newClient(t).Post(ts.url+"/once.php", "text/plain", strings.NewReader(strings.Repeat("b", 100<<10)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var length, runs, pid int
		if _, err := fmt.Fscan(resp.Body, &length, &runs, &pid); err != nil || length != 100<<10 || runs != 1 || pid == stopped {
			t.Errorf("%d: %d bytes, run %d times, by %d, %v; %d was stopped", resp.StatusCode, length, runs, pid, err, stopped)
		}
	})
}

// Descriptor 0 of a worker reads as empty, for its scripts and for the programs that they start.
func TestStandardInputOfScriptsIsEmpty(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"stdin.php": `<?php
			var_dump(file_get_contents('php://stdin'), fgets(fopen('php://stdin', 'r')), shell_exec('cat 2>&1'), shell_exec('wc -c 2>&1'), fstat(fopen('php://stdin', 'r'))['mode'] & 0170000);`}, nil)
		want := "string(0) \"\"\nbool(false)\nNULL\nstring(2) \"0\n\"\nint(8192)\n"
		if got := ts.get("/stdin.php").body; got != want {
			t.Errorf("got %q", got)
		}
	})
}

// Own scripts use hardly a function: whatever a pool takes away, it runs.
func TestPoolRunsWithoutMostFunctions(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"functions": {"disable_functions=getmypid,posix_kill,posix_getpid,stream_select,stream_socket_client,stream_get_contents,fread,fwrite,fclose,fopen,error_log,date," +
			"array_map,array_filter,set_time_limit,register_shutdown_function,file_put_contents,substr_count,pcntl_signal,pcntl_async_signals,pcntl_strerror,flush,explode,error_get_last"},
		"settings": {
			"memory_limit=2M", "max_execution_time=1", "output_buffering=4096", "short_open_tag=0", "error_reporting=0", "session.auto_start=1",
			"auto_append_file=/nowhere/append.php", "zend.assertions=1", "ignore_user_abort=0", "zlib.output_compression=1", "default_charset=", "implicit_flush=1",
		},
		"basedir": {"open_basedir=/tmp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachEngine(t, func(t *testing.T, engine string) {
				ts := startServer(t, engine, map[string]string{"ok.php": `<?php echo 'ok'; exit;`}, func(c *Config) {
					c.Pools[0].PHPAdminValue = append([]string{"doc_root=" + c.Sites[0].Root}, values...)
				})
				if got := ts.get("/ok.php"); got.StatusCode != http.StatusOK || !strings.HasPrefix(got.body, "ok") {
					t.Errorf("got %d %q", got.StatusCode, got.body)
				}
				if kind, why := ts.pool().Engine(); kind != engine {
					t.Errorf("the engine is %s: %s", kind, why)
				}
			})
		})
	}
}

// Any script with FFI, or with a bug of PHP's, can write to what the pool's processes share. That must harm no process of root and
// stop no workers for good.
func TestBrokenSharedMemoryIsReplaced(t *testing.T) {
	t.Parallel()
	ts := startServer(t, manager.EngineZygote, map[string]string{
		"ok.php": `<?php echo 'ok';`,
		"break.php": `<?php
			$c = FFI::cdef('void *memset(size_t where, int byte, size_t n);');
			foreach (file('/proc/self/maps') as $line) {
				if (preg_match('~^([0-9a-f]+)-([0-9a-f]+) rw-s ~', $line, $m)) {
					file_put_contents(dirname(__DIR__) . '/broken', "$line\n", FILE_APPEND);
					$c->memset(hexdec($m[1]), 255, hexdec($m[2]) - hexdec($m[1]));
				}
			}`,
	}, func(c *Config) {
		c.Pools[0].PHPAdminValue = []string{"ffi.enable=1", "opcache.jit_buffer_size=0", "opcache.protect_memory=0"}
	})
	if got := ts.get("/ok.php").body; got != "ok" {
		t.Fatalf("got %q", got)
	}
	ts.get("/break.php")
	if text, err := os.ReadFile(ts.beside("broken")); err != nil || len(text) == 0 {
		t.Fatalf("nothing was broken: %v", err)
	}
	eventually(t, "the pool serves again", func() bool { return ts.get("/ok.php").body == "ok" })
}

// Where its parent is stopped, too, nobody hears that the worker has ended.
func TestStoppedWorkerOfAStoppedZygoteDoesNotSwallowARequest(t *testing.T) {
	t.Parallel()
	ts := startServer(t, manager.EngineZygote, map[string]string{"pid.php": `<?php echo strlen(file_get_contents('php://input')), ' ', getmypid();`},
		func(c *Config) { c.Pools[0].PM, c.Pools[0].MaxChildren = manager.PMStatic, 2 })
	first := atoi(t, strings.Fields(ts.get("/pid.php").body)[1])
	ts.idleWorkers(2)
	for _, pid := range []int{parentOf(t, first), first} {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the process is stopped", func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && strings.Contains(string(stat), ") T ")
		})
	}
	resp, err := newClient(t).Post(ts.url+"/pid.php", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var length, pid int
	if _, err := fmt.Fscan(resp.Body, &length, &pid); err != nil || length != 4 || pid == first {
		t.Errorf("%d: %d bytes by %d, %v; %d was stopped", resp.StatusCode, length, pid, err, first)
	}
}

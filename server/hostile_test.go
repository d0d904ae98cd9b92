package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/files"
)

// Scripts that do what they should not, and what becomes of the rest of the site.

// A root that connected to sockets and ran scripts from a folder that the pool's user can change would do that user's bidding.
func TestHostileScriptCannotChangeTheRuntimeFolder(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"evil.php": `<?php
			$dir = dirname((new ReflectionFunction('fastcgi_finish_request'))->getFileName());
			foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator($dir, FilesystemIterator::SKIP_DOTS), 1, RecursiveIteratorIterator::CATCH_GET_CHILD) as $file) {
				if (@chmod($file, 0777) || @rename($file, "$file.moved") || is_file($file) && @file_put_contents($file, '<?php') !== false) {
					echo "changed $file\n";
				}
			}
			if (@chmod($dir, 0777) || @symlink('/etc', "$dir/link") || @touch("$dir/new") || @rename($dir, "$dir.moved")) {
				echo "changed $dir\n";
			}
			echo basename($dir);`}, nil)
		got := ts.get("/evil.php").body
		if !strings.HasPrefix(got[strings.LastIndexByte(got, '\n')+1:], "phpserve-www-") {
			t.Fatalf("the script did not find the folder: %q", got)
		}
		// Without root PHP is phpserve's own user: there is nobody to protect.
		if changed := strings.Contains(got, "changed"); changed != (os.Geteuid() != 0) {
			t.Errorf("got %q", got)
		}
	})
}

// A child that goes on behind its parent's script answers on the connection of the parent's worker.
func TestHostileForkNeverAnswersAnotherRequest(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		child := 0
		t.Cleanup(func() { // after the server has stopped
			if child == 0 {
				t.Error("there was no child")
			}
			// It is nobody's child, and the system's first process may take its time to bury it.
			eventually(t, fmt.Sprintf("process %d is gone", child), func() bool { return !processExists(child) })
		})
		ts := startServer(t, engine, map[string]string{
			"fork.php": `<?php
				if (pcntl_fork() === 0) {
					file_put_contents(dirname(__DIR__) . '/child', getmypid());
					while (!file_exists(dirname(__DIR__) . '/go')) { usleep(1000); clearstatcache(); }
					echo 'of the child';
					exit;
				}
				echo 'of the parent';`,
			"next.php": `<?php
				touch(dirname(__DIR__) . '/go');
				usleep(200000);
				echo 'next ', $_GET['n'];`,
		}, func(c *Config) { c.Pools[0].MaxChildren = 1 })
		if got := ts.get("/fork.php").body; got != "of the parent" {
			t.Fatalf("got %q", got)
		}
		eventually(t, "the child runs", func() bool {
			pid, err := os.ReadFile(ts.beside("child"))
			if err == nil && len(pid) > 0 {
				child = atoi(t, string(pid))
			}
			return child > 0
		})
		for n := range 5 {
			// The request that meets the stray answer is repeated on a worker that is alone on its connection.
			if got := ts.get(fmt.Sprintf("/next.php?n=%d", n)); got.body != fmt.Sprintf("next %d", n) {
				t.Errorf("request %d: %d %q", n, got.StatusCode, got.body)
			}
		}
	})
}

func TestHostileScriptBehindAClientThatLeftIsTerminated(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		patient.UnderLimit(t, 2*time.Second, func(limit time.Duration) (tooSlow bool) {
			ts := startServer(t, engine, map[string]string{
				"hang.php": `<?php ignore_user_abort(true); touch(dirname(__DIR__) . '/runs'); sleep(100000);`,
				"ok.php":   `<?php echo 'ok';`,
			}, func(c *Config) {
				c.Pools[0].MaxChildren, c.Pools[0].RequestTerminateTimeout = 1, limit
			})
			conn := ts.dial()
			defer conn.Close()
			fmt.Fprint(conn, "GET /hang.php HTTP/1.1\r\nHost: a\r\n\r\n")
			ended := func() bool { return strings.Contains(ts.log.String(), "request_terminate_timeout") }
			eventually(t, "the script runs", func() bool { _, err := os.Stat(ts.beside("runs")); return err == nil || ended() })
			conn.Close()
			got := ts.get("/ok.php")
			ts.log.waitFor(t, "request_terminate_timeout")
			if got.StatusCode == http.StatusGatewayTimeout || !strings.Contains(ts.log.String(), "request_terminate_timeout, behind a client that left") {
				return true
			}
			if got.body != "ok" {
				t.Errorf("got %d %q", got.StatusCode, got.body)
			}
			return false
		})
	})
}

// A program that a script leaves in the background inherits the worker's connection, which so never ends by itself.
func TestHostileBackgroundProgramKeepsNeitherRequestNorStop(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"die.php":   `<?php exec('sleep 100000 >/dev/null 2>&1 & echo $!', $out); echo str_repeat('x', 300000) . "pid=$out[0];"; ob_get_level() && ob_flush(); flush(); posix_kill(getmypid(), SIGKILL);`,
			"tail.php":  `<?php echo 'hi'; fastcgi_finish_request(); exec('sleep 100000 >/dev/null 2>&1 &'); posix_kill(getmypid(), SIGKILL);`,
			"early.php": `<?php exec('sleep 100000 >/dev/null 2>&1 &'); posix_kill(getmypid(), SIGKILL);`,
		}, func(c *Config) { c.ProcessControlTimeout = time.Second })
		client := newClient(t)
		resp, err := client.Get(ts.url + "/die.php")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(text), "pid=") {
			t.Errorf("only %d bytes of what was sent arrived", len(text))
		}
		if err == nil {
			t.Error("the response looks complete")
		}
		if got := ts.get("/early.php"); got.StatusCode != http.StatusBadGateway {
			t.Errorf("got %d", got.StatusCode)
		}
		if got := ts.get("/tail.php"); got.body != "hi" {
			t.Errorf("got %q", got.body)
		}
	}) // the end of the test stops the server
}

// Any script may send SIGSTOP to a process of its user.
func TestHostileStopOfTheZygoteIsOvercome(t *testing.T) {
	t.Parallel()
	ts := startServer(t, manager.EngineZygote, map[string]string{
		"stop.php": `<?php echo posix_getppid(); posix_kill(posix_getppid(), SIGSTOP);`,
		"ok.php":   `<?php echo getmypid();`,
	}, nil)
	zygote := ts.get("/stop.php").body
	killAll(t, ts.pids()...)
	if got := ts.get("/ok.php"); got.StatusCode != http.StatusOK {
		t.Errorf("got %d %q", got.StatusCode, got.body)
	}
	eventually(t, "the stopped zygote ends", func() bool { _, err := os.Stat(filepath.Join("/proc", zygote, "exe")); return err != nil })
}

// phpserve may be root; what it serves is what the pool's user may read.
func TestHostileLinkAndPrivateFileAreNotRead(t *testing.T) {
	t.Parallel()
	for _, follow := range []string{files.FollowNo, files.FollowOwner, files.FollowYes} {
		ts := startServer(t, manager.EngineSpawn, map[string]string{
			"private.txt": "secret", "private.css": "secret", "inside/a.txt": "secret", "open.txt": "open",
		}, func(c *Config) { c.Sites[0].FollowSymlinks = follow })
		for name, mode := range map[string]os.FileMode{"private.txt": 0, "private.css": 0, "inside": 0} {
			if err := os.Chmod(filepath.Join(ts.root, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(ts.beside("outside"), []byte("secret"), 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../outside", filepath.Join(ts.root, "link.txt")); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/private.txt", "/private.css", "/inside/a.txt", "/link.txt"} {
			if got := ts.get(path); got.StatusCode < 400 || strings.Contains(got.body, "secret") {
				t.Errorf("follow_symlinks %s: %s: %d %q", follow, path, got.StatusCode, got.body)
			}
		}
		if got := ts.get("/open.txt"); got.body != "open" {
			t.Errorf("got %q", got.body)
		}
		if err := os.Chmod(filepath.Join(ts.root, "inside"), 0o755); err != nil { // to be removed
			t.Fatal(err)
		}
	}
}

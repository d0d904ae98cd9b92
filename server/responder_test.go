package server

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/listen"
)

// nginx is a web server in front of a pool's FastCGI address.
type nginx struct {
	url, dir string
}

// startNginx starts Debian's nginx for the scripts of root.
func startNginx(t *testing.T, socket, root string, keepConn bool) *nginx {
	t.Helper()
	dir, err := os.MkdirTemp("", "phpserve-nginx-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // nginx works as another user
		t.Fatal(err)
	}
	port := strconv.Itoa(patient.Port(t))
	user, keep, cache := "", "off", ""
	if name := testUser(); name != "" {
		user = "user " + name + ";"
	}
	if keepConn {
		keep, cache = "on", "keepalive 4;"
	}
	conf := fmt.Sprintf(`%s
worker_processes 1; daemon off; pid %s/pid; error_log %s/error.log notice;
events { worker_connections 64; }
http {
	access_log off; client_max_body_size 20m;
	fastcgi_read_timeout 1d; fastcgi_send_timeout 1d; client_body_timeout 1d; send_timeout 1d;
	client_body_temp_path %s/body; fastcgi_temp_path %s/fastcgi; proxy_temp_path %s/proxy; uwsgi_temp_path %s/uwsgi; scgi_temp_path %s/scgi;
	upstream pool { server unix:%s; %s }
	server {
		listen 127.0.0.1:%s; root %s;
		location ~ ^(.+\.(?:php|txt))(/.*)?$ {
			fastcgi_split_path_info ^(.+?\.(?:php|txt))(/.*)$;
			include /etc/nginx/fastcgi.conf;
			fastcgi_param PATH_INFO $fastcgi_path_info;
			fastcgi_pass pool; fastcgi_keep_conn %s; fastcgi_buffering off;
		}
	}
}`, user, dir, dir, dir, dir, dir, dir, dir, socket, cache, port, root, keep)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-e", dir+"/error.log", "-c", file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs nginx (apt-get install nginx-light): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	eventually(t, "nginx answers", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return &nginx{url: "http://127.0.0.1:" + port, dir: dir}
}

// get sends a GET, or a POST of a body, and returns status and body.
func (n *nginx) get(t *testing.T, path string, post ...byte) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var r *http.Response
	var err error
	if post == nil {
		r, err = client.Get(n.url + path)
	} else {
		r, err = client.Post(n.url+path, "application/octet-stream", bytes.NewReader(post))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

// log is nginx's error log.
func (n *nginx) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(n.dir + "/error.log")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// behindNginx serves files through nginx in both engines, with a connection for each request and with kept ones.
func behindNginx(t *testing.T, files map[string]string, change func(*Config), test func(*testing.T, *testServer, *nginx)) {
	t.Helper()
	for _, engine := range engines {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, keep_conn %v", engine, keep), func(t *testing.T) {
				socket := ""
				ts := startServer(t, engine, files, func(c *Config) {
					socket = filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")
					c.Responders = []ResponderConfig{{
						Pool: "www", Listen: socket, Owner: testUser(), LimitExtensions: []string{".php", ".phar"},
					}}
					if change != nil {
						change(c)
					}
				})
				test(t, ts, startNginx(t, socket, ts.root, keep))
			})
		}
	}
}

func TestResponderServesNginx(t *testing.T) {
	behindNginx(t, map[string]string{
		"hello.php": `<?php echo "hello ", $_GET['n'] ?? '-';`,
		"env.php":   `<?php foreach (['SCRIPT_NAME', 'PATH_INFO', 'REQUEST_URI', 'PHP_SELF', 'REQUEST_METHOD'] as $k) echo "$k=", $_SERVER[$k] ?? '-', "\n";`,
		"body.php":  `<?php echo md5(file_get_contents('php://input'));`,
		"large.php": `<?php for ($i = 0; $i < 40; $i++) echo str_repeat(chr(65 + $i % 26), 50000);`,
		"code.php":  `<?php http_response_code(418); header('X-Mine: yes'); echo "teapot";`,
		"log.php":   `<?php error_log('first thing'); error_log('second thing'); echo "logged";`,
		"plain.txt": `<?php echo "must not run";`,
	}, nil, func(t *testing.T, _ *testServer, n *nginx) {
		is := func(path, want string, wantStatus int, post ...byte) {
			t.Helper()
			if status, body := n.get(t, path, post...); status != wantStatus || body != want {
				t.Errorf("%s: %d %.200q, want %d %.200q\n%s", path, status, body, wantStatus, want, n.log(t))
			}
		}
		for i := range 5 { // more than there are workers
			is(fmt.Sprintf("/hello.php?n=%d", i), fmt.Sprintf("hello %d", i), 200)
		}
		is("/env.php/a/b?x=1", "SCRIPT_NAME=/env.php\nPATH_INFO=/a/b\nREQUEST_URI=/env.php/a/b?x=1\nPHP_SELF=/env.php/a/b\nREQUEST_METHOD=GET\n", 200)
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		sum := md5.Sum(large)
		is("/body.php", hex.EncodeToString(sum[:]), 200, large...)
		is("/code.php", "teapot", 418)
		is("/missing.php", "File not found.\n", 404)
		is("/plain.txt", "Access denied.\n", 403)
		if status, body := n.get(t, "/large.php"); status != 200 || len(body) != 40*50000 || strings.Count(body, "B") != 2*50000 {
			t.Errorf("large: %d, %d bytes", status, len(body))
		}
		is("/log.php", "logged", 200)
		if log := n.log(t); !strings.Contains(log, "PHP message: first thing") || !strings.Contains(log, "PHP message: second thing") ||
			!strings.Contains(log, "Primary script unknown") {
			t.Errorf("nginx was not told PHP's messages:\n%s", log)
		}
	})
}

func TestResponderFinishRequestEndsTheResponse(t *testing.T) {
	behindNginx(t, map[string]string{
		"finish.php": `<?php echo "done"; fastcgi_finish_request(); while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); }
			file_put_contents(__DIR__ . '/tail', 'ran');`,
	}, nil, func(t *testing.T, ts *testServer, n *nginx) {
		if status, body := n.get(t, "/finish.php"); status != 200 || body != "done" {
			t.Fatalf("%d %q", status, body)
		}
		testfiles.Put(t, ts.root, map[string]string{"go": ""})
		eventually(t, "the script goes on behind its response", func() bool {
			text, err := os.ReadFile(filepath.Join(ts.root, "tail"))
			return err == nil && string(text) == "ran"
		})
	})
}

func TestResponderLostWorker(t *testing.T) {
	behindNginx(t, map[string]string{
		"once.php": `<?php if (!file_exists(__DIR__ . '/died')) { touch(__DIR__ . '/died'); posix_kill(getmypid(), 9); } echo "second try";`,
		"die.php":  `<?php posix_kill(getmypid(), 9);`,
		"ok.php":   `<?php echo "ok";`,
	}, nil, func(t *testing.T, _ *testServer, n *nginx) {
		if status, body := n.get(t, "/once.php"); status != 200 || body != "second try" {
			t.Errorf("a safe request whose worker died: %d %q", status, body)
		}
		if status, _ := n.get(t, "/die.php", 'x'); status != http.StatusBadGateway {
			t.Errorf("an unsafe request whose worker died: %d", status)
		}
		if status, body := n.get(t, "/ok.php"); status != 200 || body != "ok" {
			t.Errorf("afterwards: %d %q", status, body)
		}
	})
}

func TestResponderTerminateTimeout(t *testing.T) {
	patient.UnderLimit(t, 300*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
		behindNginx(t, map[string]string{"sleep.php": `<?php sleep(100000); echo "late";`, "ok.php": `<?php echo "ok";`}, func(c *Config) {
			c.Pools[0].RequestTerminateTimeout = limit
		}, func(t *testing.T, _ *testServer, n *nginx) {
			if status, body := n.get(t, "/sleep.php"); status != http.StatusGatewayTimeout {
				t.Errorf("%d %q", status, body)
			}
			status, body := n.get(t, "/ok.php")
			if status == http.StatusGatewayTimeout {
				tooSlow = true
			} else if status != 200 || body != "ok" {
				t.Errorf("afterwards: %d %q", status, body)
			}
		})
		return tooSlow
	})
}

func TestResponderClientThatLeavesFreesItsWorker(t *testing.T) {
	behindNginx(t, map[string]string{
		"slow.php": `<?php touch(__DIR__ . '/running'); for ($i = 0; $i < 20000; $i++) { echo str_repeat('x', 9000); flush(); usleep(1000); }`,
		"ok.php":   `<?php echo "ok";`,
	}, func(c *Config) { c.Pools[0].MaxChildren = 1 }, func(t *testing.T, ts *testServer, n *nginx) {
		r, err := http.Get(n.url + "/slow.php")
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the script runs", func() bool {
			_, err := os.Stat(filepath.Join(ts.root, "running"))
			return err == nil
		})
		r.Body.Close()
		if status, body := n.get(t, "/ok.php"); status != 200 || body != "ok" {
			t.Errorf("the only worker serves the next: %d %q\n%s", status, body, n.log(t))
		}
	})
}

func TestResponderStopLetsARequestFinish(t *testing.T) {
	behindNginx(t, map[string]string{
		"wait.php": `<?php touch(__DIR__ . '/running'); while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); } echo "finished";`,
	}, nil, func(t *testing.T, ts *testServer, n *nginx) {
		type result struct {
			status int
			body   string
		}
		got := make(chan result, 1)
		go func() {
			status, body := n.get(t, "/wait.php")
			got <- result{status, body}
		}()
		eventually(t, "the script runs", func() bool {
			_, err := os.Stat(filepath.Join(ts.root, "running"))
			return err == nil
		})
		stopped := make(chan struct{})
		go func() {
			ts.Stop(t.Context())
			close(stopped)
		}()
		eventually(t, "nobody listens", func() bool {
			c, err := net.Dial("unix", ts.cfg.Responders[0].Listen)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		testfiles.Put(t, ts.root, map[string]string{"go": ""})
		if r := <-got; r.status != 200 || r.body != "finished" {
			t.Errorf("%d %q\n%s", r.status, r.body, n.log(t))
		}
		<-stopped
		if _, err := os.Stat(ts.cfg.Responders[0].Listen); err == nil {
			t.Error("the socket is left behind")
		}
	})
}

func TestResponderSocketBelongsToTheWebServer(t *testing.T) {
	var socket string
	startServer(t, manager.EngineAuto, nil, func(c *Config) {
		socket = filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")
		c.Responders = []ResponderConfig{{Pool: "www", Listen: socket, Owner: testUser(), Mode: 0o600}}
		stale, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		stale.(*net.UnixListener).SetUnlinkOnClose(false) // as of a server that was killed
		stale.Close()
	})
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again := DefaultConfig()
	again.Listen, again.Responders = nil, []ResponderConfig{{Pool: "www", Listen: socket}}
	if _, err := listen.OpenFastCGI(again.Responders[0].socket(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "already listen on "+socket) {
		t.Errorf("a second server: %v", err)
	}
}

// Of an address that is not in listen.allowed_clients nothing is read.
func TestResponderAllowedClients(t *testing.T) {
	for allowed, served := range map[string]bool{"127.0.0.1": true, "127.0.0.2": false} {
		var addr string
		ts := startServer(t, manager.EngineAuto, nil, func(c *Config) {
			addr = "127.0.0.1:" + strconv.Itoa(patient.Port(t))
			c.Responders = []ResponderConfig{{Pool: "www", Listen: addr, AllowedClients: []netip.Addr{netip.MustParseAddr(allowed)}}}
		})
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		// FCGI_GET_VALUES for FCGI_MPXS_CONNS, FastCGI 1.0 section 4.1
		if _, err := nc.Write([]byte("\x01\x09\x00\x00\x00\x11\x00\x00\x0f\x00FCGI_MPXS_CONNS")); err != nil && served {
			t.Fatal(err)
		}
		_ = nc.SetReadDeadline(patient.LastMoment())
		n, err := nc.Read(make([]byte, 8))
		if (n == 8) != served {
			t.Errorf("%s: read %d bytes, %v\n%s", allowed, n, err, ts.log)
		}
		if !served {
			ts.log.waitFor(t, "Connection disallowed: IP address '127.0.0.1' has been dropped.")
		}
	}
}

// A connection whose response has ended takes the next request while the script of the first goes on and says more.
func TestResponderConnectionIsFreeBehindFinishRequest(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			addr := ""
			ts := startServer(t, engine, map[string]string{
				"finish.php": `<?php echo "first"; fastcgi_finish_request();
					while (!file_exists(__DIR__ . '/go')) { echo str_repeat('x', 5000); flush(); error_log('still here'); usleep(1000); clearstatcache(); }
					touch(__DIR__ . '/over');`,
				"next.php": `<?php echo "next ", $_SERVER['QUERY_STRING'];`,
			}, func(c *Config) {
				addr = filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")
				c.Responders = []ResponderConfig{{Pool: "www", Listen: addr}}
			})
			var conn *fastcgi.Conn
			params := func(script, query string) map[string]string {
				return map[string]string{"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": ts.root + "/" + script, "SCRIPT_NAME": "/" + script, "QUERY_STRING": query}
			}
			if r := askSide(t, &conn, addr, params("finish.php", ""), ""); r.Body != "first" {
				t.Fatalf("got %v", r)
			}
			first := conn
			for i := range 50 {
				if r := askSide(t, &conn, addr, params("next.php", strconv.Itoa(i)), ""); r.Body != fmt.Sprintf("next %d", i) || r.Stderr != "" {
					t.Fatalf("request %d: %v", i, r)
				}
			}
			if conn != first {
				t.Error("it is another connection")
			}
			testfiles.Put(t, ts.root, map[string]string{"go": ""})
			eventually(t, "the first script has ended", func() bool {
				_, err := os.Stat(filepath.Join(ts.root, "over"))
				return err == nil
			})
		})
	}
}

// A request that waits for a worker gives its place up when the web server does.
func TestResponderWaitingRequestLeavesTheQueue(t *testing.T) {
	t.Parallel()
	addr := ""
	ts := startServer(t, manager.EngineAuto, map[string]string{
		"hold.php": `<?php touch(__DIR__ . '/held'); while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); } echo "held";`,
	}, func(c *Config) {
		addr = filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")
		c.Pools[0].MaxChildren = 1
		c.Responders = []ResponderConfig{{Pool: "www", Listen: addr}}
	})
	params := map[string]string{"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": ts.root + "/hold.php", "SCRIPT_NAME": "/hold.php"}
	got := make(chan reply, 1)
	go func() {
		var conn *fastcgi.Conn
		got <- askSide(t, &conn, addr, params, "")
	}()
	eventually(t, "the only worker is busy", func() bool { _, err := os.Stat(filepath.Join(ts.root, "held")); return err == nil })
	nc, err := net.Dial("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []byte
	for name, value := range params {
		pairs = fastcgi.AppendParam(pairs, name, value)
	}
	if err := fastcgi.NewConn(nc).Send(&fastcgi.Request{Params: pairs}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second request waits", func() bool { return ts.pool().Stats().Waiting == 1 })
	nc.Close()
	eventually(t, "nobody waits", func() bool { return ts.pool().Stats().Waiting == 0 })
	testfiles.Put(t, ts.root, map[string]string{"go": ""})
	if r := <-got; r.Body != "held" {
		t.Errorf("the first request: %v", r)
	}
}

// TestShortBodyHoldsNoWorker: PHP waits for the rest of a body, for which a client need only promise more than it sends.
func TestShortBodyHoldsNoWorker(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 3, 100 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			addr := ""
			ts := startServer(t, manager.EngineZygote, map[string]string{
				"body.php": `<?php echo strlen(file_get_contents('php://input'));`,
			}, func(c *Config) {
				addr = filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")
				c.Responders = []ResponderConfig{{Pool: "www", Listen: addr, LimitExtensions: []string{".php"}}}
				c.SpoolMemory = 16 << 10
			})
			for _, length := range []string{"9000000", "99999999999999999999"} {
				var conn *fastcgi.Conn
				r := askSide(t, &conn, addr, map[string]string{
					"REQUEST_METHOD": "POST", "SCRIPT_FILENAME": ts.root + "/body.php", "SCRIPT_NAME": "/body.php", "CONTENT_LENGTH": length,
				}, strings.Repeat("x", size))
				if r.Body != fmt.Sprint(size) {
					t.Errorf("%s: got %v", length, r)
				}
			}
		})
	}
}

// TestLongScriptPathIsNotLookedForFolderByFolder: each folder in a path is one that PATH_INFO may begin behind, and a client can name half a
// million.
func TestLongScriptPathIsNotLookedForFolderByFolder(t *testing.T) {
	t.Parallel()
	addr := ""
	ts := startServer(t, manager.EngineZygote, map[string]string{"ok.php": `<?php echo 'fine';`}, func(c *Config) {
		addr = filepath.Join(filepath.Dir(c.Sites[0].Root), "fpm.sock")
		c.Responders = []ResponderConfig{{Pool: "www", Listen: addr, LimitExtensions: []string{".php"}}}
	})
	var conn *fastcgi.Conn
	r := askSide(t, &conn, addr, map[string]string{
		"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": ts.root + strings.Repeat("/a", 450<<10) + ".php", "SCRIPT_NAME": "/a.php",
	}, "")
	if r.Body != "File not found.\n" {
		t.Errorf("got %v", r)
	}
}

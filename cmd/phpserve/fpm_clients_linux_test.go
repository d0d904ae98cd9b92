package main

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// fpmClient is a web server in front of sides, each of which has a site of its own for every way to reach it.
type fpmClient struct {
	name string
	// ways are the kinds of sites; which of them the case needs is in clientCase.
	ways []string
	addr string
	log  string // the file of its error log
}

// site is what a side's site in a web server is called.
func (c *fpmClient) site(s *side, way string) string { return way + "." + filepath.Base(s.dir) }

// documented is the n-th example of a kind in docs/deployment.md, for the root, socket and port of a side.
func documented(t *testing.T, kind string, n int, s *side, host string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "docs", "deployment.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllSubmatch(text, -1)
	if len(found) <= n {
		t.Fatalf("docs/deployment.md has no %s example number %d", kind, n)
	}
	return strings.NewReplacer("/srv/shop/public", s.dir, "/run/php/php8.2-fpm.sock", filepath.Join(s.dir, "www.sock"), "127.0.0.1:9000", s.tcp(),
		"shop.example.com", host).Replace(string(found[n][1]))
}

// tcp is the address of the side's pool tcp.
func (s *side) tcp() string {
	s.t.Helper()
	m := regexp.MustCompile(`listen = (127\.0\.0\.1:\d+)\n`).FindStringSubmatch(s.file("fpm.conf"))
	if m == nil {
		s.t.Fatal("the configuration has no TCP address")
	}
	return m[1]
}

// freeAddress is a TCP address that nobody else gets before the test's end.
func freeAddress(t *testing.T, ip string) string {
	t.Helper()
	return net.JoinHostPort(ip, strconv.Itoa(patient.Port(t)))
}

// run starts a web server and waits until it answers. A SIGTERM ends it with the test.
func (c *fpmClient) run(t *testing.T, dir string, env []string, command ...string) {
	t.Helper()
	out := &output{changed: make(chan struct{})}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = out, out, dir, append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs %s: %v", c.name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("%s: %s", c.name, out)
		}
	})
	eventually(t, c.name+" answers", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", c.name, out)
		default:
		}
		nc, err := net.Dial("tcp", c.addr)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
}

// startApache starts Debian's Apache with sites for the sides. There .txt goes to PHP as well.
func startApache(t *testing.T, dir string, sides []*side) *fpmClient {
	t.Helper()
	c := &fpmClient{
		name: "Apache", ways: []string{"handler", "kept", "match", "tcp", "generic", "balancer"}, addr: freeAddress(t, "127.0.0.1"),
		log: filepath.Join(dir, "apache.log"),
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "ServerRoot %s\nServerName localhost\nListen %s\nPidFile apache.pid\nDefaultRuntimeDir %s\nErrorLog %s\n", dir, c.addr, dir, c.log)
	for _, module := range []string{
		"mpm_event", "authz_core", "dir", "mime", "env", "proxy", "proxy_fcgi", "proxy_balancer", "slotmem_shm", "lbmethod_byrequests",
	} {
		fmt.Fprintf(&conf, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	conf.WriteString("TypesConfig /dev/null\nStartServers 1\nServerLimit 1\nThreadsPerChild 16\nMaxRequestWorkers 16\n")
	if os.Geteuid() == 0 {
		conf.WriteString("User www-data\nGroup www-data\n")
	}
	for _, s := range sides {
		for _, way := range c.ways {
			host := c.site(s, way)
			site := documented(t, "apache", 0, s, host)
			once := strings.NewReplacer("enablereuse=on max=10", "enablereuse=off")
			switch way {
			case "handler":
				site = once.Replace(site)
			case "tcp":
				site = documented(t, "apache", 1, s, host)
			case "match":
				site = strings.ReplaceAll(documented(t, "apache", 1, s, host), `"fcgi://`+s.tcp(), `"unix:`+filepath.Join(s.dir, "www.sock")+`|fcgi://`+host)
			case "generic":
				site = strings.Replace(site, "DocumentRoot", "ProxyFCGIBackendType GENERIC\nDocumentRoot", 1)
			case "balancer":
				site = strings.ReplaceAll(documented(t, "apache", 1, s, host), `"fcgi://`+s.tcp(), `"balancer://`+host)
				site = strings.Replace(strings.Replace(site, " enablereuse=on", "", 1), "DocumentRoot",
					"<Proxy \"balancer://"+host+"\">\nBalancerMember \"fcgi://"+s.tcp()+"\" enablereuse=on\n</Proxy>\nDocumentRoot", 1)
			}
			site = strings.NewReplacer("*:80", c.addr, `\.php`, `\.(?:php|txt)`).Replace(site)
			conf.WriteString(site)
		}
	}
	file := filepath.Join(dir, "apache.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	c.run(t, dir, nil, "/usr/sbin/apache2", "-D", "FOREGROUND", "-f", file)
	return c
}

// startCaddy starts Caddy with sites for the sides: Debian's php_fastcgi, and one that has everything go to PHP.
func startCaddy(t *testing.T, dir string, sides []*side) *fpmClient {
	t.Helper()
	c := &fpmClient{name: "Caddy", ways: []string{"site", "all"}, addr: freeAddress(t, "127.0.0.1"), log: filepath.Join(dir, "caddy.log")}
	var conf strings.Builder
	fmt.Fprintf(&conf, "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\toutput file %s\n\t}\n}\n", c.log)
	for _, s := range sides {
		address := "http://" + c.site(s, "site") + c.addr[strings.LastIndexByte(c.addr, ':'):]
		conf.WriteString(strings.Replace(documented(t, "caddyfile", 0, s, address), "{\n", "{\n\tbind 127.0.0.1\n", 1))
		fmt.Fprintf(&conf, "%s {\n\tbind 127.0.0.1\n\treverse_proxy unix/%s/www.sock {\n\t\ttransport fastcgi {\n\t\t\troot %s\n\t\t\tsplit .php .txt\n\t\t}\n\t}\n}\n",
			strings.Replace(address, "//site.", "//all.", 1), s.dir, s.dir)
	}
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(conf.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	c.run(t, dir, []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, "caddy", "run", "--config", file, "--adapter", "caddyfile")
	return c
}

// clientCase is a request that every side gets through every web server.
type clientCase struct {
	name, method, path, body string
	header                   map[string]string
	chunked                  bool
	want                     string // must be in php-fpm's answer, so that it is not an error that is compared
}

// send sends the case to a site and returns all of the answer that does not differ anyway.
func (c *fpmClient) send(t *testing.T, s *side, way string, q *clientCase) string {
	t.Helper()
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
		if q.chunked {
			body = io.MultiReader(body) // whose length net/http does not know
		}
	}
	req, err := http.NewRequest(q.method, "http://"+c.addr+q.path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = c.site(s, way)
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	resp, err := plainClient().Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	var b strings.Builder
	fmt.Fprintln(&b, resp.Status)
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		value := strings.Join(resp.Header[name], " | ")
		if name == "Content-Length" && value == strconv.Itoa(len(text)) {
			value = "that" // of the names in it
		}
		if name != "Date" && name != "X-Powered-By" && name != "Etag" && name != "Last-Modified" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintf(&b, "\n%s %v", text, err)
	if len(text) > 4096 {
		return fmt.Sprintf("%s\n%d bytes, md5 %x", resp.Status, len(text), md5.Sum(text))
	}
	return strings.ReplaceAll(strings.ReplaceAll(s.neutral(b.String()), s.tcp(), "TCP"), filepath.Base(s.dir), "SITE")
}

// connected counts the connections to a unix socket that are open.
func connected(t *testing.T, socket string) (n int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) == 8 && f[7] == socket && f[5] == "03" {
			n++
		}
	}
	return n
}

// The configuration of the sides behind web servers. Idle kept connections hold children of php-fpm, so there are many.
const clientPools = `[global]
error_log = DIR/error.log
[www]
USER
listen = DIR/www.sock
pm = ondemand
pm.max_children = 40
php_value[post_max_size] = 64M
php_value[upload_max_filesize] = 64M
[tcp]
USER
listen = TCP
pm = ondemand
pm.max_children = 40
php_value[post_max_size] = 64M
php_value[upload_max_filesize] = 64M
`

// clientFiles are the scripts behind web servers.
var clientFiles = map[string]string{
	"index.php": `<?php echo "index ", $_SERVER['SCRIPT_NAME'];`,
	"hello.php": `<?php echo "hello ", $_GET['n'] ?? '-';`,
	"env.php": `<?php foreach (['SCRIPT_NAME', 'SCRIPT_FILENAME', 'PATH_INFO', 'PATH_TRANSLATED', 'ORIG_SCRIPT_NAME', 'ORIG_SCRIPT_FILENAME', 'ORIG_PATH_INFO', 'REQUEST_URI',
		'PHP_SELF', 'REQUEST_METHOD', 'QUERY_STRING', 'DOCUMENT_ROOT', 'CONTENT_LENGTH', 'CONTENT_TYPE', 'HTTP_X_MINE', 'HTTP_COOKIE', 'HTTP_HOST', 'SERVER_NAME', 'HTTPS',
		'PHP_AUTH_USER', 'argc', 'REDIRECT_STATUS', 'REDIRECT_URL', 'SERVER_PROTOCOL', 'GATEWAY_INTERFACE'] as $k) echo "$k=", $_SERVER[$k] ?? '-', "\n";`,
	"body.php":       `<?php echo $_SERVER['CONTENT_LENGTH'] ?? '-', ' ', md5(file_get_contents('php://input'));`,
	"form.php":       `<?php echo json_encode($_POST);`,
	"upload.php":     `<?php $f = $_FILES['f']; echo $f['error'], ' ', $f['name'], ' ', $f['size'], ' ', md5_file($f['tmp_name']), ' ', move_uploaded_file($f['tmp_name'], $f['tmp_name'] . 'x'), ' ', unlink($f['tmp_name'] . 'x');`,
	"large.php":      `<?php for ($i = 0; $i < 60; $i++) echo str_repeat(chr(65 + $i % 26), 50000);`,
	"code.php":       `<?php http_response_code(418); header('X-Mine: yes'); setcookie('a', 'b'); setcookie('c', 'd'); echo "teapot";`,
	"redirect.php":   `<?php header('Location: http://example.com/there');`,
	"log.php":        `<?php error_log('first thing'); error_log('second thing'); echo "logged";`,
	"fatal.php":      `<?php ini_set('display_errors', '0'); undefined();`,
	"empty.php":      ``,
	"plain.txt":      `<?php echo "must not run";`,
	"folder/sub.php": `<?php echo "sub ", getcwd() === dirname(__FILE__) ? 'here' : 'elsewhere';`,
	"sp ace.php":     `<?php echo "with a space ", $_SERVER['SCRIPT_NAME'];`,
}

// clientCases are what browsers ask.
func clientCases(t *testing.T) []clientCase {
	t.Helper()
	large := strings.Repeat("0123456789abcdef", 3<<17)
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	part, err := parts.CreateFormFile("f", "large.bin")
	if err == nil {
		_, err = io.WriteString(part, strings.Repeat(large, 4))
	}
	if err == nil {
		err = parts.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum([]byte(large))
	return []clientCase{
		{name: "hello", method: "GET", path: "/hello.php", want: "hello -"},
		{name: "query", method: "GET", path: "/hello.php?n=" + url.QueryEscape("a b&c"), want: "hello a b&c"},
		{name: "HEAD", method: "HEAD", path: "/hello.php", want: "200 OK"},
		{name: "environment", method: "GET", path: "/env.php?x=1", want: "SCRIPT_NAME=/env.php\n", header: map[string]string{"X-Mine": "1", "Cookie": "a=b", "Authorization": "Basic dTpw"}},
		{name: "PATH_INFO", method: "GET", path: "/env.php/a/b?x=1", want: "PATH_INFO=/a/b\n"},
		{name: "PATH_INFO that ends in a slash", method: "GET", path: "/env.php/a/", want: "PATH_INFO=/a"},
		{name: "PATH_INFO with another script's name", method: "GET", path: "/env.php/hello.php", want: "200 OK"},
		{name: "PATH_INFO with a space", method: "GET", path: "/env.php/1%202", want: "SCRIPT_NAME=/env.php\n"},
		{name: "PATH_INFO with an encoded slash", method: "GET", path: "/env.php/a%2Fb"},
		{name: "PATH_INFO with a question mark", method: "GET", path: "/env.php/a%3Fb?x=1"},
		{name: "PATH_INFO with umlauts", method: "GET", path: "/env.php/%C3%A4/%c3%b6", want: "SCRIPT_NAME=/env.php\n"},
		{name: "PATH_INFO with a percent sign", method: "GET", path: "/env.php/100%25/%2541"},
		{name: "PATH_INFO with two slashes", method: "GET", path: "/env.php//a//b"},
		{name: "PATH_INFO with a plus sign", method: "GET", path: "/env.php/1+2"},
		{name: "form", method: "POST", path: "/form.php", body: "a=1&b=2", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, want: `{"a":"1","b":"2"}`},
		{name: "body", method: "POST", path: "/body.php", body: "abc", want: "3 900150983cd24fb0d6963f7d28e17f72"},
		{name: "large body", method: "PUT", path: "/body.php", body: large, want: strconv.Itoa(len(large)) + " " + hex.EncodeToString(sum[:])},
		{name: "large upload", method: "POST", path: "/upload.php", body: form.String(), header: map[string]string{"Content-Type": parts.FormDataContentType()}, want: "0 large.bin 25165824 "},
		{name: "large answer", method: "GET", path: "/large.php", want: "3000000 bytes"},
		{name: "status and cookies", method: "GET", path: "/code.php", want: "teapot"},
		{name: "redirect", method: "GET", path: "/redirect.php", want: "http://example.com/there"},
		{name: "messages", method: "GET", path: "/log.php", want: "logged"},
		{name: "fatal error", method: "GET", path: "/fatal.php", want: "500 Internal Server Error"},
		{name: "empty", method: "GET", path: "/empty.php", want: "200 OK"},
		{name: "folder", method: "GET", path: "/folder/sub.php", want: "sub here"},
		{name: "name with a space", method: "GET", path: "/sp%20ace.php"},
		{name: "missing script", method: "GET", path: "/missing.php"},
		{name: "missing script with PATH_INFO", method: "GET", path: "/missing.php/a"},
		{name: "folder with a script's name", method: "GET", path: "/folder/"},
		{name: "forbidden extension", method: "GET", path: "/plain.txt"},
		{name: "walking back to what is no script", method: "GET", path: "/plain.txt/x.php"},
		{name: "index", method: "GET", path: "/"},
	}
}

// TestFPMClients has php-fpm and phpserve, with either engine, answer Apache and Caddy, configured as docs/deployment.md says, and
// compares what a browser gets.
func TestFPMClients(t *testing.T) {
	t.Parallel()
	var sides []*side
	for _, engine := range []string{"", "zygote", "spawn"} {
		name, args := "php-fpm", []string(nil)
		if engine != "" {
			name, args = "phpserve", []string{"--engine", engine}
		}
		s := newSide(t, name, strings.Replace(clientPools, "TCP", freeAddress(t, "127.0.0.1"), 1), clientFiles)
		s.start(args...)
		sides = append(sides, s)
	}
	cases := clientCases(t)
	for _, start := range []func(*testing.T, string, []*side) *fpmClient{startApache, startCaddy} {
		c := start(t, openFolder(t, "phpserve-client-"), sides)
		for _, way := range c.ways {
			t.Run(c.name+" "+way, func(t *testing.T) {
				for _, q := range cases {
					want := c.send(t, sides[0], way, &q)
					if !strings.Contains(want, q.want) {
						t.Errorf("%s: php-fpm itself says %q", q.name, want)
					}
					for i, s := range sides[1:] {
						if got := c.send(t, s, way, &q); got != want {
							t.Errorf("%s, phpserve %d\nphp-fpm:  %q\nphpserve: %q", q.name, i, want, got)
						}
					}
				}
				// Of a body whose length the web server does not know php-fpm reads nothing, or waits for more (Caddy).
				chunked := clientCase{method: "POST", path: "/body.php", body: "abc", chunked: true}
				for _, s := range sides[1:] {
					if got := c.send(t, s, way, &chunked); !strings.Contains(got, "3 900150983cd24fb0d6963f7d28e17f72") {
						t.Errorf("body of unknown length: %q", got)
					}
				}
			})
		}
	}
	for _, s := range sides {
		if code := s.stop(syscall.SIGQUIT); code != 0 {
			t.Errorf("%s: exit code %d\n%s", s.name, code, s.out)
		}
	}
}

// TestFPMClientsKeepConnections: with enablereuse=on Apache sends many requests over few connections; eight clients at once, and none
// is lost. Those connections hold no worker: the only one serves somebody else.
func TestFPMClientsKeepConnections(t *testing.T) {
	t.Parallel()
	config := strings.NewReplacer("TCP", freeAddress(t, "127.0.0.1"), "max_children = 40", "max_children = 1").Replace(clientPools)
	s := startOwn(t, config, clientFiles)
	socket := filepath.Join(s.dir, "www.sock")
	c := startApache(t, openFolder(t, "phpserve-client-"), []*side{s})
	for _, way := range []string{"handler", "kept"} {
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for i := range 30 {
					q := &clientCase{method: "GET", path: fmt.Sprintf("/hello.php?n=%d", i)}
					if answer := c.send(t, s, way, q); !strings.HasPrefix(answer, "200 OK\n") || !strings.Contains(answer, fmt.Sprintf("hello %d ", i)) {
						t.Errorf("%s: %s", way, answer)
					}
				}
			})
		}
		clients.Wait()
		if way == "handler" {
			eventually(t, "Apache has ended its connections", func() bool { return connected(t, socket) == 0 })
		} else if n := connected(t, socket); n == 0 || n > 10 {
			t.Errorf("%d connections are kept", n)
		}
		if answer := s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/hello.php"}, ""); !strings.Contains(answer, "hello -") {
			t.Errorf("the worker is not free: %s", answer)
		}
	}
	if code := s.stop(syscall.SIGQUIT); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.out)
	}
}

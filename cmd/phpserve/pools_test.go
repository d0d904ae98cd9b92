//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/fastcgi"
)

// visitHost is a visitor of one host of a server.
func visitHost(t *testing.T, s *instance, host string) *visitor {
	t.Helper()
	at, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	v := newVisitor(t, "http://"+host+":"+at.Port())
	v.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at.Host)
	}}
	t.Cleanup(v.client.CloseIdleConnections)
	return v
}

// TestPoolsOfSites gives each site a pool of its own: PHP, user, settings, environment and opcache.
func TestPoolsOfSites(t *testing.T) {
	t.Parallel()
	dir := openFolder(t, "phpserve-pools-")
	user := func(name string) string {
		if os.Geteuid() != 0 {
			return ""
		}
		return ", user: " + name
	}
	script := `<?php
		$scripts = array_map('basename', array_keys(opcache_get_status()['scripts'] ?? []));
		echo PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION, ' ', get_current_user() ? posix_getpwuid(posix_geteuid())['name'] : '', ' who=', getenv('WHO'),
			' limit=', ini_get('memory_limit'), ' set=', var_export(@ini_set('memory_limit', '200M'), true), ' precision=', ini_get('precision'),
			' other=', var_export(in_array(basename(__DIR__) === 'a' ? 'only-b.php' : 'only-a.php', $scripts), true);`
	for name, text := range map[string]string{
		"a/index.php": script, "b/index.php": script, "a/only-a.php": "<?php echo 1;", "b/only-b.php": "<?php echo 2;",
		"my.yaml": fmt.Sprintf(`
root: a
hosts: [a.example]
pool: shop
sites:
  - {root: b, hosts: [b.example], pool: blog}
  - {root: b, hosts: [c.example]}
precision_note: x
php_value: [precision=9]
pools:
  shop: {pm: static, pm.max_children: 1, php_admin_value: [memory_limit=77M], env: [WHO=$pool]%s}
  blog: {php: %s, pm: ondemand, pm.max_children: 2, php_value: [memory_limit=66M, precision=5], env: [WHO=blogger], listen: %s/blog.sock, pm.status_path: /status%s}
`, user("www-data"), otherPHP(t), dir, user("nobody")),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := phpserve(t, "check", "--config", filepath.Join(dir, "my.yaml"))
	if code == 0 || !strings.Contains(errs, "precision_note") || !regexp.MustCompile(`my\.yaml:8: unknown key`).MatchString(errs) {
		t.Errorf("an unknown key: %d %s%s", code, out, errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "my.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "my.yaml"), []byte(strings.Replace(string(text), "precision_note: x\n", "", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := phpserve(t, "check", "--config", filepath.Join(dir, "my.yaml")); code != 0 {
		t.Fatalf("check: %d %s%s", code, out, errs)
	}
	s := serve(t, dir, "--config", "my.yaml")
	a, b, c := visitHost(t, s, "a.example"), visitHost(t, s, "b.example"), visitHost(t, s, "c.example")
	a.get(200, "/only-a.php").mustContain(t, "1")
	b.get(200, "/only-b.php").mustContain(t, "2")
	a.get(200, "/").mustContain(t, "8.2 ", "who=shop limit=77M set=false precision=9 other=false")
	b.get(200, "/").mustContain(t, otherVersion+" ", "who=blogger limit=66M set='66M' precision=5 other=false")
	c.get(200, "/").mustContain(t, "who=shop ") // a site takes the first one's
	if os.Geteuid() == 0 {
		a.get(200, "/").mustContain(t, " www-data who=")
		b.get(200, "/").mustContain(t, " nobody who=")
	}
	code, out, errs = phpserve(t, "status", "--control="+controlOf(t, s.cmd.Process.Pid))
	if code != 0 || !strings.Contains(out, "shop ") || !strings.Contains(out, "blog  "+otherVersion) || strings.Contains(out, "www ") {
		t.Errorf("status: %d %s%s", code, out, errs)
	}
	// The pool's FastCGI address, and its status there.
	nc, err := net.Dial("unix", filepath.Join(dir, "blog.sock"))
	if err != nil {
		t.Fatal(err)
	}
	conn := fastcgi.NewConn(nc)
	defer conn.Close()
	var params []byte
	for _, kv := range [][2]string{{"REQUEST_METHOD", "GET"}, {"SCRIPT_FILENAME", dir + "/b/status"}, {"SCRIPT_NAME", "/status"}, {"QUERY_STRING", ""}} {
		params = fastcgi.AppendParam(params, kv[0], kv[1])
	}
	if err := conn.Send(&fastcgi.Request{Params: params}); err != nil {
		t.Fatal(err)
	}
	rec, err := conn.Next()
	if err != nil || !strings.Contains(string(rec.Content), "pool:                 blog\nprocess manager:      ondemand\n") {
		t.Errorf("the status: %v %s", err, rec.Content)
	}
}

// TestPoolsRefuse: what cannot work is said with the place and what is allowed.
func TestPoolsRefuse(t *testing.T) {
	t.Parallel()
	dir := openFolder(t, "phpserve-pools-")
	if err := os.WriteFile(filepath.Join(dir, "index.php"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, config, want string }{
		{"an unknown pool", "root: .\npool: shopp\npools:\n  shop: {}\n", `my.yaml:2: pool: there is no pool "shopp", did you mean "shop"?`},
		{"an unknown key", "root: .\npool: shop\npools:\n  shop:\n    max_children: 3\n", "my.yaml:5"},
		{"php-fpm's rule", "root: .\npool: shop\npools:\n  shop: {pm: dynamic, pm.max_children: 2, pm.start_servers: 9}\n", "[pool shop] pm.start_servers(9)"},
		{"a chroot of a site", "root: .\npool: shop\npools:\n  shop: {chroot: /}\n", "HTTP sites cannot be run in a chroot"},
		{"one address twice", "root: .\npools:\n  a: {listen: 127.0.0.1:9}\n  b: {listen: 127.0.0.1:9}\n", "[pool b] unable to set listen address as it's already used in another pool 'a'"},
		{"a bad name", "root: .\npools:\n  \"a b\": {}\n", "a b"},
		{"a bad flag", "root: .\npool: shop\npools:\n  shop: {php_flag: [display_errors=maybe]}\n", `php_flag "display_errors=maybe" must be NAME=yes or NAME=no`},
		{"a slow log without a file", "root: .\npool: shop\npools:\n  shop: {request_slowlog_timeout: 5s}\n", "'slowlog' must be specified for use with 'request_slowlog_timeout'"},
		{"an unknown slow log format", "root: .\npool: shop\npools:\n  shop: {slowlog.format: xml}\n", `slowlog.format must be phpserve or fpm, not "xml"`},
		{"no such PHP", "root: .\npool: shop\npools:\n  shop: {php: \"5.6\"}\n", "[pool shop] php: "},
		{"pools and fpm_config", "root: .\nfpm_config: x.conf\npools:\n  shop: {}\n", "pools and fpm_config cannot be used together"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, "my.yaml")
			if err := os.WriteFile(file, []byte(tt.config), 0o644); err != nil {
				t.Fatal(err)
			}
			if code, out, errs := phpserve(t, "check", "--config", file); code == 0 || !strings.Contains(errs, tt.want) {
				t.Errorf("code %d, no %q in %s%s", code, tt.want, out, errs)
			}
		})
	}
}

// TestSlowlogOfASite tells the request, the class and the line.
func TestSlowlogOfASite(t *testing.T) {
	t.Parallel()
	dir := openFolder(t, "phpserve-slow-")
	script := "<?php\nclass Shop { function page($password) { do { usleep(1300000); clearstatcache(); } while (!filesize('slow.log')); } }\n(new Shop)->page('geheim');\n"
	for name, text := range map[string]string{
		"index.php": script, "my.yaml": "root: .\nrequest_slowlog_timeout: 1s\nslowlog: slow.log\nslowlog.args: yes\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, dir, "--config", "my.yaml")
	newVisitor(t, s.url).get(200, "/?article=7")
	log, err := os.ReadFile(filepath.Join(dir, "slow.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"request = GET /?article=7\nclient = 127.0.0.1\nrequest_id = ", "#0 usleep($microseconds = 1300000)\n",
		"#1 Shop->page($password = ***) " + dir + "/index.php:2\n", "#2 {main} " + dir + "/index.php:3\n",
	} {
		if !strings.Contains(string(log), want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
}

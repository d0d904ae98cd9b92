package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/server/site"
)

// absent stands in tables for a variable that must not be there.
const absent = "<absent>"

// checkVars compares variables; absent says that one must not be set.
func checkVars(t *testing.T, vars map[string]any, want map[string]string) {
	t.Helper()
	for name, value := range want {
		got, ok := vars[name]
		switch {
		case value == absent && ok:
			t.Errorf("%s = %q, want it absent", name, got)
		case value != absent && (!ok || fmt.Sprint(got) != value):
			t.Errorf("%s = %q (set: %v), want %q", name, got, ok, value)
		}
	}
}

// rawVars sends a request as it is and returns $_SERVER of the answer.
func rawVars(t *testing.T, ts *testServer, request string) map[string]any {
	t.Helper()
	all := answers(t, wire(t, ts, request), "GET")
	if len(all) != 1 {
		t.Fatalf("%d responses to %q", len(all), request)
	}
	return serverVars(t, all[0])
}

// eachDialect runs a test per engine and set of variables.
func eachDialect(t *testing.T, files map[string]string, change func(*Config), test func(t *testing.T, ts *testServer, dialect string)) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		for _, dialect := range []string{site.CGIPHP, site.CGIRFC3875} {
			t.Run(dialect, func(t *testing.T) {
				ts := startServer(t, engine, files, func(c *Config) {
					c.Sites[0].CGI = dialect
					if change != nil {
						change(c)
					}
				})
				test(t, ts, dialect)
			})
		}
	})
}

func TestEnvironmentHasTheVariablesOfRFC3875(t *testing.T) {
	eachDialect(t, map[string]string{"env.php": serverScript}, func(c *Config) { c.Sites[0].Env = []string{"APP_ENV=prod", "HTTP_X_MINE=m"} },
		func(t *testing.T, ts *testServer, dialect string) {
			_, port, _ := net.SplitHostPort(ts.addr)
			php := func(v string) string {
				if dialect == site.CGIPHP {
					return v
				}
				return absent
			}
			rfc := func(v string) string {
				if dialect == site.CGIRFC3875 {
					return v
				}
				return absent
			}
			software := "phpserve/test (nginx)" // WordPress and others look for a server that they know
			if dialect == site.CGIRFC3875 {
				software = "phpserve/test"
			}
			vars := rawVars(t, ts, "POST /env.php/a%20b/%c3%bc?x=1&y=%20+ HTTP/1.1\r\nHost: Site.test\r\nConnection: close\r\n"+
				"Content-Type: text/plain; charset=x\r\nContent-Length: 5\r\nAuthorization: Basic dTpw\r\nCookie: a=b\r\nCookie: c=d\r\n"+
				"Accept: text/x\r\nAccept: text/y\r\nUser-Agent: me/1\r\n\r\nhello")
			checkVars(t, vars, map[string]string{
				"AUTH_TYPE":          absent,                  // §4.1.1: phpserve asks for no credentials
				"CONTENT_LENGTH":     "5",                     // §4.1.2
				"CONTENT_TYPE":       "text/plain; charset=x", // §4.1.3
				"GATEWAY_INTERFACE":  "CGI/1.1",               // §4.1.4
				"PATH_INFO":          "/a b/ü",                // §4.1.5: decoded
				"PATH_TRANSLATED":    rfc(ts.root + "/a b/ü"), // §4.1.6
				"QUERY_STRING":       "x=1&y=%20+",            // §4.1.7: not decoded
				"REMOTE_ADDR":        "127.0.0.1",             // §4.1.8
				"REMOTE_HOST":        rfc("127.0.0.1"),        // §4.1.9: the address in place of the name
				"REMOTE_IDENT":       absent,                  // §4.1.10
				"REMOTE_USER":        absent,                  // §4.1.11
				"REQUEST_METHOD":     "POST",                  // §4.1.12
				"SCRIPT_NAME":        "/env.php",              // §4.1.13
				"SERVER_NAME":        "Site.test",             // §4.1.14
				"SERVER_PORT":        port,                    // §4.1.15
				"SERVER_PROTOCOL":    "HTTP/1.1",              // §4.1.16
				"SERVER_SOFTWARE":    software,                // §4.1.17
				"HTTP_ACCEPT":        "text/x, text/y",        // §4.1.18
				"HTTP_USER_AGENT":    "me/1",
				"HTTP_HOST":          "Site.test",
				"HTTP_COOKIE":        "a=b; c=d",
				"HTTP_AUTHORIZATION": php("Basic dTpw"), // §4.1.18: SHOULD be withheld; PHP needs it
				"PHP_AUTH_USER":      php("u"),
				"HTTP_CONTENT_TYPE":  php("text/plain; charset=x"), "HTTP_CONTENT_LENGTH": php("5"), "HTTP_CONNECTION": php("close"),
				"SCRIPT_FILENAME": filepath.Join(ts.root, "env.php"), "DOCUMENT_ROOT": ts.root,
				"REQUEST_URI":     php("/env.php/a%20b/%c3%bc?x=1&y=%20+"),
				"DOCUMENT_URI":    php("/env.php/a b/ü"),
				"REQUEST_SCHEME":  php("http"),
				"SERVER_ADDR":     php("127.0.0.1"),
				"REDIRECT_STATUS": php("200"),
				"HTTPS":           absent,
				"PHP_SELF":        "/env.php/a b/ü",
				"APP_ENV":         "prod", "HTTP_X_MINE": "m", // the operator's own
				"INPUT": "hello",
			})
			if _, ok := vars["REMOTE_PORT"]; ok != (dialect == site.CGIPHP) {
				t.Errorf("REMOTE_PORT = %v", vars["REMOTE_PORT"])
			}
			id, _ := vars["HTTP_X_REQUEST_ID"].(string)
			if len(id) != 32 {
				t.Errorf("HTTP_X_REQUEST_ID = %q", id)
			}
		})
}

func TestEnvironmentNamesTheServerAsTheRequestDoes(t *testing.T) {
	eachDialect(t, map[string]string{"env.php": serverScript}, nil, func(t *testing.T, ts *testServer, dialect string) {
		_, port, _ := net.SplitHostPort(ts.addr)
		v6, php := "::1", func(v string) string { return v }
		if dialect == site.CGIRFC3875 {
			v6 = "[::1]"                                // RFC 3875 §4.1.14
			php = func(string) string { return absent } // RFC 9110 §7.6.1: it is of the connection
		}
		const end = "Connection: close\r\n\r\n"
		for _, tt := range []struct {
			name, request string
			want          map[string]string
		}{
			{
				"Host with a port", "GET /env.php HTTP/1.1\r\nHost: a.test:8443\r\n" + end,
				map[string]string{"SERVER_NAME": "a.test", "SERVER_PORT": "8443", "HTTP_HOST": "a.test:8443"},
			},
			{
				"Host without a port", "GET /env.php HTTP/1.1\r\nHost: a.test\r\n" + end,
				map[string]string{"SERVER_NAME": "a.test", "SERVER_PORT": port},
			},
			{
				"Host with an empty port", "GET /env.php HTTP/1.1\r\nHost: a.test:\r\n" + end,
				map[string]string{"SERVER_NAME": "a.test", "SERVER_PORT": port},
			},
			{
				"IPv6 with a port", "GET /env.php HTTP/1.1\r\nHost: [::1]:81\r\n" + end,
				map[string]string{"SERVER_NAME": v6, "SERVER_PORT": "81", "HTTP_HOST": "[::1]:81"},
			},
			{
				"IPv6 without a port", "GET /env.php HTTP/1.1\r\nHost: [::1]\r\n" + end,
				map[string]string{"SERVER_NAME": v6, "SERVER_PORT": port},
			},
			{
				"RFC 9112 3.2.2 absolute form counts more than Host", "GET http://b.test:82/env.php/i?q HTTP/1.1\r\nHost: a.test\r\n" + end,
				map[string]string{"SERVER_NAME": "b.test", "SERVER_PORT": "82", "HTTP_HOST": "b.test:82", "PATH_INFO": "/i", "QUERY_STRING": "q"},
			},
			{
				"HTTP/1.0 without Host", "GET /env.php HTTP/1.0\r\n\r\n",
				map[string]string{"SERVER_NAME": "127.0.0.1", "SERVER_PORT": port, "SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": absent},
			},
			{
				"HTTP/1.0 with Host", "GET /env.php HTTP/1.0\r\nHost: a.test\r\n\r\n",
				map[string]string{"SERVER_NAME": "a.test", "SERVER_PROTOCOL": "HTTP/1.0"},
			},
			{
				"no body, no CONTENT_LENGTH (RFC 3875 4.1.2)", "POST /env.php HTTP/1.1\r\nHost: a\r\n" + end,
				map[string]string{"CONTENT_LENGTH": absent, "CONTENT_TYPE": absent},
			},
			{
				"a body that is said to be empty", "POST /env.php HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + end,
				map[string]string{"CONTENT_LENGTH": "0", "CONTENT_TYPE": absent},
			},
			{
				"announced trailers, which are not the script's themselves",
				"POST /env.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-B, x-a\r\nTrailer: X-C\r\n" + end + "1\r\nz\r\n0\r\nX-A: 1\r\nX-D: 2\r\n\r\n",
				map[string]string{"HTTP_TRAILER": php("X-A, X-B, X-C"), "HTTP_X_A": absent, "HTTP_X_D": absent, "INPUT": "z"},
			},
			{"no trailers", "GET /env.php HTTP/1.1\r\nHost: a\r\n" + end, map[string]string{"HTTP_TRAILER": absent}},
			{
				"no query, empty QUERY_STRING (RFC 3875 4.1.7)", "GET /env.php HTTP/1.1\r\nHost: a\r\n" + end,
				map[string]string{"QUERY_STRING": "", "PATH_INFO": absent, "PATH_TRANSLATED": absent},
			},
			{"X-Request-Id of a stranger is not believed", "GET /env.php HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n" + end, nil},
		} {
			t.Run(tt.name, func(t *testing.T) {
				vars := rawVars(t, ts, tt.request)
				checkVars(t, vars, tt.want)
				if vars["HTTP_X_REQUEST_ID"] == "mine" {
					t.Error("the request id is the client's")
				}
			})
		}
	})
}

func TestEnvironmentPathInfo(t *testing.T) {
	files := map[string]string{"index.php": serverScript, "sub/page.php": serverScript, "a.phtml": serverScript, "dir.php/real.php": serverScript}
	type want map[string]string
	tests := []struct {
		name, target, mode string
		want               want // nil: 404
	}{
		{"auto", "/index.php/a/b", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/a/b"}},
		{"auto without", "/index.php", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": absent, "PHP_SELF": "/index.php"}},
		{"encoded slash", "/index.php/a%2Fb", site.PathInfoAuto, want{"PATH_INFO": "/a/b", "PHP_SELF": "/index.php/a/b"}},
		{"unicode", "/index.php/%E4%BD%A0%F0%9F%98%80", site.PathInfoAuto, want{"PATH_INFO": "/你😀"}},
		{"two slashes are one, as with nginx and Apache", "/index.php/AC//DC/", site.PathInfoAuto, want{"PATH_INFO": "/AC/DC/", "REQUEST_URI": "/index.php/AC//DC/"}},
		{"two slashes behind the script", "/index.php//x", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/x", "PHP_SELF": "/index.php/x"}},
		{"a slash behind the script", "/index.php/?q", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/", "PHP_SELF": "/index.php/", "QUERY_STRING": "q"}},
		{"three slashes behind the script", "/index.php///", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/"}},
		{"two slashes before the script", "//index.php/x", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/x", "REQUEST_URI": "//index.php/x"}},
		{"dot segments behind the script", "/index.php/./x/../y/.", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/y/"}},
		{"out of the script again", "/index.php/../sub/page.php/x", site.PathInfoAuto, want{"SCRIPT_NAME": "/sub/page.php", "PATH_INFO": "/x"}},
		{"out of the script again, encoded", "/index.php/%2e%2e/sub/page.php", site.PathInfoAuto, want{"SCRIPT_NAME": "/sub/page.php", "PATH_INFO": absent}},
		{"an encoded slash is the end of the script", "/index.php%2fx", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/x"}},
		{"an encoded dot in the script", "/index%2ephp/x", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/x", "REQUEST_URI": "/index%2ephp/x"}},
		{"encoded once only", "/index.php/a%252fb", site.PathInfoAuto, want{"PATH_INFO": "/a%2fb"}},
		{"a script's name twice", "/index.php/index.php/y", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/index.php/y"}},
		{"characters of URIs and others", "/index.php/a;b:c@d[e]\"f\"<g>~h|i\\j", site.PathInfoAuto, want{"PATH_INFO": "/a;b:c@d[e]\"f\"<g>~h|i\\j"}},
		{"MediaWiki title", "/index.php/Title:With/Slash?action=raw", site.PathInfoAuto, want{"PATH_INFO": "/Title:With/Slash", "QUERY_STRING": "action=raw"}},
		{"script names in PATH_INFO are data", "/index.php/sub/page.php/x", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/sub/page.php/x"}},
		{"dotfiles in PATH_INFO are data", "/index.php/.git/config", site.PathInfoAuto, want{"PATH_INFO": "/.git/config"}},
		{"plus and percent", "/index.php/a+b%25c", site.PathInfoAuto, want{"PATH_INFO": "/a+b%c"}},
		{"folder that ends like a script", "/dir.php/real.php/i", site.PathInfoAuto, want{"SCRIPT_NAME": "/dir.php/real.php", "PATH_INFO": "/i"}},
		{"script in a folder", "/sub//page.php/i", site.PathInfoAuto, want{"SCRIPT_NAME": "/sub/page.php", "PATH_INFO": "/i"}},
		{
			"front controller keeps REQUEST_URI", "/blog/2024?a=b", site.PathInfoAuto,
			want{"SCRIPT_NAME": "/index.php", "REQUEST_URI": "/blog/2024?a=b", "PATH_INFO": absent, "PHP_SELF": "/index.php", "DOCUMENT_URI": "/index.php"},
		},
		{"front controller for a missing script", "/none.php/a", site.PathInfoAuto, want{"SCRIPT_NAME": "/index.php", "REQUEST_URI": "/none.php/a", "PATH_INFO": absent}},
		{"off: script alone", "/sub/page.php", site.PathInfoOff, want{"SCRIPT_NAME": "/sub/page.php", "PATH_INFO": absent}},
		{"off: front controller answers what lies behind a script", "/sub/page.php/a", site.PathInfoOff, want{"SCRIPT_NAME": "/index.php", "PATH_INFO": absent}},
		{
			"required: the whole path for the front controller", "/blog/2024?a=b", site.PathInfoRequired,
			want{"SCRIPT_NAME": "/index.php", "PATH_INFO": "/blog/2024", "REQUEST_URI": "/blog/2024?a=b"},
		},
		{"required: scripts as ever", "/sub/page.php/a", site.PathInfoRequired, want{"SCRIPT_NAME": "/sub/page.php", "PATH_INFO": "/a"}},
		{"script_extensions adds a script", "/a.phtml/i", site.PathInfoAuto, want{"SCRIPT_NAME": "/a.phtml", "PATH_INFO": "/i"}},
	}
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, files, func(c *Config) {
			auto := c.Sites[0]
			auto.FrontController, auto.ScriptExtensions = "index.php", []string{".php", ".phtml"}
			c.Sites = nil
			for _, mode := range []string{site.PathInfoAuto, site.PathInfoOff, site.PathInfoRequired} {
				site := auto
				site.PathInfo, site.Hosts = mode, []string{mode + ".test"}
				c.Sites = append(c.Sites, site)
			}
			plain := auto
			plain.Hosts, plain.FrontController, plain.ScriptExtensions = []string{"plain.test"}, "", []string{".php"}
			off := plain
			off.Hosts, off.PathInfo = []string{"plainoff.test"}, site.PathInfoOff
			c.Sites = append(c.Sites, plain, off)
		})
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				checkVars(t, rawVars(t, ts, "GET "+tt.target+" HTTP/1.1\r\nHost: "+tt.mode+".test\r\nConnection: close\r\n\r\n"), tt.want)
			})
		}
		for request, status := range map[string]int{
			"/none.php/a plain": 404, "/a.phtml plain": 404, "/index.php/a plainoff": 404, "/index.php plainoff": 200, "/blog plain": 404,
		} {
			target, host, _ := strings.Cut(request, " ")
			text := wire(t, ts, "GET "+target+" HTTP/1.1\r\nHost: "+host+".test\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(text, fmt.Sprintf("HTTP/1.1 %d ", status)) {
				t.Errorf("GET %s for %s.test: %.40q, want %d", target, host, text, status)
			}
		}
	})
}

// A release is a folder, and "current" a link to it that a deployment switches with rename(2).
func TestEnvironmentSwitchedReleaseIsNeverStale(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		var base string
		ts := startServer(t, engine, nil, func(c *Config) {
			base = filepath.Dir(c.Sites[0].Root)
			for _, n := range []string{"1", "2"} {
				testfiles.Put(t, filepath.Join(base, "releases", n), map[string]string{
					"index.php": `<?php echo "` + n + ` ", require 'part.php', ' ', $_SERVER['SCRIPT_FILENAME'], ' ', $_SERVER['DOCUMENT_ROOT'];`,
					"part.php":  `<?php return '` + n + `';`,
				})
			}
			switchRelease(t, base, "1")
			c.Sites[0].Root, c.Sites[0].ResolveSymlinks = filepath.Join(base, "current"), true
			c.Pools[0].PHPValue = []string{"opcache.enable=1", "opcache.validate_timestamps=0", "realpath_cache_ttl=600"}
		})
		for i := range 20 {
			n := []string{"1", "2"}[i%2]
			switchRelease(t, base, n)
			for range 3 {
				real := filepath.Join(base, "releases", n)
				want := n + " " + n + " " + filepath.Join(real, "index.php") + " " + real
				if got := askWire(t, ts, "GET", "/"); got.body != want {
					t.Fatalf("after switch %d: %q, want %q", i, got.body, want)
				}
			}
		}
	})
}

func switchRelease(t *testing.T, base, release string) {
	t.Helper()
	next := filepath.Join(base, "next")
	if err := os.Symlink(filepath.Join("releases", release), next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(base, "current")); err != nil {
		t.Fatal(err)
	}
}

// Applications look into SERVER_SOFTWARE for a server that they know. WordPress (wp-includes/vars.php, wp-admin/includes/misc.php) offers
// links without index.php where it finds nginx, writes rules into .htaccess where it finds Apache, and web.config where it finds IIS.
func TestServerSoftwareIsTakenForAServerThatRewritesByItself(t *testing.T) {
	t.Parallel()
	const script = `<?php
$s = $_SERVER['SERVER_SOFTWARE'];
$apache = strpos($s, 'Apache') !== false || strpos($s, 'LiteSpeed') !== false;
$nginx = strpos($s, 'nginx') !== false;
$iis = strpos($s, 'Microsoft-IIS') !== false || strpos($s, 'ExpressionDevServer') !== false;
$parts = explode('/', $s); // lighttpd before 1.5 is told by both
echo $apache || $nginx ? 'pretty links' : 'links with index.php', $apache ? ', writes .htaccess' : '', $iis ? ', writes web.config' : '';
echo count($parts) === 2 && $parts[0] === 'phpserve' ? ', phpserve' : ', ' . $s;`
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"a.php": script}, nil)
		if got := askWire(t, ts, "GET", "/a.php"); got.body != "pretty links, phpserve" {
			t.Errorf("got %q", got.body)
		}
	})
}

//go:build unix

package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/phpfpm"
)

// sides are php-fpm and phpserve with the same pool, to be asked the same.
type sides struct {
	root    string
	fpm     *phpfpm.FPM
	ts      *testServer
	fpmAddr string
	ownAddr string
	fpmConn *fastcgi.Conn
	ownConn *fastcgi.Conn
}

// startSides starts both for the files; directives are further lines of php-fpm's pool, of which change does the same to ours.
func startSides(t *testing.T, engine string, files map[string]string, directives string, change func(*Config)) *sides {
	t.Helper()
	s := &sides{}
	s.ts = startServer(t, engine, files, func(c *Config) {
		s.root = c.Sites[0].Root
		s.ownAddr = filepath.Join(filepath.Dir(s.root), "own.sock")
		c.Pools[0].MaxChildren, c.Pools[0].PM = 1, "static"
		c.Responders = []ResponderConfig{{Pool: "www", Listen: s.ownAddr, LimitExtensions: []string{".php", ".phar"}}}
		if change != nil {
			change(c)
		}
	})
	dir := filepath.Dir(s.root)
	s.fpmAddr = filepath.Join(dir, "fpm.sock")
	user := ""
	if name := testUser(); name != "" {
		user = "user = " + name + "\ngroup = " + name + "\n"
	}
	s.fpm = phpfpm.Start(t, dir, "[www]\nlisten = "+s.fpmAddr+"\npm = static\npm.max_children = 1\n"+user+
		strings.ReplaceAll(directives, "ROOT", s.root))
	return s
}

// reply is what a web server gets.
type reply struct {
	Head   []string
	Body   string
	Stderr string
}

// askSide sends a request on a connection that stays open and returns the answer.
func askSide(t *testing.T, conn **fastcgi.Conn, address string, params map[string]string, body string) reply {
	t.Helper()
	if *conn == nil || !(*conn).Reusable() {
		nc, err := net.Dial("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		*conn = fastcgi.NewConn(nc)
		t.Cleanup(func() { nc.Close() })
	}
	_ = (*conn).NetConn().SetDeadline(patient.LastMoment())
	var pairs []byte
	for _, name := range slices.Sorted(maps.Keys(params)) {
		pairs = fastcgi.AppendParam(pairs, name, params[name])
	}
	err := (*conn).Send(&fastcgi.Request{Params: pairs, Body: strings.NewReader(body), BodyLen: int64(len(body)), KeepConn: true})
	if err != nil {
		t.Fatal(err)
	}
	var out, stderr strings.Builder
	for {
		rec, err := (*conn).Next()
		if err != nil {
			t.Fatalf("%v: %v", params, err)
		}
		switch rec.Type {
		case fastcgi.TypeStdout:
			out.Write(rec.Content)
		case fastcgi.TypeStderr:
			stderr.Write(rec.Content)
		case fastcgi.TypeEndRequest:
			head, body, _ := strings.Cut(out.String(), "\r\n\r\n")
			r := reply{Body: body, Stderr: strings.TrimRight(stderr.String(), "\n")}
			for line := range strings.SplitSeq(head, "\r\n") {
				if !strings.HasPrefix(line, "X-Powered-By:") { // our own refusals do not tell
					r.Head = append(r.Head, line)
				}
			}
			return r
		}
	}
}

// both asks both sides.
func (s *sides) both(t *testing.T, params map[string]string, body string) (fpm, own reply) {
	t.Helper()
	return askSide(t, &s.fpmConn, s.fpmAddr, params, body), askSide(t, &s.ownConn, s.ownAddr, params, body)
}

// variablesScript prints what a script can see of where it is.
const variablesScript = `<?php $seen = [];
foreach (['SCRIPT_FILENAME', 'SCRIPT_NAME', 'PATH_INFO', 'PATH_TRANSLATED', 'PHP_SELF', 'DOCUMENT_ROOT', 'REDIRECT_URL', 'REQUEST_URI',
	'QUERY_STRING', 'ORIG_SCRIPT_FILENAME', 'ORIG_SCRIPT_NAME', 'ORIG_PATH_INFO', 'ORIG_PATH_TRANSLATED', 'SERVER_SOFTWARE'] as $name) {
	if (isset($_SERVER[$name])) { $seen[$name] = $_SERVER[$name]; }
}
echo json_encode($seen + ['FILE' => __FILE__, 'keys' => count(preg_grep('/PHPSERVE|[.]/', array_keys($_SERVER)))], JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES);`

// scriptRequests is every combination of what web servers say about a script.
func scriptRequests(root string) (all []map[string]string) {
	const absent = "\x00"
	choices := []struct {
		name   string
		values []string
	}{
		{"SCRIPT_FILENAME", []string{
			absent, "", "R/info.php", "R/info.php/a/b", "R/none.php", "R/sub", "R/sub/", "R/sub/none.php/x", "R/plain.txt", "R/plain.txt/y.php", "R/info.php/",
			"R/../public/info.php", "R/secret.php", "proxy:fcgi://host:9000R/info.php", "proxy:fcgi://hostR/info.php/pi%20x?q=1",
			"PROXY:Balancer://nameR/info.php/a/b", "proxy:fcgi://nopath", "info.php",
		}},
		{"SCRIPT_NAME", []string{absent, "/info.php", "/info.php/a/b", "/info.php/pi%20x"}},
		{"PATH_INFO", []string{absent, "", "/a/b", "/info.php/a/b", "/b"}},
		{"PATH_TRANSLATED", []string{absent, "R/a/b", "R/info.php"}},
		{"REDIRECT_URL", []string{absent, "/info.php/a"}},
		{"DOCUMENT_ROOT", []string{absent, "R", "R/"}},
	}
	all = []map[string]string{{"REQUEST_METHOD": "GET", "REQUEST_URI": "/as/sent?x=1", "QUERY_STRING": "x=1"}}
	for _, c := range choices {
		var next []map[string]string
		for _, params := range all {
			for _, value := range c.values {
				more := maps.Clone(params)
				if value != absent {
					more[c.name] = strings.ReplaceAll(value, "R", root)
				}
				next = append(next, more)
			}
		}
		all = next
	}
	for _, name := range []string{absent, "/info.php"} {
		for _, info := range []string{"/info.php", "/info.php/a/b", "/a"} {
			q := map[string]string{
				"REQUEST_METHOD": "GET", "SERVER_SOFTWARE": "Microsoft-IIS/10.0", "SCRIPT_FILENAME": root + "/info.php", "PATH_INFO": info,
			}
			if name != absent {
				q["SCRIPT_NAME"] = name
			}
			all = append(all, q)
		}
	}
	return all
}

// TestScriptIsFoundAsByPHPFPM asks php-fpm and phpserve the same for every combination of the parameters that matter.
func TestScriptIsFoundAsByPHPFPM(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, directives string
		fix              bool
	}{
		{"cgi.fix_pathinfo=1", "", true},
		{"cgi.fix_pathinfo=0", "php_admin_value[cgi.fix_pathinfo] = 0\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startSides(t, "zygote", map[string]string{
				"info.php": variablesScript, "plain.txt": variablesScript, "sub/x.php": variablesScript, "secret.php": variablesScript,
			}, tt.directives, func(c *Config) {
				if !tt.fix {
					c.Pools[0].PHPAdminValue = append(c.Pools[0].PHPAdminValue, "cgi.fix_pathinfo=0")
				}
			})
			if err := os.Chmod(filepath.Join(s.root, "secret.php"), 0o000); err != nil {
				t.Fatal(err)
			}
			asked, different := 0, 0
			for _, params := range scriptRequests(s.root) {
				_, file := params["SCRIPT_FILENAME"]
				_, translated := params["PATH_TRANSLATED"]
				_, name := params["SCRIPT_NAME"]
				if !file && !translated && name {
					continue // found by DOCUMENT_ROOT, where php-fpm knows nothing: TestScriptIsFoundWithoutItsFileName
				}
				asked++
				fpm, own := s.both(t, params, "")
				if got, want := own.String(), fpm.String(); got != want {
					if different++; different <= 10 {
						sent, _ := json.Marshal(params)
						t.Errorf("sent %s\nphp-fpm: %s\nphpserve: %s", sent, want, got)
					}
				}
			}
			if asked < 1000 {
				t.Errorf("only %d requests", asked)
			}
			t.Logf("%d requests, %d different", asked, different)
		})
	}
}

func (r reply) String() string {
	return fmt.Sprintf("%q %s stderr %q", r.Head, r.Body, r.Stderr)
}

// TestScriptIsFoundWithoutItsFileName: of a web server that sends what RFC 3875 has, the script is DOCUMENT_ROOT and SCRIPT_NAME, or
// the pool's chdir and SCRIPT_NAME. php-fpm answers 404.
func TestScriptIsFoundWithoutItsFileName(t *testing.T) {
	t.Parallel()
	root := makeRoot(t, map[string]string{"info.php": "", "plain.txt": ""})
	for _, tt := range []struct {
		name, want string
		params     map[string]string
		chdir      string
	}{
		{"by DOCUMENT_ROOT", root + "/info.php", map[string]string{"DOCUMENT_ROOT": root, "SCRIPT_NAME": "/info.php"}, "/"},
		{"by a DOCUMENT_ROOT with a slash", root + "/info.php", map[string]string{"DOCUMENT_ROOT": root + "/", "SCRIPT_NAME": "/info.php"}, ""},
		{"by chdir", root + "/info.php", map[string]string{"SCRIPT_NAME": "/info.php"}, root},
		{"with more behind it", root + "/info.php", map[string]string{"DOCUMENT_ROOT": root, "SCRIPT_NAME": "/info.php/more"}, ""},
		{"not without SCRIPT_NAME", "", map[string]string{"DOCUMENT_ROOT": root}, root},
		{"not out of the folder", "", map[string]string{"DOCUMENT_ROOT": root, "SCRIPT_NAME": "/../" + filepath.Base(root) + "/info.php"}, ""},
		{"not with another extension", "", map[string]string{"DOCUMENT_ROOT": root, "SCRIPT_NAME": "/plain.txt"}, ""},
		{"not without any folder", "", map[string]string{"SCRIPT_NAME": "/info.php"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var wire []byte
			for _, name := range slices.Sorted(maps.Keys(tt.params)) {
				wire = fastcgi.AppendParam(wire, name, tt.params[name])
			}
			p, err := decodeFPMParams(wire)
			if err != nil {
				t.Fatal(err)
			}
			c := fpmScriptConfig{FixPathinfo: true, LimitExtensions: []string{".php"}, Chdir: tt.chdir}
			script, refusal := c.resolve(p)
			if tt.want == "" {
				if refusal == nil {
					t.Errorf("it runs %q", script.Filename)
				}
				return
			}
			if refusal != nil || script.Filename != tt.want || p.get("SCRIPT_FILENAME") != tt.want {
				t.Errorf("got %q, %+v", script.Filename, refusal)
			}
		})
	}
}

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/server/files"
	"github.com/phpserve/phpserve/server/site"
)

const (
	// tellScript says what was run with which PATH_INFO; the comment is a source that must never be seen.
	tellScript = `<?php /*SECRET SOURCE*/ echo 'RAN ', $_SERVER['SCRIPT_NAME'], ' INFO ', $_SERVER['PATH_INFO'] ?? '-';`
	// evilUpload is an uploaded "image" whose code, if ever run, says something that its bytes do not.
	evilUpload = `<?php echo 'PW', 'NED'; /*SECRET SOURCE*/`
)

// hostileFiles is a site with what an attacker could have uploaded.
func hostileFiles() map[string]string {
	files := map[string]string{
		"index.php": tellScript, "test.php": tellScript, "sub/page.php": tellScript, "f/script.js": "js",
		"test.php.d/x": "x", "shell.php.txt.php": tellScript, "ȺȺ.php": tellScript, "ü.php": tellScript,
		"up/evil.jpg": evilUpload, "ȺȺȺȺshell.php.txt": evilUpload, "PoC-match-unset.¡.txt": evilUpload,
		"evil.PHP": evilUpload, "evil.pHp": evilUpload, "evil.phP": evilUpload, "evil.phtml": evilUpload, "evil.phar": evilUpload,
		"evil.inc": evilUpload, "evil.php5": evilUpload, "evil.phps": evilUpload,
	}
	for _, ext := range foldedExtensions {
		files["evil"+ext] = evilUpload
	}
	return files
}

// foldedExtensions are taken for .php by code that compares Unicode loosely (GHSA-v4h7-cj44-8fc8, GHSA-m675-2p33-xv9g).
var foldedExtensions = []string{".ⓟⓗⓟ", "﹒php", "．php", ".ｐhp", ".𝓅𝒽𝓅", ".ᵖʰᵖ", ".ph\u200dp"}

// percent encodes every byte outside ASCII.
func percent(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || c == ' ' {
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// vector is a request target and what must come of it.
type vector struct {
	name, target string
	status       int
	body         string // exact, unless empty
}

func pathVectors() []vector {
	long := strings.Repeat("a", 20<<10)
	vs := []vector{
		{"CVE-2019-11043 newline in PATH_INFO", "/index.php/x%0Ay", 400, ""},
		{"CVE-2019-11043 newline behind the script", "/index.php%0A/a", 400, ""},
		{"CVE-2019-11043 newline alone", "/%0a", 400, ""},
		{"CVE-2019-11043 carriage return", "/index.php/x%0Dy", 400, ""},
		{"CVE-2019-11043 dot file as a script", "/f/script.js/.php/a", 404, ""},
		{"CVE-2019-11043 long PATH_INFO", "/index.php/" + long, 200, "RAN /index.php INFO /" + long},
		{"CVE-2019-11043 60 KiB PATH_INFO is over the header limit", "/index.php/" + strings.Repeat("a", 60<<10), 431, ""},
		{"image as PHP (2010)", "/up/evil.jpg/x.php", 404, ""},
		{"image as PHP with PATH_INFO", "/up/evil.jpg/x.php/y", 404, ""},
		{"image as PHP with an encoded slash", "/up/evil.jpg%2fx.php", 404, ""},
		{"image as PHP behind NUL", "/up/evil.jpg%00.php", 400, ""},
		{"image as PHP with a dot file", "/up/evil.jpg/.php", 404, ""},
		{"image as PHP with two slashes", "/up/evil.jpg//x.php", 404, ""},
		{"image as PHP with a trailing slash", "/up/evil.jpg/", 404, ""},
		{"Caddy 4574 NUL", "/index.php%00", 400, ""},
		{"NUL in PATH_INFO", "/index.php/a%00b", 400, ""},
		{"CVE-2026-24895 lower-casing moves the split", "/ȺȺȺȺshell.php.txt.php", 404, ""},
		{"CVE-2026-24895 the same, encoded", percent("/ȺȺȺȺshell.php.txt.php"), 404, ""},
		{"CVE-2026-27590 with PATH_INFO", percent("/ȺȺȺȺshell.php.txt.php/a"), 404, ""},
		{"CVE-2026-24895 split at the right byte", percent("/ȺȺ.php/aȺ"), 200, "RAN /ȺȺ.php INFO /aȺ"},
		{"inner .php is no split", "/shell.php.txt.php", 200, "RAN /shell.php.txt.php INFO -"},
		{"split only where the segment ends", "/test.php.bak", 404, ""},
		{"split only where the segment ends, folder", "/test.php.d/x.php", 404, ""},
		{"CVE-2026-45062 unset match flag", percent("/PoC-match-unset.¡.txt"), 200, evilUpload},
		{"CVE-2026-45062 with a script behind", percent("/PoC-match-unset.¡.txt/x.php"), 404, ""},
		{"dot segment", "/sub/./page.php", 200, "RAN /sub/page.php INFO -"},
		{"encoded dot segment", "/sub/%2e/page.php", 200, "RAN /sub/page.php INFO -"},
		{"double dot segment", "/sub/../test.php", 200, "RAN /test.php INFO -"},
		{"encoded double dot segment", "/sub/%2e%2E/test.php", 200, "RAN /test.php INFO -"},
		{"double dot behind an encoded slash", "/sub%2f..%2ftest.php", 200, "RAN /test.php INFO -"},
		{"double dot in PATH_INFO", "/index.php/../test.php", 200, "RAN /test.php INFO -"},
		{"above the root", "/../secret.txt", 400, ""},
		{"above the root, encoded", "/%2e%2e/secret.txt", 400, ""},
		{"above the root, encoded slash", "/..%2fsecret.txt", 400, ""},
		{"above the root from a folder", "/sub/../../secret.txt", 400, ""},
		{"above the root behind a script", "/index.php/../../secret.txt", 400, ""},
		{"above the root, doubly encoded", "/%252e%252e/secret.txt", 404, ""},
		{"above the root, overlong UTF-8", "/%c0%ae%c0%ae/secret.txt", 404, ""},
		{"GHSA-qrp7-cvwr-j2c6 backslash", `/a\..\..\secret.txt`, 404, ""},
		{"GHSA-4xrr-hq4w-6vf4 encoded backslash", "/a%5c..%5c", 404, ""},
		{"GHSA-4xrr-hq4w-6vf4 backslash and star", `/a\*`, 404, ""},
		{"backslash before a script", "/sub%5cpage.php", 404, ""},
		{"CVE-2026-27587 hex digits in either case", "/sub%2Fpage.php", 200, "RAN /sub/page.php INFO -"},
		{"CVE-2026-27587 hex digits in either case, lower", "/sub%2fpage.php", 200, "RAN /sub/page.php INFO -"},
		{"encoded letter", "/%74est.php", 200, "RAN /test.php INFO -"},
		{"broken escape", "/%zz", 400, ""},
		{"escape cut short", "/a%2", 400, ""},
		{"trailing dot", "/test.php.", 404, ""},
		{"trailing space", "/test.php%20", 404, ""},
		{"alternate data stream", "/test.php::$DATA", 404, ""},
		{"alternate data stream, encoded", "/test.php%3a%3a$DATA", 404, ""},
		{"two leading slashes", "//test.php", 200, "RAN /test.php INFO -"},
		{"dot and slash", "/./test.php", 200, "RAN /test.php INFO -"},
		{"name of another case", "/TEST.PHP", 404, ""},
		{"extension of another case", "/test.PHP", 404, ""},
		{"path parameter", "/test.php;x=1", 404, ""},
		{"trailing slash is PATH_INFO", "/test.php/", 200, "RAN /test.php INFO /"},
		{"tilde", "/test.php~", 404, ""},
		{"hash as data", "/test.php%23", 404, ""},
		{"question mark as data", "/test.php%3f", 404, ""},
		{"CVE-2012-1823 -s", "/test.php?-s", 200, "RAN /test.php INFO -"},
		{"CVE-2012-1823 -d", "/test.php?-d+auto_prepend_file%3d/etc/passwd+-n", 200, "RAN /test.php INFO -"},
		{"CVE-2012-1823 on the folder", "/?-s", 200, "RAN /index.php INFO -"},
		{"CVE-2024-4577 soft hyphen", "/test.php?%ADs", 200, "RAN /test.php INFO -"},
		{"CVE-2024-4577 soft hyphen -d", "/test.php?%ADd+allow_url_include%3d1+%ADd+auto_prepend_file%3dphp://input", 200, "RAN /test.php INFO -"},
	}
	for _, ext := range []string{".PHP", ".pHp", ".phP", ".phtml", ".phar", ".inc", ".php5", ".phps"} {
		vs = append(vs, vector{"neither run nor shown: " + ext, "/evil" + ext, 404, ""},
			vector{"neither run nor shown with PATH_INFO: " + ext, "/evil" + ext + "/a", 404, ""})
	}
	for _, ext := range foldedExtensions {
		vs = append(vs, vector{"GHSA-v4h7-cj44-8fc8 is a file, not a script: " + ext, percent("/evil" + ext), 200, evilUpload},
			vector{"GHSA-m675-2p33-xv9g no script for PATH_INFO: " + ext, percent("/evil" + ext + "/a"), 404, ""})
	}
	return vs
}

// Each vector runs against all that decides how php-cgi reads a path: both dialects, and cgi.fix_pathinfo off, with
// which php-cgi would run PATH_TRANSLATED (cgi_main.c:init_request_info).
func TestBadInputPathsRunOnlyTheScriptTheyName(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		for _, dialect := range []string{site.CGIPHP, site.CGIRFC3875} {
			t.Run(dialect, func(t *testing.T) {
				ts := startServer(t, engine, hostileFiles(), func(c *Config) {
					c.Sites[0].CGI = dialect
					if dialect == site.CGIRFC3875 {
						c.Pools[0].PHPValue = []string{"cgi.fix_pathinfo=0"}
					}
				})
				testfiles.Put(t, filepath.Dir(ts.root), map[string]string{"secret.txt": "SECRET SOURCE above the root"})
				for _, v := range pathVectors() {
					t.Run(v.name, func(t *testing.T) {
						got := askWire(t, ts, "GET", v.target)
						if got.StatusCode != v.status || v.body != "" && got.body != v.body {
							t.Errorf("GET %.100s = %d %.300q", v.target, got.StatusCode, got.body)
						}
						notLeaked(t, got, v.body)
					})
				}
				if dialect == site.CGIRFC3875 {
					got := askWire(t, ts, "GET", "/index.php/up/evil.jpg")
					if got.body != "RAN /index.php INFO /up/evil.jpg" {
						t.Errorf("PATH_TRANSLATED was run: %d %q", got.StatusCode, got.body)
					}
				}
			})
		}
	})
}

// notLeaked fails when an upload was run or a source was sent; want is a body that may hold a source.
func notLeaked(t *testing.T, got answer, want string) {
	t.Helper()
	if strings.Contains(got.body, "PWNED") {
		t.Errorf("an upload was run: %q", got.body)
	}
	if strings.Contains(got.body, "SECRET SOURCE") && !strings.Contains(want, "SECRET SOURCE") {
		t.Errorf("source was sent: %q", got.body)
	}
}

func TestBadInputScriptIsNeverSentAsSource(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, hostileFiles(), nil)
		targets := []string{
			"/test.php", "/test.php.", "/test.php%20", "/test.php::$DATA", "/test.php%00", "//test.php", "///test.php", "/./test.php",
			"/test.php/", "/test.php/.", "/test.php/..", "/sub//page.php", "/sub/page.php%2f", "/test.php%2500", "/test%2ephp",
			"/test.php%e2%80%8b", "/evil.PHP", "/test.php?x=.txt", "/test.php/x.txt", "/test.php/x.html", "/test.php\\", "/", "//",
		}
		headers := [][]string{
			nil,
			{"Range", "bytes=0-9"},
			{"Range", "bytes=0-99999"},
			{"If-None-Match", "*"},
			{"Translate", "f"},
			{"Accept-Encoding", "br, gzip"},
			{"X-Original-URL", "/test.php"},
			{"X-Rewrite-URL", "/test.php"},
			{"Depth", "1"},
		}
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "PROPFIND", "COPY", "TRACE", "get", "FOO"} {
			for i, header := range headers {
				if i > 0 && method != "GET" {
					break
				}
				for _, target := range targets {
					got := askWire(t, ts, method, target, header...)
					if strings.Contains(got.body, "SECRET") || strings.Contains(got.body, "<?php") {
						t.Errorf("%s %s %v sends source: %q", method, target, header, got.body)
					}
				}
			}
		}
	})
}

func TestBadInputSymlinksOutOfTheRoot(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		for name, follow := range map[string]string{"denied": files.FollowNo, "allowed by follow_symlinks": files.FollowYes, "the owner's": files.FollowOwner} {
			t.Run(name, func(t *testing.T) {
				ts := startServer(t, engine, map[string]string{"real/page.php": tellScript, "real/a.txt": "inside"}, func(c *Config) {
					c.Sites[0].FollowSymlinks = follow
					outside := filepath.Join(filepath.Dir(c.Sites[0].Root), "outside")
					testfiles.Put(t, outside, map[string]string{"a.txt": "outside", "page.php": tellScript, ".env": "SECRET SOURCE"})
					for link, to := range map[string]string{
						"file.txt": filepath.Join(outside, "a.txt"), "page.php": filepath.Join(outside, "page.php"), "dir": outside,
						"up": "../outside", "root": "/", "in": "real", "inpage.php": "real/page.php",
					} {
						if err := os.Symlink(to, filepath.Join(c.Sites[0].Root, link)); err != nil {
							t.Fatal(err)
						}
					}
				})
				for target, want := range map[string]string{
					"/file.txt": "outside", "/page.php": "RAN /page.php INFO -", "/page.php/a": "RAN /page.php INFO /a", "/dir/a.txt": "outside",
					"/dir/page.php": "RAN /dir/page.php INFO -", "/up/a.txt": "outside",
				} {
					got := askWire(t, ts, "GET", target)
					if follow != files.FollowNo && (got.StatusCode != 200 || got.body != want) || follow == files.FollowNo && got.StatusCode != 404 {
						t.Errorf("GET %s = %d %q", target, got.StatusCode, got.body)
					}
				}
				for target, want := range map[string]string{"/in/a.txt": "inside", "/inpage.php": "RAN /inpage.php INFO -", "/in/page.php/x": "RAN /in/page.php INFO /x"} {
					if got := askWire(t, ts, "GET", target); got.StatusCode != 200 || got.body != want {
						t.Errorf("link inside the root: GET %s = %d %q", target, got.StatusCode, got.body)
					}
				}
				if got := askWire(t, ts, "GET", "/dir/.env"); got.StatusCode != 404 {
					t.Errorf("GET /dir/.env = %d", got.StatusCode)
				}
				if got := askWire(t, ts, "GET", "/root/etc/hostname"); follow == files.FollowNo && got.StatusCode != 404 {
					t.Errorf("GET /root/etc/hostname = %d", got.StatusCode)
				}
			})
		}
	})
}

package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/server/files"
)

func TestValidHost(t *testing.T) {
	for host, want := range map[string]bool{
		"a": true, "A-b_c.example.": true, "a:80": true, "127.0.0.1:8080": true, "[::1]": true, "[2001:db8::1]:443": true,
		"xn--bcher-kva.example": true, "a:": true, "a:65535": true, "[::ffff:1.2.3.4]": true,
		"A.EXAMPLE": true, "a.": true, "a.:80": true, "_a": true, "a--b": true, "127.0.0.1.": true, "1.2.3": true, "a:0": true, "a:080": true,
		strings.Repeat("a", 63): true, strings.Repeat("a.", 126) + "a": true, strings.Repeat("a.", 126) + "a.": true,
		"a..b": false, ".a": false, "a..": false, ".": false, "..": false, ".:80": false, "-a": false, "a-": false, "a.-b": false, "a-.b": false, "-": false,
		"a:65536": false, "a:99999": false, "a:+80": false, "a: 80": false, "[::1].": false,
		strings.Repeat("a", 64): false, strings.Repeat("a.", 126) + "ab": false, "b\xfccher": false, "bücher。example": false,
		"": false, ":80": false, "a:b": false, "a:123456": false, "a:-1": false, "a:80:80": false, "::1": false, "[::1": false, "::1]": false,
		"[]": false, "[a]": false, "[1.2.3.4]": false, "[fe80::1%25eth0]": false, "[::1]x": false, "[::1]]": false, "a b": false,
		`a"`: false, "a<b>": false, "a/b": false, `a\b`: false, "u@a": false, "a?b": false, "a#b": false, "a%00": false, "a%2f": false,
		"bücher.example": false, "a,b": false, "a;b": false, "a'b": false, "(a)": false, "*": false, "{a}": false, "$(a)": false, "a\x00": false,
	} {
		if got := validHost(host); got != want {
			t.Errorf("validHost(%q) = %v", host, got)
		}
	}
}

// Over HTTP/2 the host is what :authority says; net/http does not look at it.
func TestBadInputHostOfAnyProtocolVersionIsChecked(t *testing.T) {
	for _, major := range []int{1, 2} {
		r := &http.Request{ProtoMajor: major, URL: &url.URL{Path: "/"}, RequestURI: "/", Host: `a"><script>`}
		var bad *files.PathError
		if err := checkTarget(r); !errors.As(err, &bad) || judge(err).status != http.StatusBadRequest || !strings.Contains(err.Error(), "cannot use host") {
			t.Errorf("HTTP/%d: %v", major, err)
		}
	}
}

func TestBadInputTargetsAndHosts(t *testing.T) {
	t.Parallel()
	const seen = `<?php echo $_SERVER['HTTP_HOST'] ?? '-', ' ', $_SERVER['REQUEST_URI'];`
	tests := []struct {
		name, line, host string
		status           int
		body             string
	}{
		{"absolute form", "GET http://b.test/index.php HTTP/1.1", "a.test", 200, "b.test /index.php"},
		{"absolute form of https", "GET HTTPS://b.test:8443/index.php?q HTTP/1.1", "a.test", 200, "b.test:8443 /index.php?q"},
		{"absolute form without a path", "GET http://b.test HTTP/1.1", "a.test", 200, "b.test /"},
		{"IPv6", "GET http://[::1]:81/index.php HTTP/1.1", "a.test", 200, "[::1]:81 /index.php"},
		{"HTTP/1.0 without a host", "GET /index.php HTTP/1.0", "", 200, "- /index.php"},
		{"CONNECT", "CONNECT a.test:443 HTTP/1.1", "a.test:443", 405, ""},
		{"asterisk form", "OPTIONS * HTTP/1.1", "a.test", 204, ""},
		{"markup in the host of an absolute form", `GET http://a"><script>/index.php HTTP/1.1`, "a.test", 400, ""},
		{"escapes in the host of an absolute form", "GET http://a%3cb%3e/index.php HTTP/1.1", "a.test", 400, ""},
		{"quote in Host", "GET /index.php HTTP/1.1", "a'b", 400, ""},
		{"list in Host", "GET /index.php HTTP/1.1", "a.test,b.test", 400, ""},
		{"user in Host", "GET /index.php HTTP/1.1", "a.test@evil.test", 400, ""},
		{"port that is a word", "GET /index.php HTTP/1.1", "a.test:evil", 400, ""},
		{"two dots in Host", "GET /index.php HTTP/1.1", "a..b", 400, ""},
		{"two dots in the host of an absolute form", "GET http://a..b/index.php HTTP/1.1", "a.test", 400, ""},
		{"dot before Host", "GET /index.php HTTP/1.1", ".a", 400, ""},
		{"dash before Host", "GET /index.php HTTP/1.1", "-a", 400, ""},
		{"dash behind a label of Host", "GET /index.php HTTP/1.1", "a-.test", 400, ""},
		{"unicode in Host", "GET /index.php HTTP/1.1", "bücher.test", 400, ""},
		{"unicode in the host of an absolute form", "GET http://bücher.test/index.php HTTP/1.1", "a.test", 400, ""},
		{"Punycode in Host", "GET /index.php HTTP/1.1", "xn--bcher-kva.test", 200, "xn--bcher-kva.test /index.php"},
		{"dot behind Host", "GET /index.php HTTP/1.1", "a.test.", 200, "a.test. /index.php"},
		{"Host in upper case", "GET /index.php HTTP/1.1", "A.TEST:81", 200, "A.TEST:81 /index.php"},
		{"port beyond 65535", "GET /index.php HTTP/1.1", "a.test:65536", 400, ""},
		{"empty Host", "GET /index.php HTTP/1.1\r\nHost:", "", 400, ""},
		{"two Host fields", "GET /index.php HTTP/1.1\r\nHost: b.test", "a.test", 400, ""},
		{"no Host", "GET /index.php HTTP/1.1", "", 400, ""},
		{"bad Host of a static file", "GET /a.txt HTTP/1.1", "a$b", 400, ""},
		{"bad Host in HTTP/1.0", "GET /index.php HTTP/1.0", "a$b", 400, ""},
		{"opaque with a path", "GET http:../../etc/passwd HTTP/1.1", "a.test", 400, ""},
		{"opaque", "GET a:b HTTP/1.1", "a.test", 400, ""},
		{"opaque that looks like a script", "GET a:/index.php HTTP/1.1", "a.test", 400, ""},
		{"file", "GET file:///etc/passwd HTTP/1.1", "a.test", 400, ""},
		{"file of this site", "GET file:///index.php HTTP/1.1", "a.test", 400, ""},
		{"another scheme", "GET ftp://a.test/index.php HTTP/1.1", "a.test", 400, ""},
		{"RFC 9110 4.2.1 http without a host", "GET http:///index.php HTTP/1.1", "a.test", 400, ""},
	}
	ts := startServer(t, engines[1], map[string]string{"index.php": seen, "a.txt": "static"}, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			request := tt.line + "\r\nConnection: close\r\n"
			if tt.host != "" {
				request += "Host: " + tt.host + "\r\n"
			}
			all := answers(t, wire(t, ts, request+"\r\n"), "GET")
			if len(all) != 1 || all[0].StatusCode != tt.status || tt.body != "" && all[0].body != tt.body {
				t.Errorf("got %v", all)
			}
			if strings.Contains(all[0].body, "<script>") {
				t.Errorf("markup comes back: %q", all[0].body)
			}
		})
	}
}

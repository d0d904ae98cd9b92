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

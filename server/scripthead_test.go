package server

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// headCases are heads that scripts send although no client may be sent them as they are. Behind each head the script goes on
// and leaves a file: whatever becomes of its response, its work must be done.
var headCases = []struct {
	name, script string
	status       int
	line         string // the status line's rest; empty: not looked at
	body         string
	logged       string // part of the log; empty: nothing of the head is
}{
	{"601", `http_response_code(601);`, 601, "601 ", "body", ""},
	{"999 with a reason", `header('HTTP/1.1 999 Odd Thing');`, 999, "999 Odd Thing", "body", ""},
	{"0", `header('HTTP/1.1 0 X');`, 200, "200 OK", "body", "a status that is none"},
	{"Status 0", `header('Status: 0');`, 200, "200 OK", "body", "a status that is none"},
	{"99", `header('HTTP/1.1 99 X');`, 200, "", "body", "a status that is none"},
	{"1000", `header('HTTP/1.1 1000 X');`, 200, "", "body", "a status that is none"},
	{"a word", `header('Status: abc');`, 200, "", "body", "a status that is none"},
	{"a status line with a word", `header('HTTP/1.1 abc');`, 200, "", "body", "a status that is none"},
	{"a bad status beside a Location", `header('Location: /x'); header('Status: abc');`, 302, "", "body", "a status that is none"},
	{"103", `header('HTTP/1.1 103 Early Hints'); header('Link: </a.css>; rel=preload');`, 200, "", "body", "a status that is none"},
	{"Status 103", `header('Status: 103');`, 200, "", "body", "a status that is none"},
	{"100", `http_response_code(100);`, 200, "", "body", "a status that is none"},
	{"101", `http_response_code(101); header('Upgrade: x'); header('Connection: Upgrade');`, 200, "", "body", "a status that is none"},
	{"a line without a colon", `header('nonsense');`, 200, "", "body", "a line without a colon"},
	{"a name with a space", `header('A b: c');`, 200, "", "body", "a name that is none"},
	{"an empty name", `header(': c');`, 200, "", "body", "a name that is none"},
	{"a control character", `header("X-A: a\x01b");`, 200, "", "body", "control character"},
	{"an escape sequence", `header("X-A: \x1b[2J");`, 200, "", "body", "control character"},
	{"an empty Status", `header('Status:');`, 200, "200 OK", "body", "a status that is none"},
	{"a Status of blanks", `header('Status:   ');`, 200, "200 OK", "body", "a status that is none"},
	{"a Status with a letter", `header('Status: 404x');`, 404, "404 Not Found", "body", ""},
	{"a Status of IIS", `header('Status: 404.5');`, 404, "404 Not Found", "body", ""},
	{"a Status with a tab", `header("Status: 404\tNope");`, 404, "404 Nope", "body", ""},
	{"two Status fields", `header('Status: 404 A'); header('Status: 500 B', false);`, 404, "404 A", "body", ""},
	{"a status line of another version", `header('HTTP/2 404');`, 404, "404 Not Found", "body", ""},
	{"a status line alone", `header('HTTP/1.1');`, 200, "200 OK", "body", ""},
	{"two types", `header('Content-Type: text/plain'); header('Content-Type: text/html', false);`, 200, "200 OK", "body", "another Content-Type"},
	{"two places", `header('Location: /a'); header('Location: /b', false);`, 302, "302 Found", "body", "another Location"},
	{"two statuses", `header('HTTP/1.1 404 Nope'); header('Status: 200 OK');`, 404, "404 Nope", "body", ""},
	{"200 by a status line", `header('HTTP/1.1 200 OK');`, 200, "200 OK", "body", ""},
	{"204 with a body", `http_response_code(204);`, 204, "", "", ""},
	{"304 with a body", `http_response_code(304);`, 304, "", "", ""},
	{"lengths that differ", `header('Content-Length: 3'); header('Content-Length: 5', false);`, 200, "", "body", "lengths that differ"},
	{"a length that is too large", `header('Content-Length: 500');`, 200, "", "body", ""},
	{"a length that is too small", `header('Content-Length: 2');`, 200, "", "bo", "more than its Content-Length"},
	{"a length of nothing", `header('Content-Length: 0');`, 200, "", "", "more than its Content-Length"},
	{"a length that is none", `header('Content-Length: 0x4');`, 200, "", "body", "a length that is none"},
	{"fields of the connection", `foreach (['Transfer-Encoding: chunked', 'Connection: close', 'Upgrade: h2c', 'Trailer: X'] as $h) header($h);`, 200, "", "body", ""},
	{"one field that is too large", `header('X-Big: ' . str_repeat('a', 70000)); header('X-Small: 1');`, 200, "", "body", "bytes of header"},
	{"many fields", `for ($i = 0; $i < 3000; $i++) header("X-$i: " . str_repeat('a', 30));`, 200, "", "body", "bytes of header"},
	{"a head without an end", `for ($i = 0; $i < 40; $i++) header("X-$i: " . str_repeat('a', 32000));`, 502, "", "", "cannot parse cgi response head"},
}

// leavesFile is what a script does behind its response.
const leavesFile = ` while (ob_get_level()) { ob_end_flush(); } echo 'body'; flush(); usleep(50000); echo ''; file_put_contents(__DIR__ . '/done-' . basename(__FILE__), getmypid());`

func TestScriptHeadThatNoClientMayBeSentLosesItsBadLinesAndTheScriptGoesOn(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i, tt := range headCases {
		files[fmt.Sprintf("%d.php", i)] = "<?php " + tt.script + leavesFile
		files[fmt.Sprintf("quick%d.php", i)] = "<?php " + tt.script + " echo 'body';"
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, files, func(c *Config) { c.ErrorPages, c.Pools[0].MaxChildren = ErrorPagesPlain, 1 })
		pid := ts.pids()[0]
		for i, tt := range headCases {
			for _, kind := range []string{"", "quick"} {
				t.Run(tt.name+" "+kind, func(t *testing.T) {
					name := fmt.Sprintf("%s%d.php", kind, i)
					text := wire(t, ts, "GET /"+name+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
					resp, body := parseCut(t, text)
					want := tt.body
					cut := strings.HasSuffix(tt.name, "too large") && resp.Header.Get("Content-Length") == "500" // what is there is sent, then it ends
					if resp.StatusCode != tt.status || tt.status != 502 && body != want || cut && kind == "quick" {
						t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, tt.status, want)
					}
					if line, _, _ := strings.Cut(text, "\r\n"); tt.line != "" && line != "HTTP/1.1 "+tt.line {
						t.Errorf("status line %q", line)
					}
					for _, name := range []string{"Upgrade", "Trailer", "X-A", "X-Big", "Status"} {
						if resp.Header.Get(name) != "" {
							t.Errorf("%s: %.100q", name, resp.Header.Get(name))
						}
					}
					if tt.logged != "" {
						ts.log.waitForLine(t, tt.logged, "/"+name)
					}
					if kind == "" {
						eventually(t, "the script comes to its end", func() bool {
							_, err := os.Stat(filepath.Join(ts.root, "done-"+name))
							return err == nil
						})
					}
				})
			}
		}
		if now := ts.pids(); len(now) != 1 || now[0] != pid {
			t.Errorf("the worker was %d, now there are %v", pid, now)
		}
	})
}

// parseCut reads a response that may end before its Content-Length.
func parseCut(t *testing.T, text string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		t.Fatalf("cannot read %.200q: %v", text, err)
	}
	defer resp.Body.Close()
	var body strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buf)
		body.Write(buf[:n])
		if err != nil {
			return resp, body.String()
		}
	}
}

func TestScriptHeadNeverSplitsAResponse(t *testing.T) {
	t.Parallel()
	// PHP refuses line breaks in header(); a NUL, a bare CR and what looks like a break must get nowhere either.
	values := []string{`a\r\nX-Evil: 1`, `a\nX-Evil: 1`, `a\rX-Evil: 1`, `a\0X-Evil: 1`, `a\r\n\r\nX-Evil: 1`, `a\x0bX-Evil: 1`, `a\xc2\x85X-Evil: 1`}
	files := map[string]string{}
	for i, v := range values {
		files[fmt.Sprintf("v%d.php", i)] = `<?php @header("X-A: ` + v + `"); echo 'x';`
		files[fmt.Sprintf("s%d.php", i)] = `<?php @header("HTTP/1.1 404 ` + v + `"); echo 'x';`
		files[fmt.Sprintf("n%d.php", i)] = `<?php @header("X-A` + v + `"); echo 'x';`
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, files, nil)
		for name := range files {
			text := wire(t, ts, "GET /"+name+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			head, _, _ := strings.Cut(text, "\r\n\r\n")
			if strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n\x00\x0b") || strings.Contains(head, "\r\nX-Evil") || strings.Count(text, "HTTP/1.1 ") > 1 {
				t.Errorf("%s (%s): %q", name, files[name], text)
			}
		}
	})
}

func TestScriptHeadKeepsItsNamesAndReason(t *testing.T) {
	t.Parallel()
	script := map[string]string{"a.php": `<?php header('DAV: 1, 2'); header('ETag: "x"'); header('WWW-Authenticate: Basic');
header('X-FOO: 1'); header('x-foo: 2', false); header('content-length: 4'); header('x-REQUEST-id: mine'); header('MS-Author-Via: DAV');
header('HTTP/1.1 404 Gone Fishing'); echo 'body';`}
	check := func(t *testing.T, text string) {
		t.Helper()
		if !strings.HasPrefix(text, "HTTP/1.1 404 Gone Fishing\r\n") {
			t.Errorf("got %q", text)
		}
		for _, line := range []string{"DAV: 1, 2", `ETag: "x"`, "WWW-Authenticate: Basic", "X-FOO: 1", "X-FOO: 2", "x-REQUEST-id: mine", "MS-Author-Via: DAV", "Content-Length: 4"} {
			if strings.Count(text, "\r\n"+line+"\r\n") != 1 {
				t.Errorf("not once %q in %q", line, text)
			}
		}
		if n := strings.Count(strings.ToLower(text), "x-request-id:"); n != 1 {
			t.Errorf("%d request ids in %q", n, text)
		}
	}
	const request = "GET /a.php HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
	eachEngine(t, func(t *testing.T, engine string) {
		check(t, wire(t, startServer(t, engine, script, nil), request))
	})
	t.Run("TLS", func(t *testing.T) {
		ts, ca := startTLS(t, script, nil)
		conn := connectTLS(t, ts, ca, "http/1.1")
		send(t, conn, request)
		check(t, closedBy(t, conn))
	})
	t.Run("a response that is streamed, and the next one of the connection", func(t *testing.T) {
		ts := startServer(t, engines[0], map[string]string{
			"a.php": `<?php ob_end_flush(); header('HTTP/1.1 404 Gone Fishing'); echo 'a'; flush(); usleep(20000); echo 'b';`, "b.php": `<?php http_response_code(404);`,
		}, nil)
		text := wire(t, ts, "GET /a.php HTTP/1.1\r\nHost: a\r\n\r\nGET /b.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(text, "HTTP/1.1 404 Gone Fishing\r\n") || strings.Count(text, "HTTP/1.1 404 Not Found\r\n") != 1 {
			t.Errorf("got %q", text)
		}
	})
}

func TestScriptFieldsForTheWebServerStayHere(t *testing.T) {
	t.Parallel()
	fields := []string{
		"X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Charset", "x-sendfile", "X-SENDFILE2", "X-Lighttpd-Send-File",
		"X-LiteSpeed-Location", "X-Accel-Buffering",
	}
	script := "<?php "
	for _, f := range fields {
		script += "header('" + f + ": /var/secret'); "
	}
	files := map[string]string{"a.php": script + "echo 'x';"}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, files, nil)
		for range 3 {
			if text := wire(t, ts, "GET /a.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); strings.Contains(text, "secret") {
				t.Errorf("got %q", text)
			}
		}
		for _, f := range fields {
			want := 1
			if f == "X-Accel-Buffering" { // phpserve does what it asks for
				want = 0
			}
			if n := strings.Count(ts.log.String(), "field="+http.CanonicalHeaderKey(f)+" "); n != want {
				t.Errorf("%s is in the log %d times, want %d", f, n, want)
			}
		}
	})
	t.Run("a proxy gets to know that a response is not to be buffered", func(t *testing.T) {
		ts := startServer(t, engines[0], files, behindProxy)
		text := wire(t, ts, "GET /a.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if !strings.Contains(text, "X-Accel-Buffering: ") || strings.Count(text, "secret") != 1 {
			t.Errorf("got %q", text)
		}
	})
}

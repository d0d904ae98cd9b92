package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/internal/testfiles"
)

func TestResponseHeadIsAsTheScriptSays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, script string
		status       int
		header       map[string][]string // nil value: absent
		body         string
	}{
		{"plain", `echo 'x';`, 200, map[string][]string{"Content-Type": {"text/html; charset=UTF-8"}, "Content-Length": {"1"}, "Status": nil}, "x"},
		{"http_response_code", `http_response_code(418); echo 'x';`, 418, nil, "x"},
		{"RFC 3875 6.3.3 Status", `header('Status: 404 Gone fishing'); echo 'x';`, 404, nil, "x"},
		{"status line", `header('HTTP/1.1 503 Busy'); echo 'x';`, 503, nil, "x"},
		{"unregistered status", `header('Status: 599'); echo 'x';`, 599, nil, "x"},
		{"RFC 3875 6.2.3 Location means 302", `header('Location: https://a.test/x?y');`, 302, map[string][]string{"Location": {"https://a.test/x?y"}}, ""},
		{"relative Location goes to the client", `header('Location: other.php');`, 302, map[string][]string{"Location": {"other.php"}}, ""},
		{"Location with a status", `header('Location: /x', true, 201); echo 'x';`, 201, map[string][]string{"Location": {"/x"}}, "x"},
		{
			"duplicate Set-Cookie in order", `setcookie('a', '1'); setcookie('b', '2'); header('Set-Cookie: a=3', false); echo 'x';`, 200,
			map[string][]string{"Set-Cookie": {"a=1", "b=2", "a=3"}},
			"x",
		},
		{"duplicate Link in order", `header('Link: <a>'); header('Link: <b>', false); echo 'x';`, 200, map[string][]string{"Link": {"<a>", "<b>"}}, "x"},
		{"no Content-Type", `header_remove('Content-Type'); ini_set('default_mimetype', ''); echo '<html>';`, 200, map[string][]string{"Content-Type": nil}, "<html>"},
		{"own Content-Length", `header('Content-Length: 3'); echo 'abc';`, 200, map[string][]string{"Content-Length": {"3"}}, "abc"},
		{"Content-Length that is no number", `header('Content-Length: +3'); echo 'abc';`, 200, map[string][]string{"Content-Length": {"3"}}, "abc"},
		{
			"RFC 9110 5.5 fields with control characters are dropped", `foreach (['X-A: x' . chr(1), 'X-B: x' . chr(11) . 'y', 'X-C: ' . chr(127),
			"X-D: x\ty", 'X-E: x'] as $h) { header($h); } echo 'x';`, 200,
			map[string][]string{"X-A": nil, "X-B": nil, "X-C": nil, "X-D": {"x\ty"}, "X-E": {"x"}},
			"x",
		},
		{
			"RFC 9110 7.6.1 hop-by-hop fields are dropped", `foreach (['Connection: X-Secret, keep-alive', 'X-Secret: s', 'Keep-Alive: timeout=9',
			'Transfer-Encoding: chunked', 'Upgrade: h2c', 'TE: x', 'Trailer: X', 'Proxy-Connection: x'] as $h) { header($h); } echo 'x';`, 200,
			map[string][]string{"X-Secret": nil, "Keep-Alive": nil, "Transfer-Encoding": nil, "Upgrade": nil, "Te": nil, "Trailer": nil, "Proxy-Connection": nil},
			"x",
		},
		{"RFC 9110 15.3.5 204 has no body", `http_response_code(204); echo 'x';`, 204, map[string][]string{"Content-Length": nil}, ""},
		{"RFC 9110 15.4.5 304 has no body", `http_response_code(304); header('ETag: "x"'); echo 'x';`, 304, map[string][]string{"Etag": {`"x"`}}, ""},
		{"empty", ``, 200, map[string][]string{"Content-Length": {"0"}}, ""},
		{"60 KiB of header", `header('X-Big: ' . str_repeat('a', 60000)); echo 'x';`, 200, map[string][]string{"X-Big": {strings.Repeat("a", 60000)}}, "x"},
		{"70 KiB of header are left out", `header('X-Big: ' . str_repeat('a', 70000)); echo 'x';`, 200, map[string][]string{"X-Big": nil}, "x"},
		{"RFC 9110 15.2 interim status as the last", `http_response_code(103); echo 'x';`, 200, nil, "x"},
		{"500 by an uncaught exception", `ini_set('display_errors', '0'); throw new Exception('x');`, 500, nil, ""},
		{
			"own Date and Server", `header('Date: Thu, 01 Jan 1970 00:00:00 GMT'); header('Server: mine'); echo 'x';`, 200,
			map[string][]string{"Server": {"mine"}, "Date": {"Thu, 01 Jan 1970 00:00:00 GMT"}},
			"x",
		},
		{"X-Powered-By is the script's", `echo 'x';`, 200, map[string][]string{"Server": nil}, "x"},
		{"binary body", `echo "\x00\xff\r\n\r\n\x01";`, 200, nil, "\x00\xff\r\n\r\n\x01"},
		{"1 MiB", `echo str_repeat('0123456789abcdef', 65536);`, 200, nil, strings.Repeat("0123456789abcdef", 65536)},
	}
	files := map[string]string{}
	for i, tt := range tests {
		files[fmt.Sprintf("%d.php", i)] = "<?php " + tt.script
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, files, func(c *Config) { c.ErrorPages = ErrorPagesPlain })
		for i, tt := range tests {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				t.Run(tt.name+" "+method, func(t *testing.T) {
					got := askWire(t, ts, method, fmt.Sprintf("/%d.php", i))
					want := tt.body
					if method == "HEAD" {
						want = ""
					}
					if got.StatusCode != tt.status || tt.status != 502 && got.body != want {
						t.Errorf("got %d %.200q", got.StatusCode, got.body)
					}
					for name, values := range tt.header {
						if name == "Content-Length" && (method == "HEAD" || values == nil) {
							if values == nil && got.Header.Get(name) != "" {
								t.Errorf("%s = %q", name, got.Header.Get(name))
							}
							continue
						}
						if !slices.Equal(got.Header[name], values) {
							t.Errorf("%s = %.100q, want %.100q", name, got.Header[name], values)
						}
					}
				})
			}
		}
	})
}

// What is no number must not go to the client where phpserve does not know the length itself.
func TestResponseNeverHasAContentLengthThatIsNoNumber(t *testing.T) {
	t.Parallel()
	values := []string{"+9", "-0", "-9", "abc", "0x9", "9,9", "9 9", "18446744073709551625"}
	files := map[string]string{}
	for i, v := range values {
		files[fmt.Sprintf("%d.php", i)] = "<?php header('Content-Length: " + v + "'); echo str_repeat('abc', 100000);" // more than is gathered
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, files, nil)
		for i, v := range values {
			head := askWire(t, ts, "HEAD", fmt.Sprintf("/%d.php", i))
			got := askWire(t, ts, "GET", fmt.Sprintf("/%d.php", i))
			if head.Header["Content-Length"] != nil || got.Header["Content-Length"] != nil || got.body != strings.Repeat("abc", 100000) {
				t.Errorf("%q: HEAD %q, GET %q with %d bytes", v, head.Header["Content-Length"], got.Header["Content-Length"], len(got.body))
			}
		}
	})
}

func TestResponseWithAWrongContentLength(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"short.php":  `<?php header('Content-Length: 100'); echo 'abc';`,
			"long.php":   `<?php header('Content-Length: 2'); echo 'abcdef';`,
			"shorts.php": `<?php header('Content-Length: 400000'); echo str_repeat('abc', 100000);`, // more than is gathered
			"longs.php":  `<?php header('Content-Length: 4'); echo str_repeat('abc', 100000);`,
			"bad.php":    `<?php header('Content-Length: x'); echo 'abc';`,
			"ok.php":     `<?php echo 'ok';`,
		}, nil)
		const next = "GET /ok.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
		for target, want := range map[string]string{
			"/short.php":  "abc", // complete at once: the length is put right
			"/long.php":   "ab",  // as nginx
			"/shorts.php": "",    // streamed: the response is cut off, which the client can see
			"/longs.php":  "abca",
			"/bad.php":    "abc",
		} {
			conn := connect(t, ts)
			send(t, conn, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n"+next)
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%s: %v", target, err)
			}
			body, err := io.ReadAll(resp.Body)
			if target == "/shorts.php" {
				if err == nil {
					t.Errorf("%s: a response that is too short looks complete: %q", target, body)
				}
				continue
			}
			if string(body) != want || err != nil {
				t.Errorf("%s: %q %v, want %q", target, body, err, want)
			}
			// Whatever it was, no byte of it is taken for the next response.
			if resp, err := http.ReadResponse(r, nil); err == nil {
				if rest, _ := io.ReadAll(resp.Body); string(rest) != "ok" {
					t.Errorf("%s: the next response on the connection is %q", target, rest)
				}
			}
		}
	})
}

func TestResponseStreamsEachFlushAtOnce(t *testing.T) {
	t.Parallel()
	// The script waits for the reader to have seen each chunk, so that no clock decides whether two flushes arrive as one.
	const script = `<?php while (ob_get_level()) { ob_end_flush(); }
		for ($i = 0; $i < 10; $i++) { echo "chunk $i\n"; flush(); while (!file_exists(__DIR__ . "/seen$i")) { usleep(1000); clearstatcache(); } }`
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"a.php": script}, nil)
		conn := connect(t, ts)
		send(t, conn, "GET /a.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		text := bufio.NewReader(conn)
		for {
			line, err := text.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				break
			}
		}
		for i := range 10 {
			want := fmt.Sprintf("8\r\nchunk %d\n\r\n", i)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(text, got); err != nil || string(got) != want {
				t.Fatalf("chunk %d: %q %v, want %q", i, got, err, want)
			}
			testfiles.Put(t, ts.root, map[string]string{fmt.Sprintf("seen%d", i): ""})
		}
		if rest, err := io.ReadAll(text); err != nil || string(rest) != "0\r\n\r\n" {
			t.Errorf("after the last chunk: %q %v", rest, err)
		}
	})
}

func TestResponseToASlowReaderHoldsNoWorker(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"big.php": `<?php for ($i = 0; $i < 128; $i++) { echo str_repeat(chr(65 + $i % 26), 65536); }`, "ok.php": `<?php echo 'ok';`,
		}, func(c *Config) { c.Pools[0].MaxChildren = 1; c.SpoolMemory = 256 << 10; c.SpoolDir = t.TempDir() })
		conn := connect(t, ts)
		send(t, conn, "GET /big.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		r := bufio.NewReaderSize(conn, 16)
		if _, err := r.Peek(1); err != nil { // the response has begun
			t.Fatal(err)
		}
		if got := askWire(t, ts, "GET", "/ok.php"); got.body != "ok" {
			t.Fatalf("while nothing is read: %d %q", got.StatusCode, got.body)
		}
		eventually(t, "the worker is free", func() bool { return ts.pool().Stats().Idle == 1 })
		got := readAnswer(t, r, "GET")
		var want strings.Builder
		for i := range 128 {
			want.WriteString(strings.Repeat(string(rune('A'+i%26)), 65536))
		}
		if got.body != want.String() {
			t.Errorf("8 MiB arrived as %d bytes, or wrong", len(got.body))
		}
	})
}

// abortScript writes until PHP notices that nobody listens, then keeps what PHP knows about it.
const abortScript = `<?php
register_shutdown_function(function () { file_put_contents(__DIR__ . '/state.tmp', connection_aborted() . ' ' . connection_status() . ' ' . getmypid());
	rename(__DIR__ . '/state.tmp', __DIR__ . '/state'); });
%s
while (true) { echo str_repeat('x', 8192); flush(); usleep(1000); %s }
file_put_contents(__DIR__ . '/end', 'x');`

func TestResponseOfAClientThatLeft(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, before, inside, want string
		end                        bool // the script runs to its end
	}{
		{"the script ends as behind nginx", "", "", "1 1", false},
		{"ignore_user_abort is honoured", "ignore_user_abort(true);", "if (connection_aborted()) break;", "1 1", true},
		{"ignore_user_abort by php.ini call", "ini_set('ignore_user_abort', '1');", "if (connection_aborted()) break;", "1 1", true},
	}
	eachEngine(t, func(t *testing.T, engine string) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				ts := startServer(t, engine, map[string]string{
					"abort.php": fmt.Sprintf(abortScript, tt.before, tt.inside), "pid.php": `<?php echo getmypid();`,
				}, func(c *Config) { c.Pools[0].MaxChildren = 1 })
				pid := askWire(t, ts, "GET", "/pid.php").body
				conn := connect(t, ts)
				send(t, conn, "GET /abort.php HTTP/1.1\r\nHost: a\r\n\r\n")
				if _, err := bufio.NewReader(conn).Peek(1); err != nil {
					t.Fatal(err)
				}
				conn.Close()
				var state []byte
				eventually(t, "the script's shutdown function ran", func() bool {
					var err error
					state, err = os.ReadFile(filepath.Join(ts.root, "state"))
					return err == nil
				})
				if string(state) != tt.want+" "+pid {
					t.Errorf("connection_aborted, connection_status and pid: %q, want %q", state, tt.want+" "+pid)
				}
				if got := askWire(t, ts, "GET", "/pid.php"); got.body != pid {
					t.Errorf("worker %s was not attached again: %d %q", pid, got.StatusCode, got.body)
				}
				if _, err := os.Stat(filepath.Join(ts.root, "end")); (err == nil) != tt.end {
					t.Errorf("the script ran to its end: %v, want %v", err == nil, tt.end)
				}
			})
		}
	})
}

func TestResponseOfAScriptThatRunsTooLong(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		patient.UnderLimit(t, 300*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
			ts := startServer(t, engine, map[string]string{"loop.php": `<?php for (;;);`, "begun.php": `<?php echo str_repeat('x', 70000); flush(); for (;;);`, "ok.php": `<?php echo 'ok';`},
				func(c *Config) { c.Pools[0].RequestTerminateTimeout = limit })
			if got := askWire(t, ts, "GET", "/loop.php"); got.StatusCode != 504 {
				t.Errorf("got %d", got.StatusCode)
			}
			text := wire(t, ts, "GET /begun.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			after := askWire(t, ts, "GET", "/ok.php")
			if strings.HasPrefix(text, "HTTP/1.1 504") || after.StatusCode == 504 {
				return true
			}
			if !strings.HasPrefix(text, "HTTP/1.1 200") || strings.HasSuffix(text, "0\r\n\r\n") {
				t.Errorf("a response that was cut short looks complete: ...%q", text[max(0, len(text)-20):])
			}
			if after.body != "ok" {
				t.Errorf("afterwards: %d %q", after.StatusCode, after.body)
			}
			return false
		})
	})
}

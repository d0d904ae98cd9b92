package server

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
)

// waitsAfter is a script that ends its response in some way, and then goes on until its gate opens. Nothing it says then reaches the
// client, and the client's leaving does not end it.
func waitsAfter(response string) string {
	return `<?php while (ob_get_level()) { ob_end_clean(); } ` + response + ` $n = basename(__FILE__); touch(__DIR__ . "/in-$n");
while (!file_exists(__DIR__ . "/gate-$n")) { usleep(1000); clearstatcache(); }
echo 'too late'; flush(); usleep(1000); echo 'too late'; flush(); file_put_contents(__DIR__ . "/done-$n", connection_aborted());`
}

func TestResponseThatIsCompleteDoesNotHoldUpTheConnection(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, response, body string
		status               int
		method               string
	}{
		{"the usual idiom", `ob_start(); echo 'ok'; header('Connection: close'); header('Content-Length: ' . ob_get_length()); ob_end_flush(); flush();`, "ok", 200, "GET"},
		{"without Connection", `header('Content-Length: 2'); echo 'ok'; flush();`, "ok", 200, "GET"},
		{"in two pieces", `header('Content-Length: 4'); echo 'ok'; flush(); usleep(20000); echo 'ok'; flush();`, "okok", 200, "GET"},
		{"more than announced", `header('Content-Length: 2'); echo 'okok'; flush();`, "ok", 200, "GET"},
		{"an empty one", `header('Content-Length: 0'); echo ' '; flush();`, "", 200, "GET"},
		{"a redirect", `header('Location: /x'); header('Content-Length: 0'); echo ' '; flush();`, "", 302, "GET"},
		{"one without a body", `http_response_code(204); echo ' '; flush();`, "", 204, "GET"},
		{"one that did not change", `http_response_code(304); echo ' '; flush();`, "", 304, "GET"},
		{"fastcgi_finish_request()", `echo 'ok'; fastcgi_finish_request();`, "ok", 200, "GET"},
		{"a POST", `header('Content-Length: 2'); echo 'ok'; flush();`, "ok", 200, "POST"},
	}
	files := map[string]string{"b.php": `<?php echo 'next';`}
	for i, tt := range tests {
		files[fmt.Sprintf("a%d.php", i)] = waitsAfter(tt.response)
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, files, nil)
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				name, length := fmt.Sprintf("a%d.php", i), ""
				conn := connect(t, ts)
				r := bufio.NewReader(conn)
				if tt.method == "POST" {
					length = "Content-Length: 0\r\n"
				}
				send(t, conn, tt.method+" /"+name+" HTTP/1.1\r\nHost: a\r\n"+length+"\r\n")
				if got := readAnswer(t, r, tt.method); got.StatusCode != tt.status || got.body != tt.body {
					t.Fatalf("got %d %q", got.StatusCode, got.body)
				}
				send(t, conn, "GET /b.php HTTP/1.1\r\nHost: a\r\n\r\n")
				if got := readAnswer(t, r, "GET"); got.body != "next" {
					t.Errorf("the next request: %d %q", got.StatusCode, got.body)
				}
				endsAlone(t, ts, conn, name)
			})
		}
	})
}

// endsAlone has the client leave, and then waits for the end of a script of waitsAfter.
func endsAlone(t *testing.T, ts *testServer, conn net.Conn, name string) {
	t.Helper()
	conn.Close()
	done := filepath.Join(ts.root, "done-"+name)
	eventually(t, "the script waits", func() bool { _, err := os.Stat(filepath.Join(ts.root, "in-"+name)); return err == nil })
	if _, err := os.Stat(done); err == nil {
		t.Error("the script was done before")
	}
	testfiles.Put(t, ts.root, map[string]string{"gate-" + name: ""})
	eventually(t, "the script comes to its end", func() bool { _, err := os.Stat(done); return err == nil })
	eventually(t, "its worker is idle", func() bool { return ts.pool().Stats().Busy == 0 })
	if aborted, err := os.ReadFile(done); err != nil || string(aborted) != "0" {
		t.Errorf("connection_aborted() is %q, %v", aborted, err)
	}
}

func TestResponseThatIsCompleteDoesNotHoldUpATLSConnection(t *testing.T) {
	t.Parallel()
	ts, ca := startTLS(t, map[string]string{"a.php": waitsAfter(`header('Content-Length: 2'); echo 'ok'; flush();`), "b.php": `<?php echo 'next';`}, nil)
	conn := connectTLS(t, ts, ca, "http/1.1")
	r := bufio.NewReader(conn)
	for _, page := range []struct{ name, want string }{{"a", "ok"}, {"b", "next"}} {
		send(t, conn, "GET /"+page.name+".php HTTP/1.1\r\nHost: a.test\r\n\r\n")
		if got := readAnswer(t, r, "GET"); got.body != page.want {
			t.Errorf("got %d %q", got.StatusCode, got.body)
		}
	}
	endsAlone(t, ts, conn, "a.php")
}

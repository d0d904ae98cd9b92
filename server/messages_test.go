package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
)

// leaverScripts say something before and behind the moment when their client leaves.
var leaverScripts = map[string]string{
	"silent.php": `<?php error_log('said before'); touch(__DIR__ . '/running');
		while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); }
		error_log('said behind'); echo 'x'; error_log('said last');`,
	"streaming.php": `<?php error_log('said before'); echo str_repeat('x', 20000); flush(); touch(__DIR__ . '/running');
		while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); }
		error_log('said behind'); echo str_repeat('x', 20000); error_log('said last');`,
}

// waitForFile waits until a script has made a file.
func (ts *testServer) waitForFile(name string) {
	ts.t.Helper()
	eventually(ts.t, "the file "+name, func() bool {
		_, err := os.Stat(filepath.Join(ts.root, name))
		return err == nil
	})
}

// TestMessagesOfARequestWhoseClientLeftAreLogged has clients leave in the middle.
func TestMessagesOfARequestWhoseClientLeftAreLogged(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		for _, script := range []string{"silent.php", "streaming.php"} {
			t.Run(script, func(t *testing.T) {
				ts := startServer(t, engine, leaverScripts, func(c *Config) { c.Pools[0].MaxChildren = 1 })
				conn := ts.dial()
				fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", script)
				ts.waitForFile("running")
				conn.Close()
				ts.access.waitFor(t, script) // the handler has noticed
				testfiles.Put(t, ts.root, map[string]string{"go": ""})
				for _, said := range []string{"said before", "said behind", "said last"} {
					ts.log.waitFor(t, `text="`+said+`"`)
				}
			})
		}
	})
}

// TestResponderMessagesOfARequestWhoseClientLeftAreLogged is the same for a visitor of nginx.
func TestResponderMessagesOfARequestWhoseClientLeftAreLogged(t *testing.T) {
	for script := range leaverScripts {
		behindNginx(t, leaverScripts, func(c *Config) { c.Pools[0].MaxChildren = 1 }, func(t *testing.T, ts *testServer, n *nginx) {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/"+script, nil)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if r, err := http.DefaultClient.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
			}()
			ts.waitForFile("running")
			leave()
			testfiles.Put(t, ts.root, map[string]string{"go": ""})
			for _, said := range []string{"said before", "said behind", "said last"} {
				ts.log.waitFor(t, `text="`+said+`"`)
			}
		})
	}
}

// TestMessagesOfOneRequestAreAllLogged writes more than fits anywhere at once: many, and one that is long.
func TestMessagesOfOneRequestAreAllLogged(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		const many, long = 5000, 200000
		ts := startServer(t, engine, map[string]string{"index.php": fmt.Sprintf(`<?php
			error_log(str_repeat('l', %d));
			for ($i = 0; $i < %d; $i++) { error_log("number $i " . str_repeat('x', 90)); }
			throw new Exception('the end');`, long, many)}, nil)
		if a := ts.get("/"); a.StatusCode != http.StatusInternalServerError {
			t.Errorf("status %d", a.StatusCode)
		}
		ts.log.waitFor(t, "the end")
		text := ts.log.String()
		for i := range many {
			if !strings.Contains(text, fmt.Sprintf("number %d x", i)) {
				t.Fatalf("message %d is missing", i)
			}
		}
		if n := strings.Count(text, "l"); n < long {
			t.Errorf("%d bytes of the long message", n)
		}
		if n := strings.Count(text, `msg="php message"`); n < many+2 || n > many+2+long/messageLimit+1 {
			t.Errorf("%d records", n)
		}
	})
}

// TestResponderManyMessagesDoNotBecomeA502 has scripts warn thousands of times before and behind the head of their response.
func TestResponderManyMessagesDoNotBecomeA502(t *testing.T) {
	warn := `for ($i = 0; $i < $_GET['n']; $i++) { error_log("warning number $i of a script that has much to say"); }`
	behindNginx(t, map[string]string{
		"before.php": `<?php ` + warn + ` echo 'served';`,
		"behind.php": `<?php echo 'ser'; flush(); ` + warn + ` echo 'ved';`,
		"among.php":  `<?php ` + warn + ` echo 'ser'; flush(); ` + warn + ` echo 'ved';`,
	}, nil, func(t *testing.T, ts *testServer, n *nginx) {
		for _, script := range []string{"before", "behind", "among"} {
			for _, count := range []int{1, 100, 500, 1000, 5000} {
				if status, body := n.get(t, fmt.Sprintf("/%s.php?n=%d", script, count)); status != 200 || body != "served" {
					t.Errorf("%s, %d messages: %d %q", script, count, status, body)
				}
			}
		}
	})
}

func TestMessageBufferPutsMessagesTogether(t *testing.T) {
	const trace = "PHP Fatal error:  Uncaught Exception: x in a.php:1\nStack trace:\n#0 {main}\n  thrown in a.php on line 1"
	text := "first\n" + trace + "\nlast\n" + strings.Repeat("y", 10000) + "\nno end"
	want := []string{"first", trace, "last", strings.Repeat("y", 10000), "no end"}
	for _, size := range []int{1, 7, 8192, len(text)} {
		var b messageBuffer
		var got []string
		for at := 0; at < len(text); at += size {
			messages, _ := b.add([]byte(text[at:min(at+size, len(text))]), true)
			got = append(got, messages...)
		}
		if got = append(got, b.rest()...); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("in pieces of %d: %.300q", size, got)
		}
	}
}

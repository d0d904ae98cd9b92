package server

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
	"github.com/phpserve/phpserve/server/accesslog"
)

// bigScript prints more than the system's socket buffers take.
const bigScript = `<?php for ($i = 0; $i < 512; $i++) { echo str_repeat('x', 65536); }`

// closedBy waits until the server closes the connection and returns what came before.
func closedBy(t *testing.T, conn net.Conn) string {
	t.Helper()
	text, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server did not close the connection")
	}
	return string(text)
}

func TestTimeoutOfAClientThatIsSilent(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], map[string]string{"a.txt": "static"}, func(c *Config) {
		c.HeaderTimeout, c.IdleTimeout = 200*time.Millisecond, 200*time.Millisecond
	})
	for name, begin := range map[string]string{
		"CVE-2007-6750 head that never ends": "GET /a.txt HTTP/1.1\r\nHost: a\r\nX-A: b\r\n", "request line cut short": "GE", "nothing at all": "",
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, ts)
			send(t, conn, begin)
			if text := closedBy(t, conn); strings.Contains(text, "static") {
				t.Errorf("got %q", text)
			}
		})
	}
	t.Run("kept-alive connection without a next request", func(t *testing.T) {
		patient.UnderLimit(t, 200*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
			ts := startServer(t, engines[1], map[string]string{"a.txt": "static"}, func(c *Config) { c.HeaderTimeout, c.IdleTimeout = limit, limit })
			conn := connect(t, ts)
			send(t, conn, "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
			return !strings.HasSuffix(closedBy(t, conn), "static")
		})
	})
}

func TestTimeoutOfAClientThatReadsNothing(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], map[string]string{"big.php": bigScript, "big.bin": strings.Repeat("x", 32<<20)}, func(c *Config) {
		c.WriteTimeout, c.SpoolDir, c.AccessFormat = 200*time.Millisecond, t.TempDir(), accesslog.JSON
	})
	for _, target := range []string{"/big.php", "/big.bin"} {
		conn := connect(t, ts)
		send(t, conn, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
		ts.access.waitFor(t, target) // the request has ended
		if text := closedBy(t, conn); len(text) >= 32<<20 {
			t.Errorf("%s: all of it fitted into the buffers", target)
		}
	}
	eventually(t, "the worker is free", func() bool { return ts.pool().Stats().Idle == 2 })
}

// The time is for each part of a response: a slow client may take as long as it needs for the whole.
func TestTimeoutDoesNotEndASlowDownload(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	for _, target := range []string{"/big.php", "/big.bin"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			patient.UnderLimit(t, 300*time.Millisecond, func(limit time.Duration) (tooSlow bool) {
				ts := startServer(t, engines[1], map[string]string{"big.php": bigScript}, func(c *Config) {
					c.WriteTimeout, c.SpoolDir = limit, t.TempDir()
				})
				if err := os.WriteFile(filepath.Join(ts.root, "big.bin"), make([]byte, size), 0o644); err != nil {
					t.Fatal(err)
				}
				conn := connect(t, ts)
				send(t, conn, "GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				r := bufio.NewReader(conn)
				if _, err := r.Peek(1); err != nil {
					t.Fatal(err)
				}
				began, tick := time.Now(), time.NewTicker(limit/15)
				defer tick.Stop()
				var n int64
				for {
					<-tick.C
					got, err := io.CopyN(io.Discard, r, 512<<10)
					n += got
					if err != nil {
						break
					}
				}
				if n >= size && time.Since(began) < 3*limit {
					t.Errorf("%d bytes arrived in %v already", n, time.Since(began))
				}
				return n < size
			})
		})
	}
}

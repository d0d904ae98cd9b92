package server

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/server/accesslog"
)

// bodyScript tells what PHP saw of a body.
const bodyScript = `<?php $in = file_get_contents('php://input');
echo $_SERVER['CONTENT_LENGTH'] ?? '-', ' ', strlen($in), ' ', sha1($in);`

// sizedBody is n bytes that compress badly and have no pattern, the same in every run.
func sizedBody(n int) []byte {
	var seed [32]byte
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(b) // it never fails
	return b
}

func sha1Hex(b []byte) string {
	sum := sha1.Sum(b)
	return hex.EncodeToString(sum[:])
}

// bodySizes are the sizes around what is kept in memory, in one FastCGI record and in one read.
var bodySizes = []int{1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 20, 5<<20 + 1}

func TestUploadArrivesWholeWhateverItsLength(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		spool := t.TempDir()
		ts := startServer(t, engine, map[string]string{"in.php": bodyScript}, func(c *Config) {
			c.SpoolDir, c.SpoolMemory = spool, 4096
			c.Pools[0].PHPValue = []string{"post_max_size=64M"}
		})
		for _, n := range bodySizes {
			body := sizedBody(n)
			want := fmt.Sprintf("%d %d %s", n, n, sha1Hex(body))
			for _, chunked := range []bool{false, true} {
				for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND"} {
					if method != "POST" && n != 65_537 {
						continue
					}
					// A new reader each time: the client may go on reading one after it returned the response.
					var r io.Reader = bytes.NewReader(body)
					if chunked {
						r = struct{ io.Reader }{r}
					}
					if got := ts.do(method, "/in.php", r, "Content-Type", "application/octet-stream"); got.body != want {
						t.Errorf("%s chunked=%t %d bytes: %d %q, want %q", method, chunked, n, got.StatusCode, got.body, want)
					}
				}
			}
		}
		left, err := os.ReadDir(spool)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the spool folder: %v %v", left, err)
		}
	})
}

func TestUploadOfAFormFileIsIntact(t *testing.T) {
	t.Parallel()
	const script = `<?php $f = $_FILES['f']; move_uploaded_file($f['tmp_name'], __DIR__ . '/kept') || exit('not moved');
		echo $f['error'], ' ', $f['name'], ' ', $f['size'], ' ', sha1_file(__DIR__ . '/kept'), ' ', $_POST['title'];`
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"up.php": script}, func(c *Config) {
			c.Pools[0].PHPValue = []string{"upload_max_filesize=8M", "post_max_size=8M"}
		})
		for _, chunked := range []bool{false, true} {
			content := sizedBody(3 << 20)
			var form bytes.Buffer
			w := multipart.NewWriter(&form)
			part, err := w.CreateFormFile("f", "photo ü.jpg")
			if err != nil {
				t.Fatal(err)
			}
			part.Write(content)
			w.WriteField("title", "a & b")
			w.Close()
			var r io.Reader = &form
			if chunked {
				r = struct{ io.Reader }{&form}
			}
			got := ts.do("POST", "/up.php", r, "Content-Type", w.FormDataContentType())
			if want := fmt.Sprintf("0 photo ü.jpg %d %s a & b", len(content), sha1Hex(content)); got.body != want {
				t.Errorf("chunked %v: got %d %q, want %q", chunked, got.StatusCode, got.body, want)
			}
		}
	})
}

func TestUploadOverTheLimitGets413(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"in.php": bodyScript}, func(c *Config) { c.Sites[0].MaxBodySize = limit })
		for n, want := range map[int]int{limit: 200, limit + 1: 413} {
			body := string(sizedBody(n))
			for name, rest := range map[string]string{
				"declared":   fmt.Sprintf("Content-Length: %d\r\n\r\n%s", n, body),
				"undeclared": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, body),
			} {
				// Go's client may close its connection, answer unread, when it is not let write all of a body.
				conn := connect(t, ts)
				send(t, conn, "POST /in.php HTTP/1.1\r\nHost: a\r\n"+rest)
				if got := readAnswer(t, bufio.NewReader(conn), "POST"); got.StatusCode != want {
					t.Errorf("%s length %d: %d, want %d", name, n, got.StatusCode, want)
				}
			}
		}
		// A client that announces too much is refused before it sends anything.
		conn := connect(t, ts)
		send(t, conn, "POST /in.php HTTP/1.1\r\nHost: a\r\nContent-Length: 100000001\r\n\r\n")
		if got := readAnswer(t, bufio.NewReader(conn), "POST"); got.StatusCode != 413 || !got.Close {
			t.Errorf("announced: %d, connection closed: %v", got.StatusCode, got.Close)
		}
		// One that never stops is refused at the limit.
		conn = connect(t, ts)
		send(t, conn, "POST /in.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		go func() {
			chunk := "2710\r\n" + strings.Repeat("x", 10_000) + "\r\n"
			for {
				if _, err := io.WriteString(conn, chunk); err != nil {
					return
				}
			}
		}()
		if got := readAnswer(t, bufio.NewReader(conn), "POST"); got.StatusCode != 413 || !got.Close {
			t.Errorf("endless: %d, connection closed: %v", got.StatusCode, got.Close)
		}
	})
}

func TestUploadIsInvitedByExpectOnlyWhenWanted(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"in.php": bodyScript, "a.txt": "static"}, func(c *Config) { c.Sites[0].MaxBodySize = 10 })
		head := func(target, length string) string {
			return "POST " + target + " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: " + length + "\r\n\r\n"
		}
		conn := connect(t, ts)
		r := bufio.NewReader(conn)
		send(t, conn, head("/in.php", "3"))
		if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("RFC 9110 10.1.1: %q %v", line, err)
		}
		if line, err := r.ReadString('\n'); err != nil || line != "\r\n" {
			t.Fatalf("after 100: %q %v", line, err)
		}
		send(t, conn, "abc")
		if got := readAnswer(t, r, "POST"); got.body != "3 3 "+sha1Hex([]byte("abc")) {
			t.Errorf("got %d %q", got.StatusCode, got.body)
		}
		for target, want := range map[string]int{"/in.php": 413, "/none": 404, "/a.txt": 405, "/%00": 400} {
			length := "3"
			if want == 413 {
				length = "11"
			}
			conn := connect(t, ts)
			send(t, conn, head(target, length))
			if got := readAnswer(t, bufio.NewReader(conn), "POST"); got.StatusCode != want {
				t.Errorf("POST %s: %s first, want %d", target, got.Status, want)
			}
		}
		if got := wire(t, ts, "POST /in.php HTTP/1.1\r\nHost: a\r\nExpect: nonsense\r\nContent-Length: 3\r\n\r\nabc"); !strings.HasPrefix(got, "HTTP/1.1 417 ") {
			t.Errorf("unknown expectation: %.80q", got)
		}
	})
}

func TestUploadThatIsSlowHoldsNoWorker(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"in.php": bodyScript}, func(c *Config) { c.Pools[0].MaxChildren = 1 })
		var slow []io.Writer
		var readers []*bufio.Reader
		for _, head := range []string{"Content-Length: 3", "Transfer-Encoding: chunked"} {
			conn := connect(t, ts)
			send(t, conn, "POST /in.php HTTP/1.1\r\nHost: a\r\n"+head+"\r\n\r\n")
			slow, readers = append(slow, conn), append(readers, bufio.NewReader(conn))
		}
		want := "3 3 " + sha1Hex([]byte("abc"))
		for _, c := range "abc" {
			fmt.Fprintf(slow[0], "%c", c)
			if c != 'c' {
				fmt.Fprintf(slow[1], "1\r\n%c\r\n", c)
			}
			if got := ts.do("POST", "/in.php", strings.NewReader("abc")); got.body != want {
				t.Fatalf("while uploads dribble: %d %q", got.StatusCode, got.body)
			}
			eventually(t, "no unfinished upload holds the worker", func() bool {
				got := ts.pool().Stats()
				return got.Busy == 0 && got.Waiting == 0
			})
		}
		fmt.Fprintf(slow[1], "1\r\nc\r\n0\r\n\r\n")
		for i, r := range readers {
			if got := readAnswer(t, r, "POST"); got.body != want {
				t.Errorf("upload %d: %d %q", i, got.StatusCode, got.body)
			}
		}
	})
}

func TestUploadThatStopsEndsWithoutAWorker(t *testing.T) {
	t.Parallel()
	spool := t.TempDir()
	ts := startServer(t, engines[1], map[string]string{"in.php": `<?php file_put_contents(__DIR__ . '/ran', 'x', FILE_APPEND);`}, func(c *Config) {
		c.BodyTimeout, c.SpoolDir, c.SpoolMemory, c.AccessFormat = 200*time.Millisecond, spool, 4096, accesslog.Common
	})
	for _, head := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
		t.Run("RFC 9110 15.5.9 408 "+head, func(t *testing.T) {
			conn := connect(t, ts)
			send(t, conn, "POST /in.php?pause HTTP/1.1\r\nHost: a\r\n"+head+"\r\n\r\n")
			send(t, conn, "c350\r\n"+strings.Repeat("x", 50_000))
			if got := readAnswer(t, bufio.NewReader(conn), "POST"); got.StatusCode != http.StatusRequestTimeout || !got.Close {
				t.Errorf("got %d, connection closed: %v", got.StatusCode, got.Close)
			}
		})
		t.Run("client dies "+head, func(t *testing.T) {
			conn := connect(t, ts)
			send(t, conn, "POST /in.php?"+head[:8]+" HTTP/1.1\r\nHost: a\r\n"+head+"\r\n\r\nc350\r\n"+strings.Repeat("x", 20_000))
			conn.Close()
			ts.access.waitFor(t, "POST /in.php?"+head[:8])
		})
	}
	if _, err := os.Stat(filepath.Join(ts.root, "ran")); err == nil {
		t.Error("a script ran for an unfinished body")
	}
	eventually(t, "the spool folder is empty", func() bool {
		left, err := os.ReadDir(spool)
		return err == nil && len(left) == 0
	})
	ts.access.waitForLines(t, 4, "POST /in.php")
}

func TestUploadBelowTheMinimumRateGets408(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], map[string]string{"in.php": bodyScript}, func(c *Config) { c.BodyTimeout = 300 * time.Millisecond })
	for _, head := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
		t.Run(head, func(t *testing.T) {
			conn := connect(t, ts)
			send(t, conn, "POST /in.php HTTP/1.1\r\nHost: a\r\n"+head+"\r\n\r\n")
			done := make(chan struct{})
			defer close(done)
			go func() { // never a pause of timeouts.body
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						io.WriteString(conn, "1\r\nx\r\n") //nolint:errcheck // the server may have closed it
					case <-done:
						return
					}
				}
			}()
			if got := readAnswer(t, bufio.NewReader(conn), "POST"); got.StatusCode != http.StatusRequestTimeout || !got.Close {
				t.Errorf("got %d, connection closed: %v", got.StatusCode, got.Close)
			}
		})
	}
}

func TestUploadsShareTheRoomOnDisk(t *testing.T) {
	t.Parallel()
	const room = 1 << 20
	eachEngine(t, func(t *testing.T, engine string) {
		dir := t.TempDir()
		ts := startServer(t, engine, map[string]string{"in.php": bodyScript}, func(c *Config) {
			c.SpoolDir, c.SpoolMemory, c.SpoolBodies, c.Sites[0].MaxBodySize = dir, 4096, room, room
		})
		// Unfinished uploads of a client that only announces much take no room; what has arrived does.
		idle, first := connect(t, ts), connect(t, ts)
		body := sizedBody(room * 3 / 4)
		send(t, idle, fmt.Sprintf("POST /in.php HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", room))
		send(t, first, fmt.Sprintf("POST /in.php HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(body)))
		send(t, first, string(body[:len(body)-1]))
		eventually(t, "the body has arrived up to its last byte", func() bool { return ts.spools.Bodies.Taken() == int64(len(body)-1) })
		second := body[:room/2]
		for head, rest := range map[string]string{
			fmt.Sprintf("Content-Length: %d", len(second)): "", // refused before it sends anything
			"Transfer-Encoding: chunked":                   fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(second), second),
		} {
			conn := connect(t, ts)
			go io.WriteString(conn, "POST /in.php HTTP/1.1\r\nHost: a\r\n"+head+"\r\n\r\n"+rest) //nolint:errcheck // it is refused on the way
			got := readAnswer(t, bufio.NewReader(conn), "POST")
			if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || !got.Close {
				t.Errorf("%s: got %d, Retry-After %q, connection closed: %v", head, got.StatusCode, got.Header.Get("Retry-After"), got.Close)
			}
		}
		ts.log.waitForLine(t, "request failed", "level=ERROR", "status=503", "reached spool.bodies")
		if got := ts.do("POST", "/in.php", bytes.NewReader(second[:4096])); got.StatusCode != 200 {
			t.Errorf("a body that stays in memory: %d", got.StatusCode)
		}
		for _, size := range openSpoolFiles(t, dir) {
			if size >= int64(len(body)) {
				t.Errorf("a file of %d bytes", size)
			}
		}
		send(t, first, string(body[len(body)-1:]))
		if got := readAnswer(t, bufio.NewReader(first), "POST"); got.body != fmt.Sprintf("%d %d %s", len(body), len(body), sha1Hex(body)) {
			t.Errorf("the first: %d %q", got.StatusCode, got.body)
		}
		eventually(t, "the room is given back", func() bool { return ts.spools.Bodies.Taken() == 0 && len(openSpoolFiles(t, dir)) == 0 })
		if got := ts.do("POST", "/in.php", bytes.NewReader(second)); got.body != fmt.Sprintf("%d %d %s", len(second), len(second), sha1Hex(second)) {
			t.Errorf("the second: %d %q", got.StatusCode, got.body)
		}
	})
}

// The first worker dies with the body half on its way; the second gets all of it.
func TestUploadIsRepeatedWhole(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		dir := t.TempDir()
		ts := startServer(t, engine, map[string]string{
			"in.php": `<?php if (!file_exists(__DIR__ . '/died')) { touch(__DIR__ . '/died'); posix_kill(getmypid(), SIGKILL); } ?>` + bodyScript,
		}, func(c *Config) { c.SpoolDir = dir })
		body := sizedBody(5 << 20)
		if got := ts.do("GET", "/in.php", bytes.NewReader(body), "Content-Type", "application/octet-stream"); got.body != fmt.Sprintf("%d %d %s", len(body), len(body), sha1Hex(body)) {
			t.Errorf("got %d %q", got.StatusCode, got.body)
		}
		ts.log.waitFor(t, "request repeated on another")
		eventually(t, "the file is given back", func() bool { return ts.spools.Bodies.Taken() == 0 && len(openSpoolFiles(t, dir)) == 0 })
	})
}

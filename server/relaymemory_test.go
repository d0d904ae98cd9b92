package server

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestCompleteResponsesThatWaitForTheirClientShareTheMemory: a client of HTTP/2 that opens no window lets as many responses wait as it
// has streams. They take no more memory than one client may have, and it gets all of each one when it reads at last.
func TestCompleteResponsesThatWaitForTheirClientShareTheMemory(t *testing.T) {
	t.Parallel()
	const streams, workers, total, disk = 100, 2, 4 << 20, 64 << 10 // disk: the share of one client
	scripts := map[string]string{
		"whole.php": `<?php echo str_repeat('a', (int) $_GET['size']);`,
		// The response is complete, and the script goes on behind it.
		"announced.php": `<?php header('Content-Length: ' . $_GET['size']); echo str_repeat('a', (int) $_GET['size']); flush(); usleep(1000);`,
		"finished.php":  `<?php echo str_repeat('a', (int) $_GET['size']); fastcgi_finish_request(); usleep(1000);`,
	}
	for _, response := range []struct {
		script string
		size   int
	}{{"whole.php", 200 << 10}, {"whole.php", 20 << 10}, {"announced.php", 60 << 10}, {"finished.php", 60 << 10}} {
		size := response.size
		eachEngine(t, func(t *testing.T, engine string) {
			t.Run(fmt.Sprint(response.script, size), func(t *testing.T) {
				t.Parallel()
				ts, ca := startTLS(t, scripts, func(c *Config) {
					behindProxy(c)
					c.Pools[0].Engine, c.Pools[0].MaxChildren, c.Pools[0].QueueSize = engine, workers, 2*streams
					c.SpoolDir, c.SpoolMemoryTotal, c.SpoolMemory = t.TempDir(), total, 64<<10
					c.SpoolDisk, c.SpoolResponses = 64<<10, 4*disk
				})
				conn := connectTLS(t, ts, ca, "h2")
				if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
					t.Fatal(err)
				}
				f := http2.NewFramer(conn, conn)
				if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
					t.Fatal(err)
				}
				for i := range streams {
					var head bytes.Buffer
					e := hpack.NewEncoder(&head)
					for _, field := range [][2]string{
						{":method", "GET"},
						{":scheme", "https"},
						{":authority", "a.test"},
						{":path", fmt.Sprint("/", response.script, "?size=", size)},
						{"x-forwarded-for", "192.0.2.1"},
					} {
						if err := e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
							t.Fatal(err)
						}
					}
					if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
						t.Fatal(err)
					}
				}
				bounded := func() {
					if taken := ts.spools.Memory.Taken(); taken > total/4 {
						t.Errorf("one client has %d bytes of %d", taken, total)
					}
				}
				eventually(t, "PHP waits for room", func() bool {
					bounded()
					stats := ts.pool().Stats()
					return stats.Busy == workers && stats.Waiting > 0 && ts.spools.Responses.Taken() == disk
				})
				// What is begun has a place: in memory, on the disk, or in the hands of a worker.
				if begun, most := headsBehind(t, f, 500), (total/4+disk)/size+workers; begun > most {
					t.Errorf("%d responses were begun, there is room for %d", begun, most)
				}
				if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}); err != nil {
					t.Fatal(err)
				}
				if err := f.WriteWindowUpdate(0, 1<<30); err != nil {
					t.Fatal(err)
				}
				got := map[uint32]int{}
				for ended := 0; ended < streams; {
					frame, err := f.ReadFrame()
					if err != nil {
						t.Fatalf("%d responses ended: %v", ended, err)
					}
					bounded()
					switch frame := frame.(type) {
					case *http2.DataFrame:
						if got[frame.StreamID] += len(frame.Data()); !frame.StreamEnded() {
							continue
						}
						if ended++; got[frame.StreamID] != size {
							t.Errorf("stream %d ended after %d bytes", frame.StreamID, got[frame.StreamID])
						}
					case *http2.RSTStreamFrame:
						t.Fatalf("stream %d is cut off: %v", frame.StreamID, frame.ErrCode)
					}
				}
				eventually(t, "all is given back", func() bool { return ts.spools.Memory.Taken() == 0 && ts.spools.Responses.Taken() == 0 })
			})
		})
	}
}

// headsBehind is how many responses have begun when so many pings have come back.
func headsBehind(t *testing.T, f *http2.Framer, pings int) (heads int) {
	t.Helper()
	for range pings {
		if err := f.WritePing(false, [8]byte{}); err != nil {
			t.Fatal(err)
		}
		for back := false; !back; {
			switch frame, err := f.ReadFrame(); frame := frame.(type) {
			case *http2.HeadersFrame:
				heads++
			case *http2.PingFrame:
				back = frame.IsAck()
			default:
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return heads
}

// TestCompleteResponseThatNobodyReadsGivesItsWorkerBack: where it has no room, its worker waits for the client, but no longer than
// timeouts.write lets a client wait.
func TestCompleteResponseThatNobodyReadsGivesItsWorkerBack(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{
		"page.php":     `<?php echo str_repeat('a', 200 << 10);`,
		"finished.php": `<?php echo str_repeat('a', 200 << 10); fastcgi_finish_request();`,
		"pid.php":      `<?php echo getmypid();`,
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, scripts, func(c *Config) {
			c.Pools[0].MaxChildren, c.SpoolDir, c.WriteTimeout = 1, t.TempDir(), 200*time.Millisecond
			c.SpoolMemoryTotal, c.SpoolMemory, c.SpoolDisk, c.SpoolResponses = 16<<10, 4<<10, 4<<10, 16<<10
		})
		pid := ts.get("/pid.php").body
		for _, script := range []string{"page.php", "finished.php"} {
			conn := connect(t, ts)
			send(t, conn, strings.Repeat("GET /"+script+" HTTP/1.1\r\nHost: a\r\n\r\n", 100)) // more than the system takes for a client
			if got := ts.get("/pid.php"); got.StatusCode != 200 || got.body != pid {
				t.Errorf("%s: the next request got %d from %s, not from %s", script, got.StatusCode, got.body, pid)
			}
			eventually(t, "the client is given up", func() bool { return ts.spools.Responses.Taken() == 0 && ts.spools.Memory.Taken() == 0 })
		}
	})
}

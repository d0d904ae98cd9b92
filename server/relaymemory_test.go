package server

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestCompleteResponsesThatWaitForTheirClientShareTheMemory: a client of HTTP/2 that opens no window lets as many responses wait as it
// has streams. They take no more memory than one client may have, and it gets all of each one when it reads at last.
func TestCompleteResponsesThatWaitForTheirClientShareTheMemory(t *testing.T) {
	t.Parallel()
	const streams, total = 100, 4 << 20
	for name, size := range map[string]int{"200 KiB": 200 << 10, "20 KiB": 20 << 10} {
		eachEngine(t, func(t *testing.T, engine string) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ts, ca := startTLS(t, map[string]string{"page.php": `<?php echo str_repeat('a', (int) $_GET['size']);`}, func(c *Config) {
					behindProxy(c)
					c.Pools[0].Engine, c.Pools[0].MaxChildren, c.Pools[0].QueueSize = engine, 2, 2*streams
					c.SpoolDir, c.SpoolMemoryTotal, c.SpoolMemory = t.TempDir(), total, 64<<10
					c.SpoolDisk, c.SpoolResponses = 64<<10, 256<<10
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
						{":path", fmt.Sprint("/page.php?size=", size)},
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
					return stats.Busy == 2 && stats.Waiting > 0 && ts.spools.Memory.Taken() > total/4-2*gatherLimit
				})
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

package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
)

// keptAlive opens a connection and has one request answered on it.
func keptAlive(t *testing.T, ts *testServer) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := connect(t, ts)
	r := bufio.NewReader(conn)
	again(t, conn, r)
	return conn, r
}

// again asks once more on a connection.
func again(t *testing.T, conn net.Conn, r *bufio.Reader) {
	t.Helper()
	send(t, conn, "GET /a.txt HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if got := readAnswer(t, r, "GET"); got.body != "text" {
		t.Fatalf("got %d %q", got.StatusCode, got.body)
	}
}

func TestConnectionsMakeRoomWhenAllAreInUse(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"a.txt": "text", "gate.php": gateScript}, func(c *Config) {
			c.MaxConnections, c.Pools[0].MaxChildren = 4, 4
		})
		idle := func(n int) func() bool {
			return func() bool {
				_, idle := ts.conns.Count()
				return idle == n
			}
		}
		t.Run("those that wait for a request, the oldest first", func(t *testing.T) {
			first, _ := keptAlive(t, ts)
			eventually(t, "it is idle", idle(1))
			second, r := keptAlive(t, ts)
			eventually(t, "it is idle", idle(2))
			again(t, second, r) // is the younger one in any case
			silent := connect(t, ts)
			eventually(t, "it is accepted", func() bool { used, _ := ts.conns.Count(); return used == 3 })
			_, _ = keptAlive(t, ts)
			eventually(t, "they are idle", idle(3))
			_, _ = keptAlive(t, ts) // one too many
			if text := closedBy(t, first); text != "" {
				t.Errorf("the oldest got %q", text)
			}
			closed := make(chan int64, 1)
			go func() {
				n, _ := io.Copy(io.Discard, silent)
				closed <- n
			}()
			for n := int64(-1); n < 0; { // it has a second before its turn comes
				_, _ = keptAlive(t, ts)
				select {
				case n = <-closed:
					if n > 0 {
						t.Errorf("one that never said anything got %d bytes", n)
					}
				default:
				}
			}
		})
		t.Run("never those with a request: the new one waits", func(t *testing.T) {
			var all []*gated
			for i := range 4 {
				g := gate(t, ts, fmt.Sprint("g", i))
				g.running(t, ts)
				all = append(all, g)
			}
			conn := connect(t, ts)
			send(t, conn, "GET /a.txt HTTP/1.1\r\nHost: a.test\r\n\r\n")
			ts.log.waitFor(t, "all connections are in use")
			all[0].open(t, ts)
			all[0].finish(t)
			if got := readAnswer(t, bufio.NewReader(conn), "GET"); got.body != "text" {
				t.Errorf("got %d %q", got.StatusCode, got.body)
			}
			for _, g := range all[1:] {
				g.open(t, ts)
				g.finish(t)
			}
		})
	})
}

func TestConnectionsOfHTTP2MakeRoom(t *testing.T) {
	t.Parallel()
	ts, ca := startTLS(t, map[string]string{"a.txt": "text"}, func(c *Config) { c.MaxConnections = 2 })
	for range 8 {
		if status, body := askHTTP2(t, ts, ca, [2]string{":method", "GET"}, [2]string{":scheme", "https"}, [2]string{":authority", "a.test"}, [2]string{":path", "/a.txt"}); status != "200" || body != "text" {
			t.Errorf("got %s %q", status, body)
		}
	}
}

func TestHTTP2ConnectionHasABoundedNumberOfStreams(t *testing.T) {
	t.Parallel()
	for connections, want := range map[int]int{0: 128, 1 << 20: 128, 100: 50, 4: 8} {
		s := &Server{}
		s.conns.Max = connections
		if got := s.maxStreams(); got != want {
			t.Errorf("%d connections: %d streams, want %d", connections, got, want)
		}
	}
}

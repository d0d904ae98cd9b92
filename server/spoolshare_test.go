package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
)

func TestResponseSpoolOnAFullDiskHasTheWriterWait(t *testing.T) {
	t.Parallel()
	s := testSpool(t, 10, 1<<20)
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.file = full
	const total = 300_000
	written := make(chan error, 1)
	go func() {
		for at := 0; at < total; at += 30_000 {
			if n, err := s.Write(pattern(at, 30_000)); n != 30_000 || err != nil {
				written <- fmt.Errorf("wrote %d at %d: %w", n, at, err)
				return
			}
		}
		s.end(nil)
		written <- nil
	}()
	r := patternReader{responseSpool: s}
	for r.at < total {
		r.piece(t)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if _, err := s.next(); err != io.EOF {
		t.Errorf("ended with %v", err)
	}
}

func TestResponseSpoolsShareWhatTheyHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := spoolServer(t, 10, 1000)
		server.responses = newSpoolBudget(2000, 0)
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		write := func(client netip.Addr, n int) (*responseSpool, *int) {
			s, done := newResponseSpool(server, client), new(int)
			go func() {
				for *done < n {
					m, err := s.Write(pattern(*done, min(100, n-*done)))
					if *done += m; err != nil {
						t.Error(err)
						return
					}
				}
				s.end(nil)
			}()
			return s, done
		}
		first, firstDone := write(a, 900)
		second, secondDone := write(a, 900)
		synctest.Wait()
		if sum := *firstDone + *secondDone; sum > 700 || server.responses.taken() != 500 {
			t.Errorf("one client has written %d, and has %d of 2000", sum, server.responses.taken())
		}
		third, thirdDone := write(b, 400)
		synctest.Wait()
		if *thirdDone != 400 {
			t.Errorf("another client has written %d of 400", *thirdDone)
		}
		for _, s := range []*responseSpool{second, first, third} { // each comes to its end as it is read, and leaves room for the next
			r := patternReader{responseSpool: s}
			for {
				p, err := s.next()
				if err == io.EOF {
					break
				}
				if err != nil || string(p) != string(pattern(r.at, len(p))) {
					t.Fatalf("after %d bytes: %v", r.at, err)
				}
				r.at += len(p)
				synctest.Wait()
			}
			if want := map[*responseSpool]int{first: 900, second: 900, third: 400}[s]; r.at != want {
				t.Errorf("read %d of %d", r.at, want)
			}
			s.leave()
		}
		if server.responses.taken() != 0 || server.memory.taken() != 0 || len(server.responses.byClient) != 0 {
			t.Errorf("%d and %d bytes remain taken", server.responses.taken(), server.memory.taken())
		}
	})
}

func TestResponseSpoolsOfOneClientLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	const greedy, other, size = "192.0.2.1", "192.0.2.2", 24 << 20
	script := fmt.Sprintf(`<?php while (ob_get_level()) { ob_end_clean(); } for ($i = 0; $i < %d; $i++) { echo str_repeat(chr(65 + $i %% 26), 65536); }`, size>>16)
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"big.php": script}, func(c *Config) {
			behindProxy(c)
			c.Pools[0].MaxChildren, c.SpoolDir = 4, t.TempDir()
			c.SpoolMemoryTotal, c.SpoolDisk, c.SpoolResponses = 1<<20, 2<<20, 4<<20
		})
		ask := func(client string) *bufio.Reader {
			conn := connect(t, ts)
			send(t, conn, "GET /big.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: "+client+"\r\n\r\n")
			return bufio.NewReader(conn)
		}
		whole := func(r *bufio.Reader) error {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || len(body) != size || !strings.HasPrefix(string(body[3<<16:]), "DDD") {
				return fmt.Errorf("%d bytes, %w", len(body), err)
			}
			return nil
		}
		var stuck []*bufio.Reader
		for range 3 {
			stuck = append(stuck, ask(greedy))
		}
		eventually(t, "they have what there is for one client", func() bool { return ts.responses.taken() == 1<<20 })
		for range 3 {
			if err := whole(ask(other)); err != nil {
				t.Errorf("another client: %v", err)
			}
		}
		if taken := ts.responses.taken(); taken != 1<<20 {
			t.Errorf("%d bytes are taken", taken)
		}
		for _, r := range stuck {
			if err := whole(r); err != nil {
				t.Errorf("one that reads at last: %v", err)
			}
		}
		eventually(t, "all is given back", func() bool { return ts.responses.taken() == 0 && ts.memory.taken() == 0 })
		if log := ts.log.String(); strings.Contains(log, "worker ended") && strings.Contains(log, "while=killed") {
			t.Errorf("a worker was killed:\n%s", log)
		}
	})
}

package spool

import (
	"fmt"
	"io"
	"net/netip"
	"os"
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
		s.End(nil)
		written <- nil
	}()
	r := patternReader{Response: s}
	for r.at < total {
		r.piece(t)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if _, err := s.Next(); err != io.EOF {
		t.Errorf("ended with %v", err)
	}
}

func TestResponseSpoolsShareWhatTheyHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := testSpools(t, 10, 1000)
		server.Responses = NewBudget(2000, 0)
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		write := func(client netip.Addr, n int) (*Response, *int) {
			s, done := server.NewResponse(client, FreeMemory), new(int)
			go func() {
				for *done < n {
					m, err := s.Write(pattern(*done, min(100, n-*done)))
					if *done += m; err != nil {
						t.Error(err)
						return
					}
				}
				s.End(nil)
			}()
			return s, done
		}
		first, firstDone := write(a, 900)
		second, secondDone := write(a, 900)
		synctest.Wait()
		if sum := *firstDone + *secondDone; sum > 700 || server.Responses.Taken() != 500 {
			t.Errorf("one client has written %d, and has %d of 2000", sum, server.Responses.Taken())
		}
		third, thirdDone := write(b, 400)
		synctest.Wait()
		if *thirdDone != 400 {
			t.Errorf("another client has written %d of 400", *thirdDone)
		}
		for _, s := range []*Response{second, first, third} { // each comes to its end as it is read, and leaves room for the next
			r := patternReader{Response: s}
			for {
				p, err := s.Next()
				if err == io.EOF {
					break
				}
				if err != nil || string(p) != string(pattern(r.at, len(p))) {
					t.Fatalf("after %d bytes: %v", r.at, err)
				}
				r.at += len(p)
				synctest.Wait()
			}
			if want := map[*Response]int{first: 900, second: 900, third: 400}[s]; r.at != want {
				t.Errorf("read %d of %d", r.at, want)
			}
			s.Leave()
		}
		if server.Responses.Taken() != 0 || server.Memory.Taken() != 0 || len(server.Responses.byClient) != 0 {
			t.Errorf("%d and %d bytes remain taken", server.Responses.Taken(), server.Memory.Taken())
		}
	})
}

// Where memory and disk have come to their end, a response holds its free piece and no more, is read to its end all the same, and
// goes on in memory once others are done there.
func TestResponseWithoutABudgetHoldsOnlyItsFreePiece(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const free, total = 4 << 10, 300_000
		server := New(Config{Dir: t.TempDir(), Memory: 256 << 10, MemoryTotal: 2 << 20, Disk: 1 << 20, Responses: 1 << 20})
		client := netip.MustParseAddr("192.0.2.1")
		memory, disk := server.Memory.takeSome(client, 2<<20), server.Responses.takeSome(client, 1<<20)
		held := func(s *Response) int {
			s.mu.Lock()
			defer s.mu.Unlock()
			return cap(s.mem) + cap(s.spare)
		}
		response := func() *patternReader {
			r := &patternReader{Response: server.NewResponse(client, free)}
			go func() {
				for at := 0; at < total; at += 60_000 {
					if _, err := r.Write(pattern(at, 60_000)); err != nil {
						t.Error(err)
						return
					}
				}
				r.End(nil)
			}()
			synctest.Wait()
			return r
		}
		a, b := response(), response()
		for a.at < total {
			if a.piece(t) > free || held(a.Response) > 3*free {
				t.Fatalf("after %d bytes it holds %d", a.at, held(a.Response))
			}
			synctest.Wait()
		}
		a.Leave()
		server.Memory.Give(client, memory)
		b.piece(t)
		synctest.Wait()
		if n := held(b.Response); n < 200_000 {
			t.Errorf("there is room in memory, and %d bytes are held in it", n)
		}
		for b.at < total {
			b.piece(t)
			synctest.Wait()
		}
		b.Leave()
		server.Responses.Give(client, disk)
		if server.Memory.Taken() != 0 || server.Responses.Taken() != 0 {
			t.Errorf("%d and %d bytes remain taken", server.Memory.Taken(), server.Responses.Taken())
		}
	})
}

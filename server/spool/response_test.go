package spool

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// pattern is bytes from..from+n of an endless text whose pieces can be told apart.
func pattern(from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		at := from + i
		p[i] = byte(at ^ at>>8 ^ at>>16)
	}
	return p
}

// patternReader reads a spool and checks that it gives the pattern.
type patternReader struct {
	*Response
	at int
}

// piece returns how long the next piece is.
func (r *patternReader) piece(t *testing.T) int {
	t.Helper()
	p, err := r.Next()
	if err != nil {
		t.Fatalf("after %d bytes: %v", r.at, err)
	}
	if string(p) != string(pattern(r.at, len(p))) {
		t.Fatalf("the %d bytes after %d are wrong", len(p), r.at)
	}
	r.at += len(p)
	return len(p)
}

// fileSize is how large the spool's file is.
func (s *Response) fileSize(t *testing.T) int64 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return 0
	}
	info, err := s.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// testSpools are spools with so much memory and disk for each response.
func testSpools(t *testing.T, memory, disk int64) *Spools {
	return New(Config{Dir: t.TempDir(), Memory: memory, Disk: disk})
}

func testSpool(t *testing.T, memory, disk int64) *Response {
	s := testSpools(t, memory, disk).NewResponse(netip.Addr{}, FreeMemory)
	t.Cleanup(s.Leave)
	return s
}

func TestResponseSpoolKeepsTheOrderAroundTheEndOfItsFile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		memory, disk int64
		steps        []int // what is written, or with a minus read
	}{
		"memory alone":                          {10, 100, []int{4, 6, -10, 10, -10}},
		"memory before the file":                {10, 100, []int{8, 5, -8, -5, 4, -4}},
		"nothing overtakes what is in the file": {10, 100, []int{8, 5, -8, 1, -6}},
		"an empty file starts over":             {0, 10, []int{7, -7, 10, -10, 1, -1}},
		"one byte of room":                      {0, 1, []int{1, -1, 1, -1}},
		"written up to the end, then on":        {0, 100_000, []int{100_000, -65_536, 65_536, -34_464, -65_536}},
		"a piece over the end":                  {0, 100_000, []int{90_000, -65_536, 30_000, -34_464, -20_000}},
		"a piece up to the end":                 {0, 100_000, []int{90_000, -65_536, 10_000, -34_464, 5, -5}},
		"full again over the end":               {0, 100_000, []int{99_999, -65_536, 65_537, -34_464, -65_536}},
		"a file as large as a piece":            {0, 65_536, []int{65_536, -65_536, 3, -3}},
		"one byte more than a piece":            {0, 65_537, []int{65_537, -65_536, 65_536, -1, -65_536}},
		"three laps": {0, 100_000, []int{
			100_000, -65_536, 65_536, -34_464, 34_464, -65_536, 65_536, -34_464, 34_464, -65_536, 65_536, -34_464, -65_536,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSpool(t, test.memory, test.disk)
			r, written := patternReader{Response: s}, 0
			for i, step := range test.steps {
				if step > 0 {
					n, err := s.Write(pattern(written, step))
					if n != step || err != nil {
						t.Fatalf("step %d: wrote %d of %d: %v", i, n, step, err)
					}
					written += n
				} else if n := r.piece(t); n != -step {
					t.Fatalf("step %d: a piece of %d, want %d", i, n, -step)
				}
				if size := s.fileSize(t); size > test.disk {
					t.Fatalf("step %d: the file has %d bytes of %d", i, size, test.disk)
				}
			}
			s.End(nil)
			if p, err := s.Next(); err != io.EOF || r.at != written {
				t.Errorf("%d of %d bytes were read, then %d and %v", r.at, written, len(p), err)
			}
		})
	}
}

// One goroutine writes and reads by chance; the model is how much is in the spool.
func TestResponseSpoolByChanceInOneGoroutine(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		memory, disk := rnd.Int64N(3000), 1+rnd.Int64N(1+1<<rnd.IntN(19))
		if seed%2 == 0 {
			disk += spoolPiece // only then can a reader be behind in the middle of the file
		}
		s := testSpool(t, memory, disk)
		r, written, inFile := patternReader{Response: s}, 0, int64(0)
		for range 300 {
			if n := rnd.IntN(1 + 1<<rnd.IntN(18)); rnd.IntN(2) == 0 {
				before := written - r.at
				inFile = min(inFile, int64(before))
				n = min(n, int(disk-inFile)) // more would block
				if got, err := s.Write(pattern(written, n)); got != n || err != nil {
					t.Fatalf("seed %d: wrote %d of %d: %v", seed, got, n, err)
				}
				written += n
				inFile += int64(n) // at most
			} else if r.at < written {
				r.piece(t)
			}
			if size := s.fileSize(t); size > disk {
				t.Fatalf("seed %d: the file has %d bytes of %d", seed, size, disk)
			}
		}
		for r.at < written {
			r.piece(t)
		}
		s.End(io.ErrUnexpectedEOF)
		if _, err := s.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("seed %d: ended with %v", seed, err)
		}
		s.Leave()
	}
}

// A writer and a reader of changing speed; either waits for the other.
func TestResponseSpoolFileNeverExceedsItsLimit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		disk := []int64{1, 1000, spoolPiece, spoolPiece + 1, 100_000, 200_000}[seed%6]
		s := testSpool(t, rnd.Int64N(5000), disk)
		total := min(2_000_000, 20_000*int(disk))
		var failed atomic.Pointer[string]
		go func() {
			rnd := rand.New(rand.NewPCG(seed, 3))
			for at := 0; at < total; {
				n := min(total-at, 1+rnd.IntN(1<<rnd.IntN(19)))
				if got, err := s.Write(pattern(at, n)); got != n || err != nil {
					text := "wrote " + strconv.Itoa(got) + " of " + strconv.Itoa(n)
					failed.Store(&text)
					break
				}
				at += n
			}
			s.End(nil)
		}()
		r := patternReader{Response: s}
		for r.at < total && failed.Load() == nil {
			for range rnd.IntN(20) {
				runtime.Gosched()
			}
			r.piece(t)
			if size := s.fileSize(t); size > disk {
				t.Fatalf("seed %d: the file has %d bytes of %d", seed, size, disk)
			}
		}
		if _, err := s.Next(); err != io.EOF || failed.Load() != nil {
			t.Fatalf("seed %d: ended with %v", seed, err)
		}
		s.Leave()
	}
}

func TestResponseSpoolThatIsFullHasTheWriterWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := testSpools(t, 10, 100).NewResponse(netip.Addr{}, FreeMemory)
		var n int
		var err error
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			n, err = s.Write(pattern(0, 250))
		}()
		synctest.Wait()
		if size := s.fileSize(t); size != 100 {
			t.Errorf("the file has %d bytes of 100", size)
		}
		r := patternReader{Response: s}
		if got := r.piece(t); got != 100 {
			t.Errorf("a piece of %d", got)
		}
		synctest.Wait()
		select {
		case <-returned:
			t.Errorf("the writer did not wait: %d %v", n, err)
		default:
		}
		s.Leave()
		<-returned
		if n != 200 || !errors.Is(err, ErrReaderGone) {
			t.Errorf("wrote %d: %v", n, err)
		}
		if n, err := s.Write([]byte("x")); n != 0 || !errors.Is(err, ErrReaderGone) {
			t.Errorf("behind the end: wrote %d: %v", n, err)
		}
	})
}

package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// pacedBody gives step bytes each interval, size in all.
type pacedBody struct {
	step, size int
	interval   time.Duration
	ready      int
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.size == 0 {
		return 0, io.EOF
	}
	if b.ready == 0 {
		<-time.After(b.interval)
		b.ready = min(b.step, b.size)
	}
	n := min(b.ready, len(p))
	b.ready, b.size = b.ready-n, b.size-n
	return n, nil
}

// bodySpools are spools that receive bodies; limit is spool.bodies.
func bodySpools(t *testing.T, limit int64) *Spools {
	return New(Config{Dir: t.TempDir(), Memory: 4096, Bodies: limit, LargestBody: limit})
}

func TestBodyMustKeepUpTheMinimumRate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body pacedBody
		late time.Duration // when it is given up; 0: never
	}{
		"a byte each 2 s":                 {pacedBody{step: 1, size: 1 << 20, interval: 2 * time.Second}, 62 * time.Second},
		"a byte each 2 s, but few":        {pacedBody{step: 1, size: 30, interval: 2 * time.Second}, 0},
		"a byte just within each pause":   {pacedBody{step: 1, size: 1 << 20, interval: 59 * time.Second}, 118 * time.Second},
		"a little below the rate":         {pacedBody{step: 1000, size: 8 << 20, interval: time.Second}, 2561 * time.Second},
		"the rate":                        {pacedBody{step: 1 << 10, size: 8 << 20, interval: time.Second}, 0},
		"all of it at the end of a pause": {pacedBody{step: 1 << 20, size: 1 << 20, interval: 59 * time.Second}, 0},
		"long pauses, much in between":    {pacedBody{step: 32 << 10, size: 1 << 20, interval: 30 * time.Second}, 0},
	} {
		for _, length := range []int64{int64(test.body.size), -1} {
			t.Run(fmt.Sprintf("%s, length %d", name, length), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					body, start := test.body, time.Now()
					r := httptest.NewRequest(http.MethodPost, "/", &body)
					r.ContentLength = length
					s := bodySpools(t, 0)
					b, err := s.Receive(httptest.NewRecorder(), netip.Addr{}, r, 0, time.Minute)
					if test.late == 0 {
						if err != nil || b.Size != int64(test.body.size) {
							t.Fatalf("after %v: %v", time.Since(start), err)
						}
						b.Close()
					} else if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != test.late {
						t.Errorf("after %v, want %v: %v", took, test.late, err)
					}
					if disk, memory := s.Bodies.Taken(), s.Memory.Taken(); disk+memory != 0 {
						t.Errorf("%d and %d bytes remain taken", disk, memory)
					}
				})
			})
		}
	}
}

// countingBody gives step bytes at a time and notes how much room it was ever offered beyond that.
type countingBody struct {
	step, size, given int
	held              int // most memory that was held for it
}

func (b *countingBody) Read(p []byte) (int, error) {
	b.held = max(b.held, b.given+len(p))
	if b.given == b.size {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p[:min(b.step, len(p), b.size-b.given)], pattern(b.given, b.step))
	b.given += n
	return n, nil
}

func TestBodyTakesMemoryOnlyAsItArrives(t *testing.T) {
	t.Parallel()
	for _, announced := range []int64{1, 4095, 4096, 4097, 65_536, 256 << 10} {
		for _, arrives := range []int{0, 1, 4096, 4097, 20_000, 256 << 10} {
			for _, step := range []int{1000, 1 << 20} {
				in := &countingBody{step: step, size: arrives}
				m := bodyMemory{budget: &Budget{}}
				_, err := m.read(in, announced)
				mem := m.bytes
				if complete := int64(arrives) >= announced; complete != (err == nil) || complete && int64(len(mem)) != announced {
					t.Errorf("%d of %d bytes: %d, %v", arrives, announced, len(mem), err)
				}
				if !bytes.Equal(mem, pattern(0, len(mem))) {
					t.Errorf("%d of %d bytes are wrong", arrives, announced)
				}
				if most := max(4096, 4*len(mem)); in.held > most || int64(cap(mem)) > announced {
					t.Errorf("%d of %d bytes: room for %d, want at most %d", arrives, announced, in.held, most)
				}
			}
		}
	}
}

func TestBodyIsKeptUntilItsLastUserCloses(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(pattern(0, 10_000)))
	s := bodySpools(t, 10_000)
	budget := &s.Bodies
	b, err := s.Receive(httptest.NewRecorder(), netip.Addr{}, r, 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for users := range 3 {
		if users > 0 {
			b.Share()
		}
	}
	for range 3 {
		got, err := io.ReadAll(b.Reader())
		if err != nil || !bytes.Equal(got, pattern(0, 10_000)) || budget.Taken() != 10_000 {
			t.Errorf("got %d bytes, %v; %d are taken", len(got), err, budget.Taken())
		}
		b.Close()
	}
	if _, err := b.Reader().Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) || budget.Taken() != 0 {
		t.Errorf("behind the last: %v; %d bytes are taken", err, budget.Taken())
	}
}

func TestBodyBudgetIsForAllBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limit, used int64
		size        int
		declared    bool
		want        error
	}{
		"it just fits":                   {20_000, 10_000, 10_000, true, nil},
		"it just fits, undeclared":       {20_000, 10_000, 10_000, false, nil},
		"a byte too much":                {20_000, 10_001, 10_000, true, ErrBodiesFull},
		"a byte too much, undeclared":    {20_000, 10_001, 10_000, false, ErrBodiesFull},
		"full, but in memory":            {20_000, 20_000, 4096, true, nil},
		"larger than all":                {20_000, 0, 20_001, true, ErrBodyTooLarge},
		"larger than all, undeclared":    {20_000, 0, 20_001, false, ErrBodyTooLarge},
		"no limit":                       {0, 1 << 40, 100_000, true, nil},
		"no limit, and a length to find": {0, 1 << 40, 100_000, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := bodySpools(t, test.limit)
			budget := &s.Bodies
			budget.used = test.used
			r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(pattern(0, test.size)))
			if !test.declared {
				r.ContentLength = -1
			}
			b, err := s.Receive(httptest.NewRecorder(), netip.Addr{}, r, 0, time.Minute)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil {
				if got, err := io.ReadAll(b.Reader()); err != nil || !bytes.Equal(got, pattern(0, test.size)) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
				b.Close()
			}
			if used := budget.Taken(); used != test.used {
				t.Errorf("%d bytes are taken, %d were", used, test.used)
			}
		})
	}
}

func TestBodyOfOneClientTakesItsShareOfMemoryAndThenGoesToAFile(t *testing.T) {
	t.Parallel()
	s := New(Config{Dir: t.TempDir(), Memory: 64 << 10, MemoryTotal: 512 << 10, Bodies: 16 << 20, LargestBody: 1 << 20})
	greedy, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	receive := func(client netip.Addr, size int) (*Body, error) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(pattern(0, size)))
		return s.Receive(httptest.NewRecorder(), client, r, 0, time.Minute)
	}
	var all []*Body
	inMemory := func(client netip.Addr) (n int) {
		for range 10 {
			b, err := receive(client, 60<<10)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(b.Reader()); err != nil || !bytes.Equal(got, pattern(0, 60<<10)) {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
			all = append(all, b)
			if b.file == nil {
				n++
			}
		}
		return n
	}
	if a, b := inMemory(greedy), inMemory(other); a != 2 || b != 2 {
		t.Errorf("%d bodies of one client and %d of another are in memory", a, b)
	}
	for s.Bodies.room(greedy, 1<<20) {
		b, err := receive(greedy, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	if _, err := receive(greedy, 1<<20); !errors.Is(err, ErrBodiesFull) {
		t.Errorf("behind its share: %v", err)
	}
	if b, err := receive(other, 1<<20); err != nil {
		t.Errorf("another client: %v", err)
	} else {
		all = append(all, b)
	}
	for _, b := range all {
		b.Close()
	}
	if disk, memory := s.Bodies.Taken(), s.Memory.Taken(); disk+memory != 0 || len(s.Memory.byClient)+len(s.Bodies.byClient) != 0 {
		t.Errorf("%d and %d bytes remain taken", disk, memory)
	}
}

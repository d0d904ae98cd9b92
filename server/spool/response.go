package spool

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/phpserve/phpserve/internal/buffer"
)

// newFile opens a file that has no name any more: it goes away with its last descriptor, whatever happens to phpserve.
func newFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "phpserve-spool-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a spool file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrPermission) { // Windows removes no open file
		f.Close()
		return nil, fmt.Errorf("cannot make a spool file: %v", err)
	}
	return f, nil
}

// Response takes a response as fast as PHP writes it and gives it out as fast as the client reads it. What the
// client has not read yet is in memory first, then in a file, and only when there is no room must PHP wait. The file is a ring
// of diskLimit bytes: what has been read makes room for what comes, so it never becomes larger.
//
// Room is what all responses have together, too: where memory or disk has come to its end, PHP waits as well, until this client
// reads or others are done. A small piece always finds room in memory when nothing else is there, so that a client that reads gets on
// whatever the others do.
type Response struct {
	dir                 string
	memLimit, diskLimit int64
	free                int64 // how much of the memory is not taken from the budget
	client              netip.Addr
	memory, disk        *Budget
	spooled             prometheus.Counter // of bytes written to the file; nil: not counted
	room                chan struct{}      // capacity 1: the reader made room or left

	mu       sync.Mutex // guards the fields below
	changed  sync.Cond  // for the reader
	mem      []byte     // not yet read, older than what is in the file
	spare    []byte     // the reader's previous buffer, for reuse
	memTaken int64      // of the budget, for both
	file     *os.File   // nil until needed
	roff     int64      // bytes read from the file; the place in it is the rest by diskLimit
	woff     int64      // bytes written to the file, at most diskLimit more
	size     int64      // of the file, as much as was ever written since it was empty: taken of the budget
	ended    bool       // no more will be written
	err      error      // why it ended, nil if complete
	gone     bool       // the reader has left
	over     bool       // the reader has all it wants: what comes is dropped
}

// FreeMemory is how much of a spool's memory is not taken from the budget, in bytes: every connection of HTTP/1 may have it.
const FreeMemory = 64 << 10

// spoolBuffers keeps the memory of finished spools.
var spoolBuffers = buffer.NewPool(FreeMemory)

// NewResponse is a new spool for a response to a client. free is how many bytes of its memory are not taken from the budget.
func (s *Spools) NewResponse(client netip.Addr, free int64) *Response {
	r := &Response{
		dir: s.cfg.Dir, memLimit: s.cfg.Memory, free: free, diskLimit: s.cfg.Disk, client: client, spooled: s.CountResponses,
		memory: &s.Memory, disk: &s.Responses, room: make(chan struct{}, 1),
	}
	if free >= FreeMemory {
		r.mem = *spoolBuffers.Get().(*[]byte)
	}
	r.changed.L = &r.mu
	return r
}

// diskRetry is how long a full disk is left alone: what others free on it is told to nobody.
const diskRetry = time.Second

// Write adds p. It blocks only where there is no room. Its error is the reader having left, or the disk's.
func (s *Response) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next *freed // what is waited for, noted before looking for room once more: nothing that is given back is missed
	for left := p; len(left) > 0; {
		switch {
		case s.gone:
			return len(p) - len(left), ErrReaderGone
		case s.over:
			return len(p), nil
		}
		n, err := s.put(left)
		left = left[n:]
		s.changed.Broadcast()
		full := isFull(err)
		if err != nil && !full {
			return len(p) - len(left), err
		}
		switch {
		case n > 0:
			next = nil
		case next == nil:
			next = s.nextFreed()
		default:
			s.await(next, full)
			next = nil
		}
	}
	return len(p), nil
}

// put takes as much of p as it finds room for in one piece. s.mu must be held.
func (s *Response) put(p []byte) (int, error) {
	if s.woff == s.roff {
		if int64(len(s.mem)+len(p)) <= s.memoryRoom(len(p)) {
			s.mem = append(s.mem, p...)
			return len(p), nil
		}
	}
	n, err := s.writeFile(p)
	if n == 0 && (err == nil || isFull(err)) && s.woff == s.roff && len(s.mem) == 0 {
		n = min(len(p), s.piece())
		s.mem = append(s.mem, p[:n]...)
		return n, nil
	}
	return n, err
}

// memoryRoom is how long s.mem may be with n bytes more. s.mu must be held.
func (s *Response) memoryRoom(n int) int64 {
	if s.memLimit <= s.free || s.memTaken > 0 {
		return s.memLimit
	}
	if int64(len(s.mem)+n) > s.free && s.memory.Take(s.client, 2*s.memLimit) {
		s.memTaken = 2 * s.memLimit
		return s.memLimit
	}
	return s.free
}

// freed has channels that are closed when others give back room; nil: never.
type freed struct{ disk, memory <-chan struct{} }

// nextFreed is for what is given back from now on. Room in memory is of use only as long as nothing is in the file. s.mu must be held.
func (s *Response) nextFreed() *freed {
	f := &freed{disk: s.disk.Wait()}
	if s.woff == s.roff {
		f.memory = s.memory.Wait()
	}
	return f
}

// await waits until there may be room. s.mu must be held; it is not while waiting.
func (s *Response) await(f *freed, full bool) {
	s.mu.Unlock()
	defer s.mu.Lock()
	var retry <-chan time.Time
	if full {
		timer := time.NewTimer(diskRetry)
		defer timer.Stop()
		retry = timer.C
	}
	select {
	case <-s.room:
	case <-f.disk:
	case <-f.memory:
	case <-retry:
	}
}

// made tells the writer that there is room.
func (s *Response) made() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// isFull says whether err is a lack of room, on the disk or of descriptors, which passes.
func isFull(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// writeFile writes as much of p as the file takes in one piece. s.mu must be held.
func (s *Response) writeFile(p []byte) (int, error) {
	at := s.woff % s.diskLimit
	p = p[:min(int64(len(p)), s.diskLimit-at, s.diskLimit-(s.woff-s.roff))]
	if grow := at + int64(len(p)) - s.size; grow > 0 {
		got := s.disk.takeSome(s.client, grow)
		s.size += got
		p = p[:int64(len(p))-(grow-got)]
	}
	if len(p) == 0 {
		return 0, nil
	}
	if s.file == nil {
		f, err := newFile(s.dir)
		if err != nil {
			s.giveDisk()
			return 0, err
		}
		s.file = f
	}
	n, err := s.file.WriteAt(p, at)
	s.woff += int64(n)
	if s.spooled != nil {
		s.spooled.Add(float64(n))
	}
	if err != nil {
		return n, fmt.Errorf("cannot write the spool file: %w", err)
	}
	return n, nil
}

// giveDisk returns what the file has taken of the budget. s.mu must be held.
func (s *Response) giveDisk() {
	s.disk.Give(s.client, s.size)
	s.size = 0
}

// ErrReaderGone is what the writer of a response is told when nobody reads it any more.
var ErrReaderGone = errors.New("the reader of the spool has left")

// End tells the reader that nothing more comes; err is why, nil for a complete response. The first call counts.
func (s *Response) End(err error) {
	s.mu.Lock()
	if !s.ended {
		s.ended, s.err = true, err
	}
	s.mu.Unlock()
	s.changed.Broadcast()
}

// Next waits for data and returns a piece of it, valid until the following call. At the end it returns io.EOF, or the
// error that End was called with.
func (s *Response) Next() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if len(s.mem) > 0 {
			out := s.mem
			s.mem, s.spare = s.spare[:0], out
			s.made()
			return out, nil
		}
		if s.roff < s.woff {
			return s.readFile()
		}
		if s.ended {
			if s.err != nil {
				return nil, s.err
			}
			return nil, io.EOF
		}
		s.changed.Wait()
	}
}

// spoolPiece is the most that is read from the file at once, in bytes.
const spoolPiece = 64 << 10

// leastPiece is how much of a response is in memory at least when nothing else of it is, in bytes.
const leastPiece = 1 << 10

// piece is how much of the response may be held in one buffer whatever others have taken. s.mu must be held.
func (s *Response) piece() int {
	if s.memTaken > 0 {
		return spoolPiece
	}
	return int(min(max(s.free, leastPiece), spoolPiece))
}

// readFile reads the next piece of the file, and starts the file over and empty once all of it is read. s.mu must be held.
func (s *Response) readFile() ([]byte, error) {
	piece := s.piece()
	if cap(s.spare) < piece {
		s.spare = make([]byte, piece)
	}
	at := s.roff % s.diskLimit
	buf := s.spare[:min(int64(piece), s.woff-s.roff, s.diskLimit-at)]
	n, err := s.file.ReadAt(buf, at)
	if n == 0 {
		return nil, fmt.Errorf("cannot read the spool file: %v", err)
	}
	s.roff += int64(n)
	if s.roff == s.woff {
		s.roff, s.woff = 0, 0
		if err := s.file.Truncate(0); err != nil {
			return nil, fmt.Errorf("cannot truncate the spool file: %v", err)
		}
		s.giveDisk()
	}
	s.made()
	return buf[:n], nil
}

// Leave tells the writer that nobody reads any more, and gives the file back.
func (s *Response) Leave() {
	s.mu.Lock()
	if !s.over {
		s.gone = true
	}
	if s.file != nil {
		s.file.Close()
		s.file, s.roff, s.woff = nil, 0, 0
	}
	s.giveDisk()
	s.memory.Give(s.client, s.memTaken)
	s.memTaken = 0
	// The reader is done with what Next gave it, and Write refuses from now on.
	for _, b := range [][]byte{s.mem, s.spare} {
		if cap(b) > 0 && cap(b) <= buffer.MaxPooled {
			b = b[:0]
			spoolBuffers.Put(&b)
		}
	}
	s.mem, s.spare = nil, nil
	s.mu.Unlock()
	s.made()
}

// Enough tells the writer that the reader has all it wants: the script goes on, and what it says is dropped.
func (s *Response) Enough() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
}

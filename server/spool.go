package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// spoolFile opens a file that has no name any more: it goes away with its last descriptor, whatever happens to phpserve.
func spoolFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "phpserve-spool-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a spool file: %v", err)
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrPermission) { // Windows removes no open file
		f.Close()
		return nil, fmt.Errorf("cannot make a spool file: %v", err)
	}
	return f, nil
}

// responseSpool takes a response as fast as PHP writes it and gives it out as fast as the client reads it. What the
// client has not read yet is in memory first, then in a file, and only when that is full must PHP wait. The file is a ring
// of diskLimit bytes: what has been read makes room for what comes, so it never becomes larger.
type responseSpool struct {
	dir                 string
	memLimit, diskLimit int64
	spooled             prometheus.Counter // of bytes written to the file; nil: not counted

	mu      sync.Mutex // guards the fields below
	changed sync.Cond
	mem     []byte   // not yet read, older than what is in the file
	spare   []byte   // the reader's previous buffer, for reuse
	file    *os.File // nil until needed
	roff    int64    // bytes read from the file; the place in it is the rest by diskLimit
	woff    int64    // bytes written to the file, at most diskLimit more
	ended   bool     // no more will be written
	err     error    // why it ended, nil if complete
	gone    bool     // the reader has left
}

// spoolBuffers keeps the memory of finished spools.
var spoolBuffers = newBufferPool(64 << 10)

func newResponseSpool(c *Config) *responseSpool {
	s := &responseSpool{dir: c.SpoolDir, memLimit: c.SpoolMemory, diskLimit: c.SpoolDisk, mem: *spoolBuffers.Get().(*[]byte)}
	s.changed.L = &s.mu
	return s
}

// Write adds p. It blocks only when both memory and disk are full. Its error is the reader having left, or the disk's.
func (s *responseSpool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for left := p; len(left) > 0; {
		for !s.gone && s.woff-s.roff == s.diskLimit {
			s.changed.Wait()
		}
		if s.gone {
			return len(p) - len(left), errReaderGone
		}
		n, err := len(left), error(nil)
		if s.woff == s.roff && int64(len(s.mem)+n) <= s.memLimit {
			s.mem = append(s.mem, left...)
		} else {
			n, err = s.writeFile(left)
		}
		left = left[n:]
		s.changed.Broadcast()
		if err != nil {
			return len(p) - len(left), err
		}
	}
	return len(p), nil
}

// writeFile writes as much of p as the file takes in one piece. s.mu must be held.
func (s *responseSpool) writeFile(p []byte) (int, error) {
	if s.file == nil {
		f, err := spoolFile(s.dir)
		if err != nil {
			return 0, err
		}
		s.file = f
	}
	at := s.woff % s.diskLimit
	n, err := s.file.WriteAt(p[:min(int64(len(p)), s.diskLimit-at, s.diskLimit-(s.woff-s.roff))], at)
	s.woff += int64(n)
	if s.spooled != nil {
		s.spooled.Add(float64(n))
	}
	if err != nil {
		return n, fmt.Errorf("cannot write the spool file: %v", err)
	}
	return n, nil
}

var errReaderGone = errors.New("the reader of the spool has left")

// end tells the reader that nothing more comes; err is why, nil for a complete response. The first call counts.
func (s *responseSpool) end(err error) {
	s.mu.Lock()
	if !s.ended {
		s.ended, s.err = true, err
	}
	s.mu.Unlock()
	s.changed.Broadcast()
}

// next waits for data and returns a piece of it, valid until the following call. At the end it returns io.EOF, or the
// error that end was called with.
func (s *responseSpool) next() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if len(s.mem) > 0 {
			out := s.mem
			s.mem, s.spare = s.spare[:0], out
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

// readFile reads the next piece of the file, and starts the file over and empty once all of it is read. s.mu must be held.
func (s *responseSpool) readFile() ([]byte, error) {
	if cap(s.spare) < spoolPiece {
		s.spare = make([]byte, spoolPiece)
	}
	at := s.roff % s.diskLimit
	buf := s.spare[:min(spoolPiece, s.woff-s.roff, s.diskLimit-at)]
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
	}
	s.changed.Broadcast()
	return buf[:n], nil
}

// leave tells the writer that nobody reads any more, and gives the file back.
func (s *responseSpool) leave() {
	s.mu.Lock()
	s.gone = true
	if s.file != nil {
		s.file.Close()
		s.file, s.roff, s.woff = nil, 0, 0
	}
	// The reader is done with what next gave it, and Write refuses from now on.
	for _, b := range [][]byte{s.mem, s.spare} {
		if cap(b) > 0 && cap(b) <= maxPooledBuffer {
			b = b[:0]
			spoolBuffers.Put(&b)
		}
	}
	s.mem, s.spare = nil, nil
	s.mu.Unlock()
	s.changed.Broadcast()
}

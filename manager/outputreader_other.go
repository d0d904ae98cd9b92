//go:build !linux

package manager

import (
	"errors"
	"os"
	"sync"
	"time"
)

// outputReader reads what processes write to a pipe, which does not tell them apart.
type outputReader struct{ file *os.File }

// newOutputReader makes a reader and what is written to.
func newOutputReader() (*outputReader, *os.File, error) {
	r, w, err := os.Pipe()
	return &outputReader{r}, w, err
}

// read reads from the pipe and adds the number of bytes to taken, which mu guards. The pid is not known.
func (r *outputReader) read(p []byte, mu sync.Locker, taken *uint64) (n, pid int, err error) {
	n, err = r.file.Read(p)
	mu.Lock()
	*taken += uint64(n)
	mu.Unlock()
	return n, 0, err
}

// waiting is how many bytes have been written and not read, which a pipe does not tell.
func (r *outputReader) waiting() int { return 0 }

func (r *outputReader) SetReadDeadline(t time.Time) error { return r.file.SetReadDeadline(t) }

func (r *outputReader) Close() error { return r.file.Close() }

// parentOf is not needed where writers are not known.
func parentOf(int) (int, error) { return 0, errors.ErrUnsupported }

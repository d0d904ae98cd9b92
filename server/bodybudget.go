package server

import (
	"errors"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// errBodiesFull is a request body for which the others leave no room in spool.bodies.
var errBodiesFull = errors.New("the request bodies on disk have reached spool.bodies")

// bodyBudget bounds what the bodies of all requests take on disk together. They are received before any queue or limit of
// workers, so it alone keeps clients from filling the disk.
type bodyBudget struct {
	limit int64 // 0: none
	used  atomic.Int64

	spooled prometheus.Counter // of all that was ever taken; nil: not counted
}

// take reserves n bytes.
func (b *bodyBudget) take(n int64) error {
	if used := b.used.Add(n); b.limit > 0 && used > b.limit {
		b.used.Add(-n)
		return errBodiesFull
	}
	if b.spooled != nil {
		b.spooled.Add(float64(n))
	}
	return nil
}

// room says whether n more bytes would fit now. It reserves nothing: a client that only announces a body keeps nobody out.
func (b *bodyBudget) room(n int64) bool { return b.limit == 0 || n <= b.limit-b.used.Load() }

// give returns n bytes.
func (b *bodyBudget) give(n int64) { b.used.Add(-n) }

// bodyFile is the file of one body, written from its beginning to its end. What it holds counts against a budget.
type bodyFile struct {
	*os.File
	budget *bodyBudget
	taken  int64
}

func newBodyFile(dir string, budget *bodyBudget) (*bodyFile, error) {
	f, err := spoolFile(dir)
	if err != nil {
		return nil, err
	}
	return &bodyFile{File: f, budget: budget}, nil
}

// bodyWriter appends to a bodyFile. It has no ReadFrom, which would not see the deadlines of pausingReader.
type bodyWriter struct{ f *bodyFile }

func (w bodyWriter) Write(p []byte) (int, error) {
	if err := w.f.budget.take(int64(len(p))); err != nil {
		return 0, err
	}
	w.f.taken += int64(len(p))
	return w.f.Write(p)
}

func (f *bodyFile) close() {
	_ = f.Close() // a file without a name has nothing to lose
	f.budget.give(f.taken)
}

package server

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/prometheus/client_golang/prometheus"
)

// errBodiesFull is a request body for which the others leave no room in spool.bodies.
var errBodiesFull = errors.New("the request bodies on disk have reached spool.bodies")

// bodySpools is where request bodies go. They are received before any queue or limit of workers, so the two budgets alone keep
// clients from filling memory and disk.
type bodySpools struct {
	dir      string
	memLimit int64 // of one body; what is more goes to a file
	memory   *spoolBudget
	disk     spoolBudget

	spooled prometheus.Counter // of all that was ever written to files; nil: not counted
}

// bodyFile is the file of one body, written from its beginning to its end. What it holds counts against the budget.
type bodyFile struct {
	*os.File
	spools *bodySpools
	client netip.Addr
	taken  int64
}

func (s *bodySpools) newFile(client netip.Addr) (*bodyFile, error) {
	f, err := spoolFile(s.dir)
	if isFull(err) {
		return nil, fmt.Errorf("%w: %v", errBodiesFull, err)
	}
	if err != nil {
		return nil, err
	}
	return &bodyFile{File: f, spools: s, client: client}, nil
}

// bodyWriter appends to a bodyFile. It has no ReadFrom, which would not see the deadlines of pausingReader.
type bodyWriter struct{ f *bodyFile }

func (w bodyWriter) Write(p []byte) (int, error) {
	if !w.f.spools.disk.take(w.f.client, int64(len(p))) {
		return 0, errBodiesFull
	}
	w.f.taken += int64(len(p))
	n, err := w.f.Write(p)
	if w.f.spools.spooled != nil {
		w.f.spools.spooled.Add(float64(n))
	}
	if isFull(err) {
		err = fmt.Errorf("%w: %v", errBodiesFull, err)
	}
	return n, err
}

func (f *bodyFile) close() {
	_ = f.Close() // a file without a name has nothing to lose
	f.spools.disk.give(f.client, f.taken)
}

package server

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// errBodiesFull is a request body for which the others leave no room in spool.bodies.
var errBodiesFull = errors.New("the request bodies on disk have reached spool.bodies")

// bodyFile is the file of one body, written from its beginning to its end. What it holds counts against the budget.
type bodyFile struct {
	*os.File
	spools *spools
	client netip.Addr
	taken  int64
}

func (s *spools) newFile(client netip.Addr) (*bodyFile, error) {
	f, err := spoolFile(s.cfg.Dir)
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
	if !w.f.spools.bodies.take(w.f.client, int64(len(p))) {
		return 0, errBodiesFull
	}
	w.f.taken += int64(len(p))
	n, err := w.f.Write(p)
	if w.f.spools.countRequests != nil {
		w.f.spools.countRequests.Add(float64(n))
	}
	if isFull(err) {
		err = fmt.Errorf("%w: %v", errBodiesFull, err)
	}
	return n, err
}

func (f *bodyFile) close() {
	_ = f.Close() // a file without a name has nothing to lose
	f.spools.bodies.give(f.client, f.taken)
}

package spool

import (
	"errors"
	"net/netip"
	"os"
)

// ErrBodiesFull is a request body for which the others leave no room in spool.bodies.
var ErrBodiesFull = errors.New("the request bodies on disk have reached spool.bodies")

// noRoomError is a lack of room that spool.bodies has nothing to do with: a full disk, or too few descriptors. It is an [ErrBodiesFull].
type noRoomError struct{ err error }

func (e noRoomError) Error() string        { return "there is no room for the request body: " + e.err.Error() }
func (e noRoomError) Is(target error) bool { return target == ErrBodiesFull }

// bodyFile is the file of one body, written from its beginning to its end. What it holds counts against the budget.
type bodyFile struct {
	*os.File
	spools *Spools
	client netip.Addr
	taken  int64
}

func (s *Spools) newFile(client netip.Addr) (*bodyFile, error) {
	f, err := newFile(s.cfg.Dir)
	if isFull(err) {
		return nil, noRoomError{err}
	}
	if err != nil {
		return nil, err
	}
	return &bodyFile{File: f, spools: s, client: client}, nil
}

// bodyWriter appends to a bodyFile. It has no ReadFrom, which would not see the deadlines of pausingReader.
type bodyWriter struct{ f *bodyFile }

func (w bodyWriter) Write(p []byte) (int, error) {
	if !w.f.spools.Bodies.Take(w.f.client, int64(len(p))) {
		return 0, ErrBodiesFull
	}
	w.f.taken += int64(len(p))
	n, err := w.f.Write(p)
	if w.f.spools.CountRequests != nil {
		w.f.spools.CountRequests.Add(float64(n))
	}
	if isFull(err) {
		err = noRoomError{err}
	}
	return n, err
}

func (f *bodyFile) close() {
	_ = f.Close() // a file without a name has nothing to lose
	f.spools.Bodies.Give(f.client, f.taken)
}

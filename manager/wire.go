package manager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// StrangerError says that another process than the worker has written on the worker's connection: one that a script forked,
// or a program that it started and that wrote where it should not. The worker is ended.
type StrangerError struct {
	PID    int // who wrote; zero: a process that phpserve cannot see, such as one in another PID namespace
	Worker int // process id of the worker
}

func (e *StrangerError) Error() string {
	return fmt.Sprintf("process %d wrote on the connection of worker %d", e.PID, e.Worker)
}

// errUnasked is an idle worker's connection with something to read.
var errUnasked = errors.New("it, or a process that has inherited its connection, said something between two requests")

// endpoint is where unattached workers accept a connection: one for all workers of a zygote, one per spawned worker.
type endpoint struct {
	folder    *processFolder
	listener  int                    // process id of who must be listening there
	zygote    bool                   // it has pipes in the folder, too, and says when it has opened them
	greetings map[*greeting]struct{} // under way; guarded by Pool.mu

	takeBack func() error // called once php-cgi listens, and never again; takes back the folder
}

func newEndpoint(folder *processFolder, listener int) *endpoint {
	return &endpoint{
		folder: folder, listener: listener, greetings: map[*greeting]struct{}{}, takeBack: sync.OnceValue(folder.takeBack),
	}
}

// dial connects to a worker. It waits until php-cgi listens, and until there is room in its queue.
func (e *endpoint) dial(ctx context.Context) (*wire, error) {
	for pause := time.Millisecond; ; pause = min(pause*3/2, 20*time.Millisecond) {
		nc, err := (&net.Dialer{}).DialContext(ctx, "unix", e.folder.socket())
		if err == nil {
			return e.check(nc.(*net.UnixConn))
		}
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EAGAIN) {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// check makes sure that the php-cgi that phpserve started is the one that listens.
func (e *endpoint) check(nc *net.UnixConn) (*wire, error) {
	w, err := newWire(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	pid, err := w.listener()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		err = nil
	case err == nil && pid != e.listener:
		err = fmt.Errorf("process %d listens in the place of php-cgi %d", pid, e.listener)
	}
	if err == nil && !e.zygote {
		err = e.takeBack()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return w, nil
}

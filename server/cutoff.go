package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errCutOff ends the requests that are under way when the time to stop is over: it is the cause of their contexts. Those who ask are not
// to blame and get 503, if nothing of their response is out.
var errCutOff = errors.New("phpserve stops, and the time that running requests had is over")

// cutOffTime is how long those answers may take until the connections are closed.
const cutOffTime = time.Second

// whyOver says why the context of a request has ended before the request: its client left, or phpserve ends.
func whyOver(ctx context.Context) error {
	if context.Cause(ctx) == errCutOff {
		return errCutOff
	}
	return errClientGone
}

// isOver says whether err is that nobody waits for what the script goes on to do.
func isOver(err error) bool { return errors.Is(err, errClientGone) || errors.Is(err, errCutOff) }

// cutOffWith ends the requests that are under way when ctx ends. The context that it returns ends when their connections are to be
// closed. The caller calls done once all are.
func (s *Server) cutOffWith(ctx context.Context) (closing context.Context, done func()) {
	closing, closeNow := context.WithCancel(context.Background())
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		s.cutOff(errCutOff) // before workers are killed, so that this is why they end
		s.cancel()
		select {
		case <-over:
		case <-time.After(cutOffTime):
			closeNow()
		}
	})
	return closing, func() {
		close(over)
		wg.Wait()
		closeNow()
	}
}

// handlers counts the handlers that run, for whoever waits for the last to end when no more can begin. A sync.WaitGroup would not do:
// a request may begin while it is waited for, on a connection that is just being closed.
type handlers struct {
	running atomic.Int64
	cut     atomic.Int64 // those that errCutOff ended
	waiting atomic.Bool
	last    chan struct{} // capacity 1: a sign to look at running
}

func newHandlers() *handlers { return &handlers{last: make(chan struct{}, 1)} }

func (h *handlers) begin() { h.running.Add(1) }

func (h *handlers) end() {
	if h.running.Add(-1) == 0 && h.waiting.Load() {
		select {
		case h.last <- struct{}{}:
		default:
		}
	}
}

// wait waits until no handler runs.
func (h *handlers) wait() {
	h.waiting.Store(true)
	for h.running.Load() > 0 {
		<-h.last
	}
}

package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/phpserve/phpserve/manager"
)

// poolSlot is the place of a pool: sites and FastCGI addresses hold it, and a reload puts another pool in it.
type poolSlot struct {
	use atomic.Pointer[poolInUse]
}

// poolInUse is a pool with what requests need to know of it.
type poolInUse struct {
	*manager.Pool
	token     []byte        // ends a response, see Pool.FinishToken
	terminate time.Duration // request_terminate_timeout
}

// put has the requests that come from now on use pool.
func (s *poolSlot) put(pool *manager.Pool) {
	s.use.Store(&poolInUse{Pool: pool, token: []byte(pool.FinishToken()), terminate: pool.Config().RequestTerminateTimeout})
}

// acquire takes a worker. A request that waits in the queue of a pool that is replaced goes on to the next.
func (s *poolSlot) acquire(ctx context.Context) (*manager.Worker, *poolInUse, error) {
	for {
		use := s.use.Load()
		worker, err := use.Acquire(ctx)
		if errors.Is(err, manager.ErrPoolClosed) && s.use.Load() != use {
			continue
		}
		return worker, use, err
	}
}

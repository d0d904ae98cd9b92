package server

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/metrics"
)

// poolSlot is the place of a pool: sites and FastCGI addresses hold it, and a reload puts another pool in it.
type poolSlot struct {
	use     atomic.Pointer[poolInUse]
	metrics *metrics.Pool // nil: nothing is recorded
}

// poolInUse is a pool with what requests need to know of it.
type poolInUse struct {
	*manager.Pool
	token     []byte        // ends a response, see Pool.FinishToken
	terminate time.Duration // request_terminate_timeout
	// trackFinished is request_terminate_timeout_track_finished.
	trackFinished bool
	variants      *poolVariants // nil for one of these
	leave         func()        // of one of these: a request is done; else nil
	// errorHeader is fastcgi.error_header, and messagesSeen says that PHP sends its messages here and to no file.
	errorHeader  string
	messagesSeen bool
}

func newPoolInUse(pool *manager.Pool) *poolInUse {
	cfg := pool.Config()
	return &poolInUse{
		Pool: pool, token: []byte(pool.FinishToken()), terminate: cfg.RequestTerminateTimeout,
		trackFinished: cfg.RequestTerminateTimeoutTrackFinished, errorHeader: errorHeaderLine(pool.INI("fastcgi.error_header")),
		messagesSeen: pool.INI("error_log") == "" && manager.INIBool(pool.INI("log_errors")),
	}
}

// put has the requests that come from now on use pool.
func (s *poolSlot) put(server *Server, pool *manager.Pool) {
	use := newPoolInUse(pool)
	use.variants = &poolVariants{s: server, base: pool, byText: map[string]*variant{}}
	pool.Include(use.variants.pools)
	s.use.Store(use)
}

// acquire takes a worker for a client (peer.Key). A request that waits in the queue of a pool that is replaced goes on to the next.
func (s *poolSlot) acquire(ctx context.Context, client netip.Addr) (*manager.Worker, *poolInUse, error) {
	return s.acquireWith(ctx, client, "", "")
}

// acquireWith is acquire for a request with the parameters PHP_VALUE and PHP_ADMIN_VALUE. poolInUse.done is to be called after it.
func (s *poolSlot) acquireWith(ctx context.Context, client netip.Addr, values, adminValues string) (*manager.Worker, *poolInUse, error) {
	for {
		use := s.use.Load()
		if values != "" || adminValues != "" {
			worker, variant, err := use.variants.acquire(ctx, client, values, adminValues)
			if errors.Is(err, manager.ErrPoolClosed) && s.use.Load() != use {
				continue
			}
			return worker, variant, err
		}
		worker, err := use.AcquireFor(ctx, client)
		if errors.Is(err, manager.ErrPoolClosed) && s.use.Load() != use {
			continue
		}
		return worker, use, err
	}
}

// done is called when a request has done with a worker of acquireWith.
func (u *poolInUse) done() {
	if u.leave != nil {
		u.leave()
	}
}

// stop ends the pool and what was made after it.
func (u *poolInUse) stop(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { u.variants.stop(ctx) })
	u.Stop(ctx)
	wg.Wait()
}

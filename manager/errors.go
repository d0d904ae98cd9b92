package manager

import "errors"

var (
	// ErrQueueFull is returned by [Pool.Acquire] when as many requests as queue.size wait already.
	ErrQueueFull = errors.New("the queue of the pool is full")
	// ErrQueueTimeout is returned by [Pool.Acquire] when no worker became free within queue.timeout.
	ErrQueueTimeout = errors.New("no worker became free in time")
	// ErrPoolClosed is returned by [Pool.Acquire] once the pool is being stopped.
	ErrPoolClosed = errors.New("the pool is closed")
	// ErrRoot is returned by [NewPool] for a pool whose PHP would run as root without being told to.
	ErrRoot = errors.New("PHP must not run as root")
)

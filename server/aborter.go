package server

import (
	"context"
	"sync"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
)

// aborter breaks a connection out of its read when nobody waits for the response any more: the client has gone, or phpserve ends.
type aborter struct {
	mu   sync.Mutex
	conn *fastcgi.Conn
	off  bool
	hit  bool
	why  func() error // of the hit
	stop func() bool
}

func (a *aborter) arm(ctx context.Context, conn *fastcgi.Conn) {
	a.conn = conn
	a.why = func() error { return whyOver(ctx) }
	a.stop = context.AfterFunc(ctx, a.fire)
}

func (a *aborter) fire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.off {
		a.hit = true
		_ = a.conn.NetConn().SetDeadline(time.Unix(1, 0)) // only a closed connection refuses, and that is as good
	}
}

// setReadDeadline sets the connection's deadline, unless the client's going has set it for good.
func (a *aborter) setReadDeadline(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.hit {
		_ = a.conn.NetConn().SetReadDeadline(t) // as in fire
	}
}

// disarm lets the request go on whatever the client does.
func (a *aborter) disarm() {
	a.stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.off = true
	if a.hit {
		_ = a.conn.NetConn().SetDeadline(time.Time{}) // as in fire
	}
}

func (a *aborter) hitNow() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hit
}

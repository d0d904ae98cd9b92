package manager

import (
	"time"
)

// rollOver replaces an engine that can make no more workers. Its idle workers go on serving until the new one is there.
func (p *Pool) rollOver() {
	if p.dismiss() {
		return
	}
	p.log.Error("the zygote ended; starting another")
	p.mu.Lock()
	old, failures := p.engine, 0
	p.mu.Unlock()
	ctx, cancel := p.untilStop()
	defer cancel()
	for {
		_, err := p.startEngine(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return // the pool stops; Stop closes the old engine
		}
		failures++
		p.mu.Lock()
		p.failures, p.lastErr = max(p.failures, failures), err // while it has no workers either, it is not ready
		p.mu.Unlock()
		delay := backoff(failures)
		p.log.Error("cannot start a zygote", "error", err, "next_try_in", delay)
		select {
		case <-time.After(delay):
		case <-p.stopping:
			return
		}
	}
	p.mu.Lock()
	if failures > 0 {
		p.failures, p.retryAt = 0, time.Time{}
	}
	retired := p.idle
	p.idle = nil
	var kill []*Worker
	for _, w := range retired {
		w.transition(StateStopping)
	}
	for _, w := range p.workers {
		if w.state == StateStarting && w.generation != p.generation && w.markKilled("its zygote ended") {
			kill = append(kill, w)
		}
	}
	p.mu.Unlock()
	for _, w := range kill {
		w.sendKill()
	}
	for _, w := range retired {
		p.end(w)
	}
	p.wg.Go(old.close)
}

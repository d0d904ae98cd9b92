package manager

import (
	"context"
	"time"
)

// causeStops is why a worker is killed that had not begun to serve when its pool stopped: nothing was lost.
const causeStops = "the pool stops"

// Stop ends the pool: requests in the queue fail, idle workers end at once and busy ones when their request is done, or
// are killed when ctx ends. It returns when every process has ended and the runtime folder is gone.
func (p *Pool) Stop(ctx context.Context) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	for wt := p.queue.pop(1); wt != nil; wt = p.queue.pop(1) {
		wt.ready <- nil
	}
	idle := p.idle
	p.idle = nil
	for _, w := range idle {
		w.transition(StateStopping)
	}
	p.mu.Unlock()
	close(p.stopping)
	for _, w := range idle {
		p.end(w)
	}
	p.drain(ctx)
	p.mu.Lock()
	e := p.engine
	var greetings []*greeting
	for _, w := range p.workers {
		for g := range w.proc.endpoint.greetings {
			greetings = append(greetings, g)
		}
	}
	p.mu.Unlock()
	for _, g := range greetings {
		g.cancel()
	}
	p.closeEarly()
	if e != nil {
		e.close()
	}
	p.orphans.end()
	if p.statusSocket != nil {
		p.statusSocket.Close()
	}
	p.wg.Wait()
	p.children.leave(p)
	p.orphans.end() // of an engine before
	p.orphans.close()
	p.slowlog.close()
	p.closeEarly()
	if err := p.dir.remove(); err != nil {
		p.log.Warn("cannot remove the runtime folder", "error", err)
	}
}

// stops says whether the pool is being stopped.
func (p *Pool) stops() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// closeEarly closes the connections of workers that nobody asked for.
func (p *Pool) closeEarly() {
	p.mu.Lock()
	early := p.early
	p.early = map[int]attached{}
	p.mu.Unlock()
	for _, a := range early {
		a.conn.Close()
	}
}

// drain waits until no worker is left, and kills those that are when ctx ends.
func (p *Pool) drain(ctx context.Context) {
	for {
		p.mu.Lock()
		left := p.spawning + len(p.workers)
		changed := p.changed
		var kill []*Worker
		for _, w := range p.workers {
			if w.state == StateStarting && w.markKilled(causeStops) {
				kill = append(kill, w)
			}
		}
		p.mu.Unlock()
		for _, w := range kill {
			w.sendKill()
		}
		if left == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.killAll()
			return
		case <-time.After(deadInterval):
			p.freeKilled()
		}
	}
}

// killAll ends every worker at once.
func (p *Pool) killAll() {
	p.mu.Lock()
	var kill []*Worker
	for _, w := range p.workers {
		if w.markKilled("the pool stops and its time is over") {
			kill = append(kill, w)
		}
	}
	p.mu.Unlock()
	for _, w := range kill {
		w.sendKill()
	}
}

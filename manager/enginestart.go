package manager

import (
	"context"
	"fmt"
	"sync"
)

// onDemand says whether the engine is started by the first worker that is needed: php-cgi takes some megabytes and some tenths of a
// second, and most of many pools with pm = ondemand may have nothing to do. Settings that came with a request are there because a
// request waits for them.
func (c *PoolConfig) onDemand() bool { return c.PM == PMOndemand && !c.fromClient() }

// open prepares the pool for its workers.
func (p *Pool) open(ctx context.Context) (err error) {
	if p.orphans, err = newOrphans(p.dir.owner); err != nil {
		return fmt.Errorf("[pool %s] cannot start: %w", p.cfg.Name, err)
	}
	if p.cfg.RequestSlowlogTimeout > 0 {
		p.slowlog.path, p.slowlog.log = p.cfg.Slowlog, p.log
	}
	if err := p.ReopenSlowlog(); err != nil {
		return err
	}
	if !p.cfg.onDemand() {
		if _, err := p.startEngine(ctx); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.opened = true
	p.mu.Unlock()
	return nil
}

// current is an engine and the generation of its workers.
type current struct {
	engine     engine
	generation int
}

// startEngine starts the next engine and makes it the current one.
func (p *Pool) startEngine(ctx context.Context) (current, error) {
	p.mu.Lock()
	generation := p.generation + 1
	p.mu.Unlock()
	var e engine
	if p.kind == EngineZygote {
		z, err := p.startZygote(ctx)
		if err != nil {
			return current{}, err
		}
		e = z
	} else {
		e = newSpawn(p)
	}
	p.mu.Lock()
	if p.closed { // Stop has been here and will not see this one
		p.mu.Unlock()
		e.close()
		return current{}, ErrPoolClosed
	}
	p.engine, p.generation = e, generation
	p.mu.Unlock()
	p.openTracer()
	return current{e, generation}, nil
}

// startZygote starts a zygote. Where nobody is to hear it, one that could not start is followed by one that is heard, which says why;
// if that one can, it has nothing to say, and gives its place to another that nobody hears.
func (p *Pool) startZygote(ctx context.Context) (*zygoteEngine, error) {
	z, err := newZygote(ctx, p, !p.cfg.DiscardOutput)
	if err == nil || !p.cfg.DiscardOutput || ctx.Err() != nil {
		return z, err
	}
	if z, err = newZygote(ctx, p, true); err != nil {
		return nil, err
	}
	z.close()
	return newZygote(ctx, p, false)
}

// openTracer has the tracer ready for the first slow request, which does not wait for it.
func (p *Pool) openTracer() {
	if p.cfg.RequestSlowlogTimeout <= 0 {
		return
	}
	p.wg.Go(func() {
		if _, err := p.tracer.open(p); err != nil {
			p.log.Error("slow requests are logged without their stacks", "error", err)
		}
	})
}

// engineStart is the start of an engine that workers wait for.
type engineStart struct {
	done chan struct{} // closed when it is over
	current
	err error
}

// needEngine returns the current engine. Where there is none, the first caller starts one, and those that come meanwhile wait for it.
func (p *Pool) needEngine() (current, error) {
	p.mu.Lock()
	if p.engine != nil {
		defer p.mu.Unlock()
		return current{p.engine, p.generation}, nil
	}
	s := p.comingUp
	if s != nil {
		p.mu.Unlock()
		<-s.done
		return s.current, s.err
	}
	s = &engineStart{done: make(chan struct{})}
	p.comingUp = s
	p.mu.Unlock()
	ctx, cancel := p.untilStop()
	defer cancel()
	s.current, s.err = p.startEngine(ctx)
	p.mu.Lock()
	p.comingUp = nil
	p.mu.Unlock()
	close(s.done)
	p.poke() // run is to look at when it is lost
	return s.current, s.err
}

// untilStop is a context that ends when the pool stops, or with done.
func (p *Pool) untilStop() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-p.stopping:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		wg.Wait()
	}
}

// dismiss lets go of an engine that is lost and that nobody needs: the next worker starts another. It says whether that is so.
func (p *Pool) dismiss() bool {
	p.mu.Lock()
	old := p.engine
	if !p.cfg.onDemand() || p.closed || len(p.workers)+p.spawning > 0 {
		p.mu.Unlock()
		return false // after Stop it is Stop who closes it
	}
	p.engine = nil
	p.badForks, p.served = 0, false
	p.wg.Go(old.close) // under the lock, so that Stop waits for it
	p.mu.Unlock()
	p.log.Error("the zygote ended; the next request starts another")
	return true
}

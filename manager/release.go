package manager

import (
	"net/netip"
	"runtime"
	"time"
)

// Outcome tells how a request left its worker.
type Outcome uint8

// The outcomes of a request.
const (
	Done    Outcome = iota // finished; the connection can take the next request
	Aborted                // the connection was given up in the middle, the script may still run
	Broken                 // the connection ended or made no sense: the worker is not to be trusted
	Unused                 // nothing was sent to the worker
	Asked                  // as Done, for a worker of AcquireIdle: it counts no request and is as long idle as before
)

// Release gives the worker back. After it the caller must not use the worker.
func (w *Worker) Release(o Outcome) {
	p := w.pool
	var cpu time.Duration
	inherited := false
	if o == Done {
		cpu, inherited = w.cpuTime(), w.hasHeirs()
		if w.proc.output != nil {
			w.proc.output.requestEnded(w.proc.pid)
		}
	}
	p.mu.Lock()
	if w.slowTimer != nil {
		w.slowTimer.Stop()
	}
	if o != Unused && o != Asked {
		w.requests++
		p.stats.Requests++
	}
	conn := w.conn
	switch {
	case w.state != StateBusy: // killed or dead meanwhile
		p.mu.Unlock()
		conn.Close()
	case o == Aborted:
		w.transition(StateDetached)
		w.conn = nil
		deadline, served := w.request.Deadline, w.requests
		p.mu.Unlock()
		conn.Close()
		if !deadline.IsZero() {
			time.AfterFunc(time.Until(deadline), func() { w.expire(served) })
		}
		p.greet(w)
	case inherited:
		// Whoever has the worker's end of the connection shall read no other request there.
		w.account.end(w.request, cpu)
		w.transition(StateDetached)
		w.conn = nil
		p.mu.Unlock()
		conn.Close()
		p.greet(w)
	case o == Broken:
		kill := w.markKilled("its connection broke")
		p.mu.Unlock()
		conn.Close()
		if kill {
			// Mostly it is gone and its parent has not told yet; whatever it is, it ends now.
			w.sendKill()
		}
		p.nudge()
	default:
		w.account.end(w.request, cpu)
		p.settle(w) // unlocks
	}
}

// hasHeirs says whether something that the worker's scripts have started may have inherited its connection: a child that lives,
// or one whose parent has ended during the request, and whom phpserve has got.
func (w *Worker) hasHeirs() bool {
	return w.heirs.any() || w.pool.orphans.count() != w.inherited // in this order: a child may become an orphan in between
}

// expire kills a worker that still runs the request whose client left: the last of served.
func (w *Worker) expire(served int) {
	w.pool.mu.Lock()
	kill := w.state == StateDetached && w.requests == served && w.markKilled(causeTimeout+", behind a client that left")
	w.pool.mu.Unlock()
	if kill {
		w.sendKill()
	}
}

// settle gives a worker that can serve its next request, or ends it where its time has come. It is called with p.mu held
// and the worker in state starting, busy or detached, and unlocks.
func (p *Pool) settle(w *Worker) {
	w.account.end(w.request, 0) // of a request whose client left
	w.request = Request{}
	if p.closed || w.generation != p.generation || w.limit > 0 && w.requests >= w.limit {
		w.transition(StateStopping)
		p.toReplace++
		p.mu.Unlock()
		p.end(w)
		p.poke()
		return
	}
	if p.children.yields(p) {
		w.surplus = true
		w.transition(StateStopping)
		p.mu.Unlock()
		p.end(w)
		p.poke()
		return
	}
	w.serve(netip.Addr{})
	first := p.queue.pop(max(1, p.cfg.MaxChildren/2))
	if first != nil {
		if w.state != StateBusy {
			w.transition(StateIdle)
			w.transition(StateBusy)
		}
		w.since = time.Now()
		w.serve(first.client)
		first.ready <- w
	} else {
		w.transition(StateIdle)
		p.idle = append(p.idle, w)
	}
	p.mu.Unlock()
	if first != nil {
		// Let the request that waited go to its worker now, before the caller writes its response: PHP works meanwhile.
		runtime.Gosched()
	}
}

// end asks a stopping worker to exit. The signal comes before the end of the connection: php-cgi then leaves at once
// instead of accepting somebody else's greeting.
func (p *Pool) end(w *Worker) {
	w.proc.signal(terminate)
	if w.conn != nil {
		w.conn.Close()
	}
	p.nudge()
	p.wg.Go(func() {
		select {
		case <-w.proc.done:
		case <-time.After(workerStopTimeout):
			w.Kill("it did not exit when asked to")
			<-w.proc.done
		}
	})
}

// nudge has the engine report exits without delay.
func (p *Pool) nudge() {
	p.mu.Lock()
	e := p.engine
	p.mu.Unlock()
	if e != nil {
		e.nudge()
	}
}

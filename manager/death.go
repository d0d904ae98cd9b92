package manager

import (
	"fmt"
	"slices"
	"time"
)

// watch waits for the end of a worker and of its start, whichever is to be reported.
func (p *Pool) watch(w *Worker) {
	start := newPatience(w.proc.pid, workerStartTimeout)
	defer start.looks.Stop()
	for {
		select {
		case <-w.proc.done:
			p.buried(w)
			w.heirs.close()
			p.limit.giveBack()
			p.children.giveBack()
			if signal := w.proc.status.signal; p.crashed != nil && (signal == "SIGSEGV" || signal == "SIGBUS") {
				p.crashed()
			}
			return
		case <-start.looks.C:
			late := start.look()
			p.mu.Lock()
			starts := w.state == StateStarting
			kill := starts && late && w.markKilled("it did not answer its greeting in time")
			p.mu.Unlock()
			if !starts {
				start.looks.Stop()
			}
			if kill {
				w.sendKill()
			}
		}
	}
}

// unattachedAt counts the workers that wait for a greeting at an endpoint. Pool.mu must be held.
func (p *Pool) unattachedAt(at *endpoint) int {
	n := 0
	for _, w := range p.workers {
		if w.unattached() && w.proc.endpoint == at {
			n++
		}
	}
	return n
}

// buried takes a dead worker out of the pool and has it replaced.
func (p *Pool) buried(w *Worker) {
	p.mu.Lock()
	state, end := w.state, w.howItEnded()
	end.stops = p.closed
	p.stats.EndedBy[end.reason]++
	if state != StateStopping && state != StateKilled && !end.stops { // else it was counted when its end was decided
		p.toReplace++
	}
	w.transition(StateDead)
	delete(p.workers, w.proc.pid)
	p.stats.Ended++
	if state == StateIdle {
		p.idle = slices.DeleteFunc(p.idle, func(o *Worker) bool { return o == w })
	}
	// Its greeting, or one of those that wait at the same place, may have nobody left to answer.
	var spare *greeting
	if at := w.proc.endpoint; len(at.greetings) > p.unattachedAt(at) {
		for g := range at.greetings {
			spare = g
			break
		}
	}
	conn := w.conn
	p.mu.Unlock()
	if spare != nil {
		spare.cancel()
	}
	switch {
	case state == StateIdle:
		conn.Close()
	case conn != nil:
		// Whoever reads there gets what the worker has sent and then its end, also where a program that the script left in
		// the background has inherited the connection.
		conn.HangUp()
	}
	w.logEnd(end)
	if state == StateStarting || state == StateKilled && w.conn == nil && w.requests == 0 {
		p.badFork(w)
	}
	if state == StateStarting {
		err := fmt.Errorf("[pool %s] a worker %s before it could serve%s", p.cfg.Name, w.proc.status, w.proc.said)
		if p.kind == EngineSpawn && w.proc.output.mute {
			err = unheardError{err}
		}
		p.startFailed(err)
	}
	p.announce()
	p.poke()
}

// logEnd logs how a worker ended: what was asked of it, or is lost with nothing, only for those who look for it.
func (w *Worker) logEnd(end ending) {
	age := time.Since(w.proc.started).Round(time.Millisecond)
	if end.was == StateStopping || w.killCause == causeStops {
		w.log.Debug("worker ended", "how", w.proc.status.String(), "age", age, "surplus", w.surplus, "stops", end.stops)
		return
	}
	attrs := []any{"how", w.proc.status.String(), "age", age, "while", end.was.String()}
	if end.cause != "" {
		attrs = append(attrs, "cause", end.cause)
	}
	if r := end.running; r.Script != "" {
		attrs = append(attrs, "script", r.Script, "method", r.Method, "uri", r.URI, "request_id", r.ID)
	}
	w.log.Warn("worker ended", attrs...)
}

// badForks is how many workers may end one after another before they can serve until their zygote is replaced.
const badForks = 3

// badFork notes a worker that ended before it could serve. Where that goes on, what its zygote shares with its workers may be broken,
// such as opcache's memory, which scripts can write to: a fresh one has fresh memory.
func (p *Pool) badFork(w *Worker) {
	p.mu.Lock()
	retire := false
	if !p.closed && w.generation == p.generation && p.served { // else it is the pool's own fault, and another zygote is no better
		if p.badForks++; p.badForks >= badForks {
			p.badForks, p.served, retire = 0, false, true
		}
	}
	e := p.engine
	p.mu.Unlock()
	if retire && e != nil {
		p.log.Error("new workers end before they can serve; their zygote is replaced")
		e.retire()
	}
}

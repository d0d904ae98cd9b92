package manager

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// watch waits for the end of a worker and of its start, whichever is to be reported.
func (p *Pool) watch(w *Worker) {
	start := time.NewTimer(workerStartTimeout)
	defer start.Stop()
	for {
		select {
		case <-w.proc.done:
			p.buried(w)
			return
		case <-start.C:
			p.mu.Lock()
			kill := w.state == StateStarting && w.markKilled("it did not answer its greeting in time")
			p.mu.Unlock()
			if kill {
				w.proc.signal(syscall.SIGKILL)
			}
		}
	}
}

// buried takes a dead worker out of the pool and has it replaced.
func (p *Pool) buried(w *Worker) {
	p.mu.Lock()
	was, cause, running := w.state, w.killCause, w.request
	w.transition(StateDead)
	delete(p.workers, w.proc.pid)
	p.stats.Ended++
	if was == StateIdle {
		p.idle = slices.DeleteFunc(p.idle, func(o *Worker) bool { return o == w })
	}
	// Its greeting, or one of those that wait at the same place, has nobody left to answer.
	var spare *greeting
	if was == StateStarting || was == StateDetached || was == StateKilled && w.conn == nil {
		for g := range w.proc.endpoint.greetings {
			spare = g
			break
		}
	}
	p.mu.Unlock()
	if spare != nil {
		spare.cancel()
	}
	if was == StateIdle {
		w.conn.Close()
	}
	if was == StateKilled && w.proc.status.signal != "" && w.proc.status.signal != syscall.SIGKILL.String() {
		was, cause = StateBusy, "" // it was quicker than our own signal: its end is why its connection broke
	}
	age := time.Since(w.proc.started).Round(time.Millisecond)
	if was == StateStopping {
		w.log.Debug("worker ended", "how", w.proc.status.String(), "age", age)
	} else {
		attrs := []any{"how", w.proc.status.String(), "age", age, "while", was.String()}
		if cause != "" {
			attrs = append(attrs, "cause", cause)
		}
		if running.Script != "" {
			attrs = append(attrs, "script", running.Script, "method", running.Method, "uri", running.URI, "request_id", running.ID)
		}
		w.log.Warn("worker ended", attrs...)
	}
	if was == StateStarting {
		p.startFailed(fmt.Errorf("[pool %s] a worker %s before it could serve%s", p.cfg.Name, w.proc.status, w.proc.said))
	}
	p.announce()
	p.poke()
}

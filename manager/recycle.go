package manager

import (
	"errors"
	"slices"
)

// Recycle ends one worker, in whose place the process manager starts another if it is needed: an idle one as after
// pm.max_requests; one that runs a request is killed, and its request fails.
func (p *Pool) Recycle(pid int) error {
	p.mu.Lock()
	w := p.workers[pid]
	switch {
	case w == nil || w.state > StateDetached:
		p.mu.Unlock()
		for _, v := range p.included() {
			if err := v.Recycle(pid); !errors.Is(err, ErrNoWorker) {
				return err
			}
		}
		return ErrNoWorker
	case w.state == StateIdle:
		p.idle = slices.DeleteFunc(p.idle, func(o *Worker) bool { return o == w })
		w.transition(StateStopping)
		p.toReplace++
		p.mu.Unlock()
		p.end(w)
	default:
		p.mu.Unlock()
		w.Kill("the operator asked for it")
	}
	p.poke()
	return nil
}

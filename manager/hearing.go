package manager

import "errors"

// Where catch_workers_output is off, nobody reads what PHP writes. Only when one could not start, the next one of the pool is heard, so
// that it says why. One that is heard serves no request: what scripts write goes nowhere.

// hearing is what of that a pool with the spawn engine knows. Pool.mu guards it.
type hearing struct {
	wanted bool // one could not start, and nobody knows why
	now    bool // one is heard
}

// unheardError is why a php-cgi of the spawn engine could not start whose output nobody read, so that the next one's is.
type unheardError struct{ error }

func (e unheardError) Unwrap() error { return e.error }

func isUnheard(err error) bool {
	_, ok := errors.AsType[unheardError](err)
	return ok
}

// listen makes the output of the next php-cgi of the spawn engine. One that is heard only to learn why another could not start is
// trial, and stopListening is called at its end.
func (p *Pool) listen() *output {
	p.mu.Lock()
	trial := p.cfg.DiscardOutput && p.hearing.wanted && !p.hearing.now
	if trial {
		p.hearing = hearing{now: true}
	}
	p.mu.Unlock()
	out := p.newOutput(!p.cfg.DiscardOutput || trial)
	out.own, out.trial = true, trial
	return out
}

// stopListening takes note of the end of a process with an output of listen.
func (p *Pool) stopListening(out *output) {
	if out.trial {
		p.mu.Lock()
		p.hearing.now = false
		p.mu.Unlock()
	}
}

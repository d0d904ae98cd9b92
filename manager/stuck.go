package manager

import (
	"time"
)

const (
	// stoppedAfter is how long a worker that has been stopped (SIGSTOP) may leave its request unread.
	stoppedAfter = time.Second
	// hungAfter is how long any other may.
	hungAfter = 10 * time.Second
	// stopPatience is how long the kernel may take to stop a process.
	stopPatience = 100 * time.Millisecond
)

// endStuck ends workers that have not begun to read their request, so that another can run it. That they have not is certain
// where they have not run at all since before it was sent: a process that waits uses no processor time.
func (p *Pool) endStuck() {
	type suspect struct {
		w      *Worker
		before time.Duration
		waits  time.Duration
		served int
	}
	var suspects []suspect
	now := time.Now()
	p.mu.Lock()
	for _, w := range p.workers {
		if waits := now.Sub(w.since); w.state == StateBusy && !w.runs && !w.account.begun.IsZero() && waits >= stoppedAfter {
			suspects = append(suspects, suspect{w, w.account.cpuBefore, waits, w.requests})
		}
	}
	p.mu.Unlock()
	for _, s := range suspects {
		untouched, runs := s.w.untouchedSince(s.before, s.waits)
		p.mu.Lock()
		kill := false
		if s.w.state == StateBusy && s.w.requests == s.served {
			s.w.runs = runs
			s.w.untouched = untouched
			kill = untouched && s.w.markKilled("it has not read its request")
		}
		p.mu.Unlock()
		if kill {
			s.w.log.Warn("a worker has not read its request and is ended; another gets it", "waited", s.waits.Round(time.Millisecond))
			s.w.sendKill()
		}
	}
}

// freeKilled sees to it that workers that phpserve has killed are heard to have ended, and their places become free.
func (p *Pool) freeKilled() {
	var killed []int
	p.mu.Lock()
	for _, w := range p.workers {
		if w.state == StateKilled {
			killed = append(killed, w.proc.pid)
		}
	}
	p.mu.Unlock()
	for _, pid := range killed {
		p.orphans.freeDead(pid)
	}
}

// untouchedSince says whether the worker stands still and has not run since it had used so much processor time; or whether it has.
// It is stopped for that look, so that it cannot begin between the look and its end.
func (w *Worker) untouchedSince(before, waits time.Duration) (untouched, runs bool) {
	if used, err := processorTime(w.proc.pid); err != nil || before == 0 || used != before {
		return false, err == nil
	}
	stopped, err := isStopped(w.proc.pid)
	if err != nil || !stopped && (waits < hungAfter || isRunnable(w.proc.pid)) { // it waits for a processor
		return false, false
	}
	w.proc.signal(stopSignal)
	for end := time.Now().Add(stopPatience); ; time.Sleep(time.Millisecond) {
		if stopped, err = isStopped(w.proc.pid); stopped || err != nil || time.Now().After(end) {
			break
		}
	}
	used, err := processorTime(w.proc.pid)
	if stopped && err == nil && used == before {
		return true, false
	}
	w.proc.signal(continueSignal)
	return false, err == nil
}

package manager

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

const (
	// workerStartTimeout is how long a process may take until it answers its greeting, of time of its own.
	workerStartTimeout = 30 * time.Second
	// workerStopTimeout is how long an idle worker may take to exit when asked to.
	workerStopTimeout = 5 * time.Second
	// exitReportWait is how long after the end of a worker's connection its exit may be reported.
	exitReportWait = 200 * time.Millisecond
	// scaleInterval is how often surplus idle workers are looked for.
	scaleInterval = time.Second
)

// run keeps the pool at the size that the scaler wants until the pool stops.
func (p *Pool) run() {
	tick := time.NewTicker(scaleInterval)
	defer tick.Stop()
	for {
		p.mu.Lock()
		var lost <-chan struct{}
		if p.engine != nil {
			lost = p.engine.lost()
		}
		p.mu.Unlock()
		select {
		case <-p.wake:
		case <-tick.C:
			p.orphans.bury()
			p.endStuck()
			p.freeKilled()
		case <-lost:
			p.rollOver()
		case <-p.stopping:
			return
		}
		p.balance()
	}
}

// balance acts on the scaler's decision.
func (p *Pool) balance() {
	now := time.Now()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	n := counts{
		starting: p.count[StateStarting] + p.spawning,
		idle:     len(p.idle),
		waiting:  p.queue.n,
	}
	n.total = n.starting + n.idle + p.count[StateBusy] + p.count[StateDetached]
	if len(p.idle) > 0 {
		n.idleFor = now.Sub(p.idle[0].since)
	}
	n.spare = p.water.least(now, n.idle)
	d := scale(&p.cfg, n)
	p.water.ended(d.stop)
	if now.Before(p.retryAt) {
		d.start = 0
	}
	lacking := 0
	d.start, lacking = p.takePlaces(d.start, n)
	p.spawning += d.start
	reached := p.noteCrowd(n, lacking)
	surplus := slices.Clone(p.idle[:d.stop])
	p.idle = slices.Delete(p.idle, 0, d.stop)
	for _, w := range surplus {
		w.surplus = true
		w.transition(StateStopping)
	}
	p.mu.Unlock()
	if reached {
		// php-fpm's words (fpm_process_ctl.c:fpm_pctl_perform_idle_server_maintenance)
		p.log.Warn(fmt.Sprintf("server reached pm.max_children setting (%d), consider raising it", p.cfg.MaxChildren)) //nolint:sloglint // its number, too
	}
	for range d.start {
		p.wg.Go(p.startWorker)
	}
	for _, w := range surplus {
		p.end(w)
	}
	p.children.makeRoom(p, lacking)
}

// takePlaces takes places for workers within process.max and within pm.max_children of all variants of the pool. p.mu must be held.
func (p *Pool) takePlaces(start int, n counts) (granted, lacking int) {
	since := time.Time{}
	if first := p.queue.oldest(); first != nil {
		since = first.since
	}
	start = p.limit.take(start)
	// Its own that end already make room.
	demanded := max(0, n.waiting-n.starting-p.count[StateStopping]-p.count[StateKilled])
	granted, lacking = p.children.take(p, start, demanded, since)
	for range start - granted {
		p.limit.giveBack()
	}
	return granted, lacking
}

// noteCrowd says whether requests begin to wait because there are pm.max_children workers, those that the pool lacks being others'. Once until that is over, and never
// with static, as in php-fpm. p.mu must be held.
func (p *Pool) noteCrowd(n counts, lacking int) bool {
	if p.cfg.PM == PMStatic || n.waiting == 0 || n.total < p.cfg.MaxChildren && lacking == 0 {
		p.crowded = p.crowded && n.waiting > 0
		return false
	}
	if p.crowded || n.starting >= n.waiting {
		return false
	}
	p.crowded = true
	p.stats.MaxChildrenReached++
	return true
}

// startWorker makes one process, counted in p.spawning, and greets it.
func (p *Pool) startWorker() {
	now, err := p.needEngine()
	if err != nil {
		p.notStarted(err)
		return
	}
	ctx, cancel := p.untilStop()
	defer cancel()
	proc, err := now.engine.spawn(ctx)
	var left *heirs
	if err == nil {
		if left, err = openHeirs(proc.pid); err != nil {
			proc.signal(syscall.SIGKILL)
		}
	}
	if err != nil {
		p.notStarted(fmt.Errorf("[pool %s] cannot start a worker: %w", p.cfg.Name, err))
		return
	}
	w := &Worker{pool: p, proc: proc, generation: now.generation, since: proc.started, limit: p.requestLimit(), heirs: left}
	w.log = p.log.With("pid", proc.pid)
	p.mu.Lock()
	p.spawning--
	replaces := p.toReplace > 0
	if replaces {
		p.toReplace--
	}
	p.workers[proc.pid] = w
	p.count[StateStarting]++
	p.stats.Started++
	a, early := p.early[proc.pid]
	delete(p.early, proc.pid)
	stops := p.closed && w.markKilled(causeStops) // Stop may have ended all that it saw
	if early && !stops {
		p.attach(w, a) // unlocks
		p.announce()
	} else {
		p.mu.Unlock()
	}
	w.log.Debug("worker started", "replaces", replaces)
	p.wg.Go(func() { p.watch(w) })
	if stops {
		w.sendKill()
		if early {
			a.conn.Close()
		}
		return
	}
	p.greet(w)
	p.expelEarly()
}

// notStarted takes note that a process counted in p.spawning does not come.
func (p *Pool) notStarted(err error) {
	p.mu.Lock()
	p.spawning--
	p.mu.Unlock()
	p.limit.giveBack()
	p.children.giveBack()
	p.expelEarly()
	p.startFailed(err)
}

// requestLimit is pm.max_requests, spread by an eighth either way.
func (p *Pool) requestLimit() int {
	n := p.cfg.MaxRequests
	if spread := n / 8; spread > 0 {
		return n - spread + rand.IntN(2*spread+1)
	}
	return n
}

// startFailed delays the next start, longer with every failure in a row. Those that began side by side count as one.
func (p *Pool) startFailed(err error) {
	p.mu.Lock()
	if now := time.Now(); !now.Before(p.retryAt) {
		p.failures++
		p.retryAt = now.Add(backoff(p.failures))
	}
	delay := time.Until(p.retryAt)
	if isUnheard(err) {
		p.hearing.wanted = true
	}
	if !isUnheard(err) || p.failures == 1 || isUnheard(p.lastErr) { // the one before says better why
		p.lastErr = err
	}
	closed := p.closed
	p.mu.Unlock()
	p.announce()
	if closed {
		return
	}
	p.log.Error("cannot start a worker", "error", err, "next_try_in", delay.Round(time.Millisecond))
	p.wg.Go(func() {
		select {
		case <-time.After(delay):
			p.poke()
		case <-p.stopping:
		}
	})
}

// backoff is the delay after the n-th failed start in a row.
func backoff(n int) time.Duration {
	return min(50*time.Millisecond<<min(n, 10), 30*time.Second)
}

// announce wakes those who wait for workers to come or go.
func (p *Pool) announce() {
	p.mu.Lock()
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
}

package manager

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	// workerStartTimeout is how long a process may take until it answers its greeting.
	workerStartTimeout = 30 * time.Second
	// workerStopTimeout is how long an idle worker may take to exit when asked to.
	workerStopTimeout = 5 * time.Second
	// exitReportWait is how long after the end of a worker's connection its exit may be reported.
	exitReportWait = 200 * time.Millisecond
	// scaleInterval is how often surplus idle workers are looked for.
	scaleInterval = time.Second
)

// Outcome tells how a request left its worker.
type Outcome uint8

// The outcomes of a request.
const (
	Done    Outcome = iota // finished; the connection can take the next request
	Aborted                // the connection was given up in the middle, the script may still run
	Broken                 // the connection ended or made no sense: the worker is not to be trusted
	Unused                 // nothing was sent to the worker
)

// Release gives the worker back. After it the caller must not use the worker.
func (w *Worker) Release(o Outcome) {
	p := w.pool
	p.mu.Lock()
	if o != Unused {
		w.requests++
	}
	conn := w.conn
	switch {
	case w.state != StateBusy: // killed or dead meanwhile
		p.mu.Unlock()
		conn.Close()
	case o == Aborted:
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
			// The kernel may not have told its parent yet that it is gone; whatever it is, it ends now.
			w.proc.signal(syscall.SIGKILL)
		}
		p.nudge()
	default:
		w.request = Request{}
		p.settle(w) // unlocks
	}
}

// settle gives a worker that can serve its next request, or ends it where its time has come. It is called with p.mu held
// and the worker in state starting, busy or detached, and unlocks.
func (p *Pool) settle(w *Worker) {
	if p.closed || w.generation != p.generation || w.limit > 0 && w.requests >= w.limit {
		w.transition(StateStopping)
		p.mu.Unlock()
		p.end(w)
		p.poke()
		return
	}
	if first := p.queue.Front(); first != nil {
		p.queue.Remove(first)
		if w.state != StateBusy {
			w.transition(StateIdle)
			w.transition(StateBusy)
		}
		w.since = time.Now()
		first.Value.(*waiter).ready <- w
	} else {
		w.transition(StateIdle)
		p.idle = append(p.idle, w)
	}
	p.mu.Unlock()
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

// run keeps the pool at the size that the scaler wants until the pool stops.
func (p *Pool) run() {
	tick := time.NewTicker(scaleInterval)
	defer tick.Stop()
	for {
		p.mu.Lock()
		lost := p.engine.lost()
		p.mu.Unlock()
		select {
		case <-p.wake:
		case <-tick.C:
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
		waiting:  p.queue.Len(),
	}
	n.total = n.starting + n.idle + p.count[StateBusy] + p.count[StateDetached]
	if len(p.idle) > 0 {
		n.idleFor = now.Sub(p.idle[0].since)
	}
	d := scale(&p.cfg, n)
	if now.Before(p.retryAt) {
		d.start = 0
	}
	p.spawning += d.start
	surplus := slices.Clone(p.idle[:d.stop])
	p.idle = slices.Delete(p.idle, 0, d.stop)
	for _, w := range surplus {
		w.transition(StateStopping)
	}
	p.mu.Unlock()
	for range d.start {
		p.wg.Go(p.startWorker)
	}
	for _, w := range surplus {
		p.end(w)
	}
}

// startWorker makes one process, counted in p.spawning, and greets it.
func (p *Pool) startWorker() {
	p.mu.Lock()
	e, generation := p.engine, p.generation
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), workerStartTimeout)
	defer cancel()
	proc, err := e.spawn(ctx)
	if err != nil {
		p.mu.Lock()
		p.spawning--
		p.mu.Unlock()
		p.startFailed(fmt.Errorf("[pool %s] cannot start a worker: %v", p.cfg.Name, err))
		return
	}
	w := &Worker{pool: p, proc: proc, generation: generation, since: proc.started, limit: p.requestLimit()}
	w.log = p.log.With("pid", proc.pid)
	p.mu.Lock()
	p.spawning--
	p.workers[proc.pid] = w
	p.count[StateStarting]++
	p.stats.Started++
	if conn, ok := p.early[proc.pid]; ok {
		delete(p.early, proc.pid)
		w.conn = conn
		p.failures = 0
		p.settle(w) // unlocks
		p.announce()
	} else {
		p.mu.Unlock()
	}
	w.log.Debug("worker started")
	p.wg.Go(func() { p.watch(w) })
	p.greet(w)
}

// requestLimit is pm.max_requests, spread by an eighth either way.
func (p *Pool) requestLimit() int {
	n := p.cfg.MaxRequests
	if spread := n / 8; spread > 0 {
		return n - spread + rand.IntN(2*spread+1)
	}
	return n
}

// greeted finds the worker's pid in what worker.php printed, whatever the operator's own files printed around it.
var greeted = regexp.MustCompile(`phpserve-worker:(\d+);`)

// greet connects to an unattached worker at w's endpoint: w itself, or another that waits there too, in whose stead w is
// then met by that one's greeting.
func (p *Pool) greet(w *Worker) {
	ctx, cancel := context.WithCancel(context.Background())
	g := &greeting{cancel: cancel}
	at := w.proc.endpoint
	p.mu.Lock()
	if w.state == StateDead {
		p.mu.Unlock()
		cancel()
		return
	}
	at.greetings[g] = struct{}{}
	p.mu.Unlock()
	p.wg.Go(func() {
		defer cancel()
		conn, output, err := p.dialer.Greet(ctx, at.network, at.addr, p.dir.file(bootDir, "worker.php"))
		m := greeted.FindStringSubmatch(output)
		p.mu.Lock()
		delete(at.greetings, g)
		if err == nil && m != nil {
			pid, _ := strconv.Atoi(m[1]) // digits only
			other := p.workers[pid]
			switch {
			case other == nil:
				p.early[pid] = conn
				p.mu.Unlock()
			case !other.unattached():
				p.mu.Unlock()
				conn.Close()
			default:
				other.conn = conn
				p.failures = 0
				p.settle(other) // unlocks
				p.announce()
			}
			return
		}
		p.mu.Unlock()
		if conn != nil {
			conn.Close()
		}
		if ctx.Err() != nil {
			return // the worker that was left over has ended
		}
		if err == nil {
			err = fmt.Errorf("it answered %q", output)
		}
		// A worker that ended says better why than its connection does.
		p.nudge()
		select {
		case <-w.proc.done:
			return // buried tells
		case <-time.After(exitReportWait):
		}
		p.greetingFailed(w, fmt.Errorf("cannot greet a worker: %v", err))
	})
}

// greetingFailed ends one worker that waits where w waits: which of them failed, nobody can tell.
func (p *Pool) greetingFailed(w *Worker, err error) {
	p.mu.Lock()
	victim := w
	if !w.unattached() {
		for _, other := range p.workers {
			if other.unattached() && other.proc.endpoint == w.proc.endpoint {
				victim = other
			}
		}
	}
	kill := victim.unattached() && victim.markKilled(err.Error())
	p.mu.Unlock()
	if kill {
		victim.proc.signal(syscall.SIGKILL)
	}
	p.nudge()
	p.startFailed(fmt.Errorf("[pool %s] %v", p.cfg.Name, err))
}

// startFailed delays the next start, longer with every failure in a row.
func (p *Pool) startFailed(err error) {
	p.mu.Lock()
	p.failures++
	delay := backoff(p.failures)
	p.retryAt = time.Now().Add(delay)
	p.lastErr = err
	closed := p.closed
	p.mu.Unlock()
	p.announce()
	if closed {
		return
	}
	p.log.Error("cannot start a worker", "error", err, "next_try_in", delay)
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

// rollOver replaces an engine that can make no more workers. Its idle workers go on serving until the new one is there.
func (p *Pool) rollOver() {
	p.log.Error("the zygote ended; starting another")
	p.mu.Lock()
	old, failures := p.engine, 0
	p.mu.Unlock()
	for {
		err := p.startEngine(context.Background())
		if err == nil {
			break
		}
		failures++
		delay := backoff(failures)
		p.log.Error("cannot start a zygote", "error", err, "next_try_in", delay)
		select {
		case <-time.After(delay):
		case <-p.stopping:
			return
		}
	}
	p.mu.Lock()
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
		w.proc.signal(syscall.SIGKILL)
	}
	for _, w := range retired {
		p.end(w)
	}
	p.wg.Go(old.close)
}

// Stop ends the pool: requests in the queue fail, idle workers end at once and busy ones when their request is done, or
// are killed when ctx ends. It returns when every process has ended and the runtime folder is gone.
func (p *Pool) Stop(ctx context.Context) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	for e := p.queue.Front(); e != nil; e = e.Next() {
		e.Value.(*waiter).ready <- nil
	}
	p.queue.Init()
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
	if e != nil {
		e.close()
	}
	p.wg.Wait()
	for _, conn := range p.early {
		conn.Close()
	}
	if err := p.dir.remove(); err != nil {
		p.log.Warn("cannot remove the runtime folder", "error", err)
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
			if w.state == StateStarting && w.markKilled("the pool stops") {
				kill = append(kill, w)
			}
		}
		p.mu.Unlock()
		for _, w := range kill {
			w.proc.signal(syscall.SIGKILL)
		}
		if left == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.killAll()
			return
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
		w.proc.signal(syscall.SIGKILL)
	}
}

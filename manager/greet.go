package manager

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// greeted finds the worker's pid in what worker.php printed, whatever the operator's own files printed around it. It is needed
// only where the kernel does not tell who wrote that.
var greeted = regexp.MustCompile(`phpserve-worker:(\d+);`)

// attached is a connection on which a worker has answered its greeting.
type attached struct {
	conn Conn
	wire *wire
}

// greet connects to an unattached worker at w's endpoint: w itself, or another that waits there too, in whose stead w is
// then met by that one's greeting.
func (p *Pool) greet(w *Worker) {
	ctx, cancel := context.WithCancel(context.Background())
	g := &greeting{cancel: cancel}
	at := w.proc.endpoint
	p.mu.Lock()
	if len(at.greetings) >= p.unattachedAt(at) { // such as for a worker that died meanwhile
		p.mu.Unlock()
		cancel()
		return
	}
	at.greetings[g] = struct{}{}
	p.mu.Unlock()
	p.wg.Go(func() {
		defer cancel()
		pid, a, err := p.meet(ctx, at)
		if err == nil && w.proc.output != nil {
			w.proc.output.requestEnded(pid) // one whose client left may have been before
		}
		if err == nil && p.kind == EngineSpawn {
			p.forgetEnvironment(w.proc.pid) // it is idle: no script has run
		}
		p.mu.Lock()
		delete(at.greetings, g)
		if err == nil {
			p.met(w, pid, a) // unlocks
			return
		}
		p.mu.Unlock()
		if ctx.Err() != nil {
			return // the worker that was left over has ended
		}
		// A worker that ended says better why than its connection does.
		p.nudge()
		select {
		case <-w.proc.done:
			return // buried tells
		case <-time.After(exitReportWait):
		}
		p.greetingFailed(w, fmt.Errorf("cannot greet a worker: %w", err))
	})
}

// meet connects to whoever accepts at an endpoint and finds out which process that is.
func (p *Pool) meet(ctx context.Context, at *endpoint) (pid int, a attached, err error) {
	if a.wire, err = at.dial(ctx); err != nil {
		return 0, a, err
	}
	conn, output, err := p.dialer.Greet(ctx, a.wire, p.dir.workerScript())
	if err != nil {
		return 0, a, err
	}
	a.conn = conn
	if a.wire.writer > 0 {
		return a.wire.writer, a, nil // what it says does not matter
	}
	m := greeted.FindStringSubmatch(output)
	if m == nil {
		conn.Close()
		return 0, a, fmt.Errorf("the system does not tell who answers, and the answer is %q", output)
	}
	pid, _ = strconv.Atoi(m[1]) // digits only
	return pid, a, nil
}

// met gives a connection to the worker that answered on it. p.mu must be held; it unlocks.
func (p *Pool) met(w *Worker, pid int, a attached) {
	other := p.workers[pid]
	switch {
	case other == nil && p.spawning > 0:
		p.early[pid] = a
		p.mu.Unlock()
	case other == nil:
		e := p.engine
		p.mu.Unlock()
		if p.expel(e, pid, a.conn) {
			p.greet(w)
		} else {
			p.greetingFailed(w, fmt.Errorf("cannot greet a worker: process %d, which is none, answers in its place", pid))
		}
	case !other.unattached():
		p.mu.Unlock()
		a.conn.Close()
	default:
		p.attach(other, a) // unlocks
		p.announce()
	}
}

// attach gives an unattached worker its connection. p.mu must be held; it unlocks.
func (p *Pool) attach(w *Worker, a attached) {
	w.conn, w.wire, w.inherited = a.conn, a.wire, p.orphans.count()
	w.wire.stranger = w.answeredBy
	if w.proc.output != nil && w.proc.output.trial {
		p.dismissTrial(w) // unlocks
		return
	}
	p.failures, p.retryAt = 0, time.Time{}
	if w.state == StateStarting && w.generation == p.generation {
		p.badForks, p.served = 0, true
	}
	p.settle(w) // unlocks
}

// dismissTrial ends a worker that was heard to learn why another could not start, and that could: the next ones are not heard again.
// Whether they can start it does not tell, so that failures still count. p.mu must be held; it unlocks.
func (p *Pool) dismissTrial(w *Worker) {
	w.surplus = true
	w.transition(StateStopping)
	p.mu.Unlock()
	p.end(w)
}

// expel ends a php-cgi that nobody asked for and that answered a worker's greeting: what a script forked takes itself for a
// worker when the script ends.
//
// It says whether the way is free: not where the process is none of the pool's. e is nil where there is no engine any more.
func (p *Pool) expel(e engine, pid int, conn Conn) bool {
	conn.Close()
	stranger, err := newProcess(pid, nil)
	if err != nil {
		return isGone(err)
	}
	defer stranger.letGo()
	if (e == nil || !e.owns(stranger)) && !p.orphans.has(pid) {
		return !processExists(pid) // a worker that has ended meanwhile, or the pid is made up
	}
	p.log.Warn("a process that a script forked took the place of a worker and is ended", "pid", pid)
	stranger.signal(syscall.SIGKILL)
	return true
}

// expelEarly expels the processes that answered a greeting and are none of those that were being made.
func (p *Pool) expelEarly() {
	p.mu.Lock()
	if p.spawning > 0 || len(p.early) == 0 {
		p.mu.Unlock()
		return
	}
	early, e := p.early, p.engine
	p.early = map[int]attached{}
	var left []*Worker
	for _, w := range p.workers {
		if w.unattached() {
			left = append(left, w)
		}
	}
	p.mu.Unlock()
	for pid, a := range early {
		p.expel(e, pid, a.conn)
	}
	for _, w := range left[:min(len(left), len(early))] { // of one endpoint: a spawned worker's is made after its process
		p.greet(w)
	}
}

// greetingFailed ends one worker that waits where w waits: which of them failed, nobody can tell. Where as many greetings as
// workers are left, it was one that has ended since.
func (p *Pool) greetingFailed(w *Worker, err error) {
	p.mu.Lock()
	if at := w.proc.endpoint; len(at.greetings) >= p.unattachedAt(at) {
		p.mu.Unlock()
		return
	}
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
		victim.sendKill()
	}
	p.nudge()
	p.startFailed(fmt.Errorf("[pool %s] %w", p.cfg.Name, err))
}

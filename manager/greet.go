package manager

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// greeted finds the worker's pid in what worker.php printed, whatever the operator's own files printed around it.
var greeted = regexp.MustCompile(`phpserve-worker:(\d+);`)

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
		conn, output, err := p.dialer.Greet(ctx, at.network, at.addr, p.dir.workerScript())
		m := greeted.FindStringSubmatch(output)
		if pid, convErr := strconv.Atoi(strings.Join(m[min(1, len(m)):], "")); convErr == nil && w.proc.output != nil {
			w.proc.output.requestEnded(pid) // one whose client left may have been before
		}
		if err == nil && p.kind == EngineSpawn {
			p.forgetEnvironment(w.proc.pid) // it is idle: no script has run
		}
		p.mu.Lock()
		delete(at.greetings, g)
		if err == nil && m != nil {
			pid, _ := strconv.Atoi(m[1]) // digits only
			other := p.workers[pid]
			switch {
			case other == nil && p.spawning > 0:
				p.early[pid] = conn
				p.mu.Unlock()
			case other == nil:
				e := p.engine
				p.mu.Unlock()
				p.expel(e, pid, conn)
				p.greet(w)
			case !other.unattached():
				p.mu.Unlock()
				conn.Close()
			default:
				other.conn = conn
				p.failures, p.retryAt = 0, time.Time{}
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

// expel ends a php-cgi that nobody asked for and that answered a worker's greeting: what a script forked takes itself for a
// worker when the script ends.
func (p *Pool) expel(e engine, pid int, conn Conn) {
	conn.Close()
	if stranger, err := newProcess(pid, nil); err == nil {
		if e.owns(stranger) { // else it is a worker that has ended meanwhile, or the pid is made up
			p.log.Warn("a process that a script forked took the place of a worker and is ended", "pid", pid)
			stranger.signal(syscall.SIGKILL)
		}
		stranger.exited(exitStatus{}) // only to give the handle back
	}
}

// expelEarly expels the processes that answered a greeting and are none of those that were being made.
func (p *Pool) expelEarly() {
	p.mu.Lock()
	if p.spawning > 0 || len(p.early) == 0 {
		p.mu.Unlock()
		return
	}
	early, e := p.early, p.engine
	p.early = map[int]Conn{}
	var left []*Worker
	for _, w := range p.workers {
		if w.unattached() {
			left = append(left, w)
		}
	}
	p.mu.Unlock()
	for pid, conn := range early {
		p.expel(e, pid, conn)
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
		victim.proc.signal(syscall.SIGKILL)
	}
	p.nudge()
	p.startFailed(fmt.Errorf("[pool %s] %v", p.cfg.Name, err))
}

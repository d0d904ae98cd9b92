package manager

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
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

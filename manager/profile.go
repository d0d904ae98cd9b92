package manager

import (
	"context"
	"time"

	"github.com/phpserve/phpserve/manager/phpstack"
)

// RecordProfile samples the PHP stacks of the workers of pools that run a request, until ctx ends. Workers that come meanwhile are
// sampled, too.
func RecordProfile(ctx context.Context, pools []*Pool, s phpstack.Sampling) (*phpstack.Profile, error) {
	readers := make([]*phpstack.Reader, len(pools))
	for i, p := range pools {
		var err error
		if readers[i], err = p.tracer.open(p); err != nil {
			return nil, err
		}
	}
	type known struct {
		process *phpstack.Process
		started time.Time
	}
	workers := map[int]known{} // by pid
	return phpstack.Record(ctx, s, func() []phpstack.Target {
		var targets []phpstack.Target
		for i, p := range pools {
			for _, w := range p.running() {
				k, ok := workers[w.pid]
				if !ok || !k.started.Equal(w.started) {
					process, err := readers[i].Attach(w.pid)
					if err != nil {
						continue // it has gone; one that may not be read would have failed the self-test
					}
					k = known{process, w.started}
					workers[w.pid] = k
				}
				targets = append(targets, phpstack.Target{Process: k.process, Pool: p.cfg.Name})
			}
		}
		return targets
	})
}

// running are the processes of the workers that run a request, also of the pools that it speaks for.
func (p *Pool) running() (all []*process) {
	p.mu.Lock()
	for _, w := range p.workers {
		if w.state == StateBusy || w.state == StateDetached {
			all = append(all, w.proc)
		}
	}
	p.mu.Unlock()
	for _, v := range p.included() {
		all = append(all, v.running()...)
	}
	return all
}

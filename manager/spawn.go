package manager

import (
	"context"
	"fmt"
	"os"
	"sync"
)

// spawnEngine starts one php-cgi per worker, each with a socket of its own. The workers do not share an opcache.
type spawnEngine struct {
	pool *Pool
	wg   sync.WaitGroup // calls of spawn, and goroutines that end with their process

	mu     sync.Mutex // guards the fields below
	procs  map[*process]*child
	closed bool
}

func newSpawn(p *Pool) *spawnEngine {
	return &spawnEngine{pool: p, procs: map[*process]*child{}}
}

func (s *spawnEngine) spawn(ctx context.Context) (*process, error) {
	p := s.pool
	s.mu.Lock()
	if s.closed || ctx.Err() != nil {
		s.mu.Unlock()
		return nil, ErrPoolClosed
	}
	s.wg.Add(1)
	defer s.wg.Done()
	s.mu.Unlock()
	folder, err := p.dir.newProcessFolder(p.dir.owner)
	if err != nil {
		return nil, err
	}
	out := p.newOutput(p.hears())
	out.own = true
	line, err := newLifeline()
	if err != nil {
		folder.remove()
		return nil, err
	}
	ch, err := out.start(func(f *os.File) (*child, error) {
		return startChild(p, folder.socket(), f, line.inherited()...)
	}, &s.wg)
	if err != nil {
		line.close()
		folder.remove()
		return nil, err
	}
	proc, err := newProcess(ch.pid(), newEndpoint(folder, ch.pid()))
	if err == nil {
		if err = line.hold(ch.pid()); err != nil { // what its scripts start ends with phpserve, too
			proc.letGo()
		}
	}
	if err != nil {
		ch.kill()
		out.finish()
		if isGone(err) { // it has ended already, and says better why
			if err = fmt.Errorf("php-cgi %v%s", ch.exit, out.said()); out.mute {
				err = unheardError{err}
			}
		}
		line.close()
		folder.remove()
		return nil, err
	}
	proc.output = out
	s.mu.Lock()
	s.procs[proc] = ch
	closed := s.closed
	s.mu.Unlock()
	if closed { // close did not see it
		ch.end()
	}
	s.wg.Go(func() {
		ch.buried()
		endStrangers(proc.pid, p.php.Path)
		out.finish()
		line.letGo()
		folder.remove()
		s.mu.Lock()
		delete(s.procs, proc)
		s.mu.Unlock()
		proc.said = out.said()
		proc.exited(ch.exit)
	})
	return proc, nil
}

func (s *spawnEngine) owns(proc *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for worker := range s.procs {
		if proc.inGroup(worker.pid) {
			return true
		}
	}
	return false
}

func (s *spawnEngine) nudge() {} // the kernel tells

func (s *spawnEngine) lost() <-chan struct{} { return nil } // there is nothing to lose

func (s *spawnEngine) retire() {}

func (s *spawnEngine) close() {
	s.mu.Lock()
	s.closed = true
	var left []*child
	for _, ch := range s.procs {
		left = append(left, ch)
	}
	s.mu.Unlock()
	for _, ch := range left {
		ch.kill()
	}
	s.wg.Wait()
}

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
	w := &spawned{pool: p, out: p.listen()}
	if err := w.start(&s.wg); err != nil {
		w.release()
		return nil, err
	}
	proc, err := w.takeHold()
	if err != nil {
		w.release()
		return nil, err
	}
	s.mu.Lock()
	s.procs[proc] = w.child
	closed := s.closed
	s.mu.Unlock()
	if closed { // close did not see it
		w.child.end()
	}
	s.wg.Go(func() {
		w.child.buried()
		endStrangers(proc.pid, p.php.Path)
		w.out.finish()
		w.line.letGo()
		w.line = nil
		w.release()
		s.mu.Lock()
		delete(s.procs, proc)
		s.mu.Unlock()
		proc.said = w.out.said()
		proc.exited(w.child.exit)
	})
	return proc, nil
}

// spawned is what belongs to one php-cgi.
type spawned struct {
	pool   *Pool
	out    *output
	folder *processFolder
	line   *lifeline
	child  *child
}

// start starts the php-cgi. Who reads its output is counted in wg.
func (w *spawned) start(wg *sync.WaitGroup) (err error) {
	if w.folder, err = w.pool.dir.newProcessFolder(w.pool.dir.owner); err != nil {
		return err
	}
	if w.line, err = newLifeline(); err != nil {
		return err
	}
	w.child, err = w.out.start(func(f *os.File) (*child, error) {
		return startChild(w.pool, w.folder.socket(), f, w.line.inherited()...)
	}, wg)
	return err
}

// takeHold takes hold of the php-cgi that was started, or ends it.
func (w *spawned) takeHold() (*process, error) {
	proc, err := newProcess(w.child.pid(), newEndpoint(w.folder, w.child.pid()))
	if err == nil {
		if err = w.line.hold(w.child.pid()); err == nil { // what its scripts start ends with phpserve, too
			proc.output = w.out
			return proc, nil
		}
		proc.letGo()
	}
	w.child.kill()
	w.out.finish()
	if isGone(err) { // it has ended already, and says better why
		if err = fmt.Errorf("php-cgi %v%s", w.child.exit, w.out.said()); w.out.mute {
			err = unheardError{err}
		}
	}
	return nil, err
}

// release gives back what the php-cgi had.
func (w *spawned) release() {
	if w.line != nil {
		w.line.close()
	}
	if w.folder != nil {
		w.folder.remove()
	}
	w.pool.stopListening(w.out)
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

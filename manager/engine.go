package manager

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Dialer speaks FastCGI to php-cgi for the manager; package server implements it.
type Dialer interface {
	// Greet connects, runs script on the new connection, which it keeps alive, and returns what the script printed.
	// It returns when ctx ends.
	Greet(ctx context.Context, network, addr, script string) (conn Conn, output string, err error)
	// Launch connects and sends a request for script with params, without FCGI_KEEP_CONN and with the write side of the
	// connection shut down. Reading the result yields what the script prints, on either stream, until the request ends.
	Launch(ctx context.Context, network, addr, script string, params map[string]string) (io.ReadCloser, error)
}

// Conn is the connection of a worker.
type Conn interface {
	// Close ends the connection at once.
	Close() error
	// HangUp ends it behind what the worker has sent: that can still be read, and then comes EOF, although another process
	// may have inherited the worker's end. Other goroutines may be reading and writing meanwhile.
	HangUp()
}

// engine makes worker processes.
type engine interface {
	// spawn starts one worker process, which then waits for a connection at its endpoint.
	spawn(ctx context.Context) (*process, error)
	// owns says whether a process belongs to the engine's process group, or to one of its workers'.
	owns(proc *process) bool
	// nudge asks the engine to look for dead workers now.
	nudge()
	// lost is closed when the engine can make no more workers; those it made go on as nobody's children.
	lost() <-chan struct{}
	// close ends every process of the engine and waits for their ends.
	close()
}

// endpoint is where unattached workers accept a connection: one for all workers of a zygote, one per spawned worker.
type endpoint struct {
	network, addr string
	greetings     map[*greeting]struct{} // under way; guarded by Pool.mu
}

// greeting is one attempt to connect to whichever worker accepts at an endpoint.
type greeting struct{ cancel context.CancelFunc }

func newEndpoint(network, addr string) *endpoint {
	return &endpoint{network: network, addr: addr, greetings: map[*greeting]struct{}{}}
}

// process is one PHP worker process.
type process struct {
	pid      int
	endpoint *endpoint
	started  time.Time
	output   *output // what it writes to; nil: nobody's

	once   sync.Once
	done   chan struct{} // closed at the exit
	status exitStatus    // valid after done
	said   string        // its last words, if it has an output of its own; valid after done

	mu     sync.Mutex  // guards handle
	handle *os.Process // a pidfd where the system has them, so that no recycled pid is ever signalled; nil after the exit
}

func newProcess(pid int, e *endpoint) (*process, error) {
	handle, err := os.FindProcess(pid)
	if err != nil {
		return nil, fmt.Errorf("cannot find worker %d: %v", pid, err)
	}
	return &process{pid: pid, endpoint: e, started: time.Now(), handle: handle, done: make(chan struct{})}, nil
}

// exited records the end of the process; the first report counts.
func (p *process) exited(s exitStatus) {
	p.once.Do(func() {
		p.status = s
		p.mu.Lock()
		_ = p.handle.Release() // the pidfd would stay until the next garbage collection
		p.handle = nil
		p.mu.Unlock()
		if p.output != nil {
			p.output.workerEnded(p.pid)
		}
		close(p.done)
	})
}

// awaitEnd waits for the end of a worker that is nobody's child any more, and records it.
func (p *process) awaitEnd() {
	p.mu.Lock()
	handle := p.handle
	p.mu.Unlock()
	if handle == nil {
		return // reported already
	}
	if err := handle.WithHandle(awaitHandle); err != nil { // the system has no such handles, or it has ended
		awaitByPolling(p.pid)
	}
	buryOrphan(p.pid)
	p.exited(exitStatus{})
}

// signal sends s unless the process is known to be gone.
func (p *process) signal(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handle != nil {
		_ = p.handle.Signal(s) // it may have ended this moment: then there is nobody to tell
	}
}

// exitStatus tells how a process ended.
type exitStatus struct {
	known    bool   // false: it was nobody's child when it ended
	code     int    // exit code, when signal is empty
	signal   string // such as "segmentation fault"
	coreDump bool
}

func (s exitStatus) String() string {
	switch {
	case !s.known:
		return "ended"
	case s.signal != "" && s.coreDump:
		return "ended on signal: " + s.signal + " (core dumped)"
	case s.signal != "":
		return "ended on signal: " + s.signal
	}
	return fmt.Sprintf("exited with code %d", s.code)
}

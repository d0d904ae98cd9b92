package manager

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Dialer speaks FastCGI to php-cgi for the manager; package server implements it.
type Dialer interface {
	// Greet runs script on a new connection, which it owns from then on and keeps alive, and returns what the script printed.
	// It returns when ctx ends.
	Greet(ctx context.Context, nc net.Conn, script string) (conn Conn, output string, err error)
	// Launch sends a request for script with params on a new connection, which it owns from then on, without FCGI_KEEP_CONN and
	// with the write side of the connection shut down. Reading the result yields what the script prints, on either stream,
	// until the request ends.
	Launch(nc net.Conn, script string, params map[string]string) (io.ReadCloser, error)
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
	// retire has the engine make no more workers: it is lost. The spawn engine, which is nothing that could be used up, goes on.
	retire()
	// close ends every process of the engine and waits for their ends.
	close()
}

// greeting is one attempt to connect to whichever worker accepts at an endpoint.
type greeting struct{ cancel context.CancelFunc }

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

	mu     sync.Mutex     // guards handle
	handle *processHandle // nil after the exit
}

// newProcess takes hold of a process. Its error says that the process could not be looked for, or is not there: see [isGone].
func newProcess(pid int, e *endpoint) (*process, error) {
	handle, err := openProcess(pid)
	if err != nil {
		return nil, fmt.Errorf("cannot get hold of process %d: %w", pid, err)
	}
	return &process{pid: pid, endpoint: e, started: time.Now(), handle: handle, done: make(chan struct{})}, nil
}

// exited records the end of the process; the first report counts.
func (p *process) exited(s exitStatus) {
	p.once.Do(func() {
		p.status = s
		p.letGo()
		if p.output != nil {
			p.output.workerEnded(p.pid)
		}
		close(p.done)
	})
}

// letGo gives the handle back.
func (p *process) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handle != nil {
		p.handle.close()
		p.handle = nil
	}
}

// awaitEnd waits until the process has ended, or its end has been reported. It does not bury it.
func (p *process) awaitEnd() {
	p.mu.Lock()
	handle := p.handle
	p.mu.Unlock()
	if handle == nil {
		return // reported already
	}
	handle.wait(p.done)
}

// signal sends s unless the process is known to be gone.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handle != nil {
		p.handle.signal(s) // it may have ended this moment: then there is nobody to tell
	}
}

// isEnding says whether the process has ended or is about to: nothing that is sent to it any more decides how. A process is marked as
// ending before its connections close, so that whoever was told by one knows. False where the system does not tell.
func (p *process) isEnding() bool {
	select {
	case <-p.done:
		return true
	default:
		return isEnding(p.pid)
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

// outsideOrphans calls f, which runs a program, so that the program is not taken for one that phpserve has inherited.
func outsideOrphans(f func()) {
	done := make(chan struct{})
	go offMainThread(func() {
		defer close(done)
		f()
	})
	<-done
}

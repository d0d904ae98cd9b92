package manager

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// State is what a worker is doing. The diagram is in the package documentation.
type State uint8

// The states of a worker.
const (
	StateStarting State = iota // the process exists, its connection does not yet
	StateIdle                  // connected, waiting for a request
	StateBusy                  // running a request
	StateDetached              // its connection was closed in the middle of a request, which may still run
	StateStopping              // asked to end
	StateKilled                // sent SIGKILL
	StateDead                  // its exit was reported
)

func (s State) String() string {
	return [...]string{"starting", "idle", "busy", "detached", "stopping", "killed", "dead"}[s]
}

// transitions lists where each state may lead; see the diagram in doc.go.
var transitions = [...][]State{
	StateStarting: {StateIdle, StateStopping, StateKilled, StateDead},
	StateIdle:     {StateBusy, StateStopping, StateKilled, StateDead},
	StateBusy:     {StateIdle, StateDetached, StateStopping, StateKilled, StateDead},
	StateDetached: {StateIdle, StateStopping, StateKilled, StateDead},
	StateStopping: {StateKilled, StateDead},
	StateKilled:   {StateDead},
	StateDead:     {},
}

// Request is what a busy worker runs.
type Request struct {
	ID, Method, URI, Script string
	// Query is the query string and Name the path of the script in the URI, SCRIPT_NAME, for php-fpm's status page.
	Query, Name string
	// User is the name in Basic credentials.
	User string
	// Client is the address of who asks.
	Client string
	// ContentLength is the length of the body in bytes.
	ContentLength int64
	// Deadline is when the request's script is killed although nobody waits for its response any more; zero: never. Until
	// the worker is given back this is up to the caller.
	Deadline time.Time
}

// Target is the request as php-fpm has it in its log: the path of the script and the query.
func (r *Request) Target() string {
	if r.Query == "" {
		return r.Name
	}
	return r.Name + "?" + r.Query
}

// Worker is one PHP process with its connection. Between [Pool.Acquire] and [Pool.Release] it belongs to the caller.
type Worker struct {
	pool       *Pool
	proc       *process
	generation int
	log        *slog.Logger

	// The fields below are guarded by Pool.mu.
	state     State
	since     time.Time // of the state
	idleSince time.Time // before AcquireIdle took it; else zero
	conn      Conn      // as the Dialer made it; nil while not attached
	wire      *wire     // below conn
	request   Request
	requests  int // served so far
	limit     int // pm.max_requests with its jitter; 0: none
	killCause string
	// killedWhile is the state before killed, and killSent says that the process was alive when it was sent SIGKILL.
	killedWhile State
	killSent    bool
	surplus     bool // ended because there were too many
	account     accounting
	slowTimer   *time.Timer // of request_slowlog_timeout
	untouched   bool        // it was killed before it had read a byte of its request
	runs        bool        // it has been seen to run its request
	client      netip.Addr  // whom it serves, as AcquireFor had it; still when its connection was given up

	heirs     *heirs // what its scripts left; nil: the system does not tell
	inherited uint64 // of orphans.count, when its connection was new
}

// PID is the process id of the worker.
func (w *Worker) PID() int { return w.proc.pid }

// Conn is the connection that [Dialer.Greet] made.
func (w *Worker) Conn() Conn { return w.conn }

// Done is closed when the worker's process has ended.
func (w *Worker) Done() <-chan struct{} { return w.proc.done }

// ExitText tells how the worker's process ended, once Done is closed.
func (w *Worker) ExitText() string {
	select {
	case <-w.proc.done:
		return w.proc.status.String()
	default:
		return "is still running"
	}
}

// transition changes the state. Pool.mu must be held.
func (w *Worker) transition(to State) {
	if slices.Contains(transitions[w.state], to) {
		if to != StateBusy && to != StateDetached {
			w.serve(netip.Addr{})
		}
		w.pool.count[w.state]--
		w.pool.count[to]++
		w.state, w.since = to, time.Now()
		if to == StateIdle && !w.idleSince.IsZero() {
			w.since, w.idleSince = w.idleSince, time.Time{}
		}
		if to == StateBusy {
			w.pool.stats.MaxActive = max(w.pool.stats.MaxActive, w.pool.active())
		}
		return
	}
	panic(fmt.Sprintf("internal error: worker %d cannot go from %v to %v", w.proc.pid, w.state, to))
}

// serve notes whom the worker serves from now on; the zero address: nobody that is known. Pool.mu must be held.
func (w *Worker) serve(client netip.Addr) {
	w.pool.queue.gave(w.client)
	w.client = client
	w.pool.queue.took(client)
}

// unattached says whether the worker waits for a greeting.
func (w *Worker) unattached() bool { return w.state == StateStarting || w.state == StateDetached }

// Begin tells the pool what the worker is about to run.
func (w *Worker) Begin(r Request) {
	cpu, _ := processorTime(w.proc.pid) // an error is a process that is gone, or a system that does not tell
	w.pool.mu.Lock()
	w.request, w.runs = r, false
	w.account.begin(cpu)
	w.watchSlow()
	w.pool.mu.Unlock()
}

// silent says that nothing has come from the worker since its last answer. One from which something has is ended.
func (w *Worker) silent() bool {
	err := w.wire.quiet()
	if !errors.Is(err, errUnasked) {
		return true // also one that has ended meanwhile: the request shows it
	}
	w.log.Error("something came from an idle worker, and the worker is ended: a script has forked and both go on, or it has started " +
		"a program that writes where it should not")
	w.Kill(err.Error())
	w.conn.Close()
	w.pool.nudge()
	return false
}

// Untouched says that the worker was ended before it had read a byte of its request, which can so be given to another.
func (w *Worker) Untouched() bool {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	return w.untouched
}

// answeredBy ends a worker on whose connection another process has written.
func (w *Worker) answeredBy(pid int) {
	w.log.Error("another process wrote on the worker's connection, and the worker is ended: a script has forked and both go on, "+
		"or it has started a program that writes where it should not", "writer", pid)
	w.Kill("process " + strconv.Itoa(pid) + " wrote on its connection")
}

// Kill ends the worker's process at once; cause is logged with its exit.
func (w *Worker) Kill(cause string) {
	w.pool.mu.Lock()
	kill := w.markKilled(cause)
	w.pool.mu.Unlock()
	if kill {
		w.sendKill()
	}
}

// sendKill ends the process of a worker that has been marked as killed.
func (w *Worker) sendKill() {
	if !w.proc.isEnding() {
		w.pool.mu.Lock()
		w.killSent = true
		w.pool.mu.Unlock()
	}
	w.proc.signal(syscall.SIGKILL)
}

// markKilled makes the state killed and says whether the caller is now to call sendKill. Pool.mu must be held.
func (w *Worker) markKilled(cause string) bool {
	switch w.state {
	case StateKilled, StateDead:
		return false
	case StateStopping:
	default:
		w.pool.toReplace++
	}
	w.killedWhile = w.state
	w.transition(StateKilled)
	w.killCause = cause
	return true
}

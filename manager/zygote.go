package manager

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// zygoteStartTimeout is how long php-cgi may take from its start until its zygote script reports.
	zygoteStartTimeout = 20 * time.Second
	// forkTimeout is how long a zygote may take to fork a worker. One that takes longer has been stopped or hangs.
	forkTimeout = 10 * time.Second
	// commandQueue is how many commands may wait for a zygote that does not read them.
	commandQueue = 1024
)

// errZygoteEnded is the answer to who waits for a worker when the zygote ends.
var errZygoteEnded = errors.New("the zygote ended")

// zygoteEngine forks workers from one php-cgi that runs runtime/zygote.php.
type zygoteEngine struct {
	log      *slog.Logger
	endpoint *endpoint
	socket   *os.File // the workers' listening socket
	child    *child   // the zygote
	lifeline *lifeline
	output   *output // what it and the workers write to fd 1 and 2
	control  net.Conn
	commands chan byte
	boot     io.ReadCloser  // the zygote's request
	gone     chan struct{}  // closed when the control connection ended
	closing  sync.Once      // of control
	wg       sync.WaitGroup // goroutines that end with the zygote, and the one that reads output
	orphans  sync.WaitGroup // those that wait for workers that have outlived it

	mu      sync.Mutex // guards the fields below
	procs   map[int]*process
	waiting []*forking // callers of spawn, in order
	ended   bool
}

// forking is one call of spawn.
type forking struct {
	result    chan forked // capacity 1
	abandoned bool        // nobody takes the result; guarded by zygoteEngine.mu
}

type forked struct {
	proc *process
	err  error
}

// newZygote starts a pool's zygote; generation tells apart the sockets of one after the other.
func newZygote(ctx context.Context, p *Pool, generation int) (*zygoteEngine, error) {
	ctx, cancel := context.WithTimeout(ctx, zygoteStartTimeout)
	defer cancel()
	addr := p.dir.file(fmt.Sprintf("php-%d.sock", generation))
	socket, err := listenPool(addr)
	if err != nil {
		return nil, err
	}
	line, err := newLifeline()
	if err != nil {
		socket.Close()
		return nil, err
	}
	z := &zygoteEngine{
		log: p.log, endpoint: newEndpoint("unix", addr), socket: socket, lifeline: line, output: newOutput(p.log, p.php.startup...),
		gone: make(chan struct{}), procs: map[int]*process{}, commands: make(chan byte, commandQueue),
	}
	if z.child, err = z.output.start(func(out *os.File) (*child, error) {
		// SIGTERM, not SIGKILL: the zygote must live to see its control connection close and to end its workers; a
		// php-cgi that is not yet a zygote ends by it.
		return startChild(p, socket, out, syscall.SIGTERM, line.inherited()...)
	}, &z.wg); err != nil {
		line.close()
		socket.Close()
		return nil, err
	}
	err = line.hold(z.child.cmd.Process.Pid)
	if err == nil {
		err = z.connect(ctx, p, generation)
	}
	if err != nil {
		z.child.kill()
		z.release()
		return nil, fmt.Errorf("%v%s", err, z.output.said())
	}
	p.forgetEnvironment(z.child.cmd.Process.Pid) // it has no worker yet, and waits for commands
	z.wg.Go(z.listen)
	z.wg.Go(z.command)
	return z, nil
}

// connect runs the zygote script and waits until it has dialled back and is ready to fork.
func (z *zygoteEngine) connect(ctx context.Context, p *Pool, generation int) error {
	path := p.dir.file(fmt.Sprintf("control-%d.sock", generation))
	dials, params := p.dir.owner, map[string]string{}
	if p.late {
		dials, params = nil, p.cfg.lateDropParams(p.dir.owner)
	}
	params["PHPSERVE_CONTROL"] = "unix://" + path
	listener, err := listenControl(path, dials)
	if err != nil {
		return err
	}
	defer listener.Close()
	z.boot, err = p.dialer.Launch(ctx, "unix", z.endpoint.addr, p.dir.file(bootDir, "zygote.php"), params)
	if err != nil {
		return fmt.Errorf("[pool %s] cannot start the zygote: %v", p.cfg.Name, err)
	}
	scriptEnded := make(chan string, 1)
	z.wg.Go(func() {
		said, _ := io.ReadAll(io.LimitReader(z.boot, 8192)) // the error is the connection's end
		scriptEnded <- strings.TrimSpace(string(said))
	})
	type accepted struct {
		conn net.Conn
		err  error
	}
	dialled := make(chan accepted, 1)
	z.wg.Go(func() {
		conn, err := acceptReady(listener.(*net.UnixListener), z.child.cmd.Process.Pid)
		dialled <- accepted{conn, err}
	})
	fail := func(why string) error {
		listener.Close()
		if a := <-dialled; a.conn != nil {
			a.conn.Close()
		}
		return fmt.Errorf("[pool %s] cannot start the zygote: %s", p.cfg.Name, why)
	}
	select {
	case a := <-dialled:
		z.control = a.conn
		return a.err
	case said := <-scriptEnded:
		return fail("its script ended: " + said)
	case <-z.child.done:
		return fail("php-cgi " + z.child.exit.String())
	case <-ctx.Done():
		return fail("it did not report in time")
	}
}

// acceptReady accepts the zygote's connection and its first line. Only the process that was started may be at the other
// end: any script of the same user could connect too.
func acceptReady(l *net.UnixListener, pid int) (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, fmt.Errorf("cannot accept the zygote's connection: %v", err)
		}
		if peer, err := peerPID(conn); err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && peer != pid {
			conn.Close()
			continue
		}
		want := fmt.Sprintf("ready %d\n", pid)
		got := make([]byte, len(want))
		conn.SetReadDeadline(time.Now().Add(zygoteStartTimeout))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			conn.Close()
			return nil, fmt.Errorf("cannot start the zygote: it said %q instead of %q", got, want)
		}
		conn.SetReadDeadline(time.Time{})
		return conn, nil
	}
}

// command writes the commands to the zygote, which may have been stopped and read nothing.
func (z *zygoteEngine) command() {
	for {
		select {
		case c := <-z.commands:
			if _, err := z.control.Write([]byte{c}); err != nil {
				return // listen notices
			}
		case <-z.gone:
			return
		}
	}
}

// listen reads the zygote's reports until the control connection ends.
func (z *zygoteEngine) listen() {
	lines := bufio.NewScanner(z.control)
	for lines.Scan() {
		if err := z.report(lines.Text()); err != nil {
			// Whoever speaks there is no zygote of ours any more: a script can make another process of its user say anything
			// (ptrace(2)).
			z.log.Error("the zygote is not to be trusted and is ended", "error", err)
			_ = z.child.cmd.Process.Kill() // an error means that it has ended
			break
		}
	}
	z.hangUp()
	z.mu.Lock()
	z.ended = true
	for _, f := range z.waiting {
		f.result <- forked{err: errZygoteEnded}
	}
	z.waiting = nil
	orphans := z.procs
	z.procs = map[int]*process{}
	z.mu.Unlock()
	for _, proc := range orphans {
		z.orphans.Go(func() {
			proc.awaitEnd()
			proc.exited(exitStatus{})
		})
	}
	close(z.gone)
}

// report handles one line of the zygote. An error is something that a zygote does not say.
func (z *zygoteEngine) report(line string) error {
	nonsense := fmt.Errorf("it reported %q", line)
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "forked":
		pid, err := strconv.Atoi(rest)
		if err != nil || pid <= 1 {
			return nonsense
		}
		proc, err := newProcess(pid, z.endpoint)
		if err == nil && !proc.isChildOf(z.child.cmd.Process.Pid) {
			return fmt.Errorf("it reported process %d, which is not its child, as a worker", pid)
		}
		if err == nil {
			proc.output = z.output
		}
		z.mu.Lock()
		defer z.mu.Unlock()
		if z.procs[pid] != nil || len(z.waiting) == 0 {
			return nonsense
		}
		if err == nil {
			z.procs[pid] = proc
		}
		z.answer(forked{proc, err})
	case "failed":
		z.mu.Lock()
		defer z.mu.Unlock()
		if len(z.waiting) == 0 {
			return nonsense
		}
		z.answer(forked{err: fmt.Errorf("cannot fork a worker: %s", rest)})
	case "exited":
		var pid int
		var status uint32
		if _, err := fmt.Sscanf(rest, "%d %d", &pid, &status); err != nil {
			return nonsense
		}
		z.mu.Lock()
		proc := z.procs[pid]
		delete(z.procs, pid)
		z.mu.Unlock()
		if proc != nil {
			proc.exited(waitStatus(status))
		}
	default:
		return nonsense
	}
	return nil
}

// answer gives f to the caller of spawn that has waited longest, which there must be. z.mu must be held.
func (z *zygoteEngine) answer(f forked) {
	first := z.waiting[0]
	z.waiting = z.waiting[1:]
	if !first.abandoned {
		first.result <- f
	} else if f.proc != nil {
		f.proc.signal(syscall.SIGKILL)
	}
}

func (z *zygoteEngine) spawn(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, forkTimeout)
	defer cancel()
	f := &forking{result: make(chan forked, 1)}
	z.mu.Lock()
	if z.ended {
		z.mu.Unlock()
		return nil, errZygoteEnded
	}
	// Under the lock, so that answers come in the order of the callers.
	select {
	case z.commands <- 'f':
		z.waiting = append(z.waiting, f)
	default:
		z.mu.Unlock()
		return nil, errors.New("the zygote does not take commands")
	}
	z.mu.Unlock()
	select {
	case r := <-f.result:
		return r.proc, r.err
	case <-ctx.Done():
	}
	z.mu.Lock()
	select {
	case r := <-f.result: // at the same moment
		z.mu.Unlock()
		return r.proc, r.err
	default:
	}
	f.abandoned = true
	z.mu.Unlock()
	// SIGKILL ends also a process that SIGSTOP has stopped; listen then sees its end, and another one takes its place.
	_ = z.child.cmd.Process.Kill() // an error means that it has ended
	return nil, fmt.Errorf("the zygote did not fork within %v and is ended", forkTimeout)
}

func (z *zygoteEngine) owns(proc *process) bool { return proc.inGroup(z.child.cmd.Process.Pid) }

func (z *zygoteEngine) nudge() {
	select {
	case z.commands <- 'r':
	default: // it has enough to do
	}
}

func (z *zygoteEngine) lost() <-chan struct{} { return z.gone }

// hangUp closes the control connection, which ends a zygote.
func (z *zygoteEngine) hangUp() { z.closing.Do(func() { z.control.Close() }) }

// close ends the zygote, which ends its workers, and waits for all of them.
func (z *zygoteEngine) close() {
	z.hangUp()
	select {
	case <-z.child.done:
	case <-time.After(2 * time.Second):
		z.child.kill()
	}
	<-z.gone
	z.release()
}

// release waits for the goroutines and gives back what the engine held.
func (z *zygoteEngine) release() {
	if z.boot != nil {
		z.boot.Close()
	}
	z.orphans.Wait() // they may still write
	z.output.finish()
	z.wg.Wait()
	z.lifeline.close()
	z.socket.Close()
	_ = os.Remove(z.endpoint.addr)
}

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

// zygoteStartTimeout is how long php-cgi may take from its start until its zygote script reports.
const zygoteStartTimeout = 20 * time.Second

// zygoteEngine forks workers from one php-cgi that runs runtime/zygote.php.
type zygoteEngine struct {
	log      *slog.Logger
	endpoint *endpoint
	socket   *os.File // the workers' listening socket
	child    *child   // the zygote
	lifeline *lifeline
	output   *output // what it and the workers write to fd 1 and 2
	control  net.Conn
	boot     io.ReadCloser  // the zygote's request
	gone     chan struct{}  // closed when the control connection ended
	wg       sync.WaitGroup // goroutines that end with the zygote, and the one that reads output
	orphans  sync.WaitGroup // those that wait for workers that have outlived it

	mu      sync.Mutex // guards the fields below
	procs   map[int]*process
	waiting []chan forked // callers of spawn, in order
	ended   bool
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
		log: p.log, endpoint: newEndpoint("unix", addr), socket: socket, lifeline: line, output: newOutput(p.log),
		gone: make(chan struct{}), procs: map[int]*process{},
	}
	if z.child, err = z.output.start(func(out *os.File) (*child, error) {
		// SIGTERM, not SIGKILL: the zygote must live to see its control connection close and to end its workers; a
		// php-cgi that is not yet a zygote ends by it.
		return startChild(&p.cfg, p.php, p.dir, socket, out, syscall.SIGTERM, line.inherited()...)
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
		return nil, fmt.Errorf("%v%s", err, z.output.lines())
	}
	z.wg.Go(z.listen)
	return z, nil
}

// connect runs the zygote script and waits until it has dialled back and is ready to fork.
func (z *zygoteEngine) connect(ctx context.Context, p *Pool, generation int) error {
	path := p.dir.file(fmt.Sprintf("control-%d.sock", generation))
	listener, err := listenControl(path, p.dir.owner)
	if err != nil {
		return err
	}
	defer listener.Close()
	z.boot, err = p.dialer.Launch(ctx, "unix", z.endpoint.addr, p.dir.file(bootDir, "zygote.php"),
		map[string]string{"PHPSERVE_CONTROL": "unix://" + path})
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

// listen reads the zygote's reports until the control connection ends.
func (z *zygoteEngine) listen() {
	lines := bufio.NewScanner(z.control)
	for lines.Scan() {
		z.report(lines.Text())
	}
	z.mu.Lock()
	z.ended = true
	for _, ch := range z.waiting {
		ch <- forked{err: errors.New("the zygote ended")}
	}
	z.waiting = nil
	orphans := z.procs
	z.procs = map[int]*process{}
	z.mu.Unlock()
	for _, proc := range orphans {
		z.orphans.Go(func() {
			awaitOrphan(proc.pid)
			proc.exited(exitStatus{})
		})
	}
	close(z.gone)
}

// report handles one line of the zygote.
func (z *zygoteEngine) report(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "forked":
		pid, err := strconv.Atoi(rest)
		if err != nil || pid <= 0 {
			z.log.Error("the zygote reported nonsense", "line", line)
			return
		}
		proc, err := newProcess(pid, z.endpoint)
		z.mu.Lock()
		if err == nil {
			z.procs[pid] = proc
		}
		z.answer(forked{proc, err})
		z.mu.Unlock()
	case "failed":
		z.mu.Lock()
		z.answer(forked{err: fmt.Errorf("cannot fork a worker: %s", rest)})
		z.mu.Unlock()
	case "exited":
		var pid int
		var status uint32
		if _, err := fmt.Sscanf(rest, "%d %d", &pid, &status); err != nil {
			z.log.Error("the zygote reported nonsense", "line", line)
			return
		}
		z.mu.Lock()
		proc := z.procs[pid]
		delete(z.procs, pid)
		z.mu.Unlock()
		if proc != nil {
			proc.exited(waitStatus(status))
		}
	default:
		z.log.Error("the zygote reported nonsense", "line", line)
	}
}

// answer gives f to the caller of spawn that has waited longest. z.mu must be held.
func (z *zygoteEngine) answer(f forked) {
	if len(z.waiting) == 0 {
		return
	}
	z.waiting[0] <- f
	z.waiting = z.waiting[1:]
}

func (z *zygoteEngine) spawn(ctx context.Context) (*process, error) {
	ch := make(chan forked, 1)
	z.mu.Lock()
	if z.ended {
		z.mu.Unlock()
		return nil, errors.New("the zygote ended")
	}
	z.waiting = append(z.waiting, ch)
	// Under the lock, so that answers come in the order of the callers; one byte never blocks on a unix socket.
	_, err := z.control.Write([]byte{'f'})
	z.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("cannot ask the zygote for a worker: %v", err)
	}
	select {
	case f := <-ch:
		return f.proc, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (z *zygoteEngine) nudge() {
	_, _ = z.control.Write([]byte{'r'}) // a zygote that is gone is noticed by listen
}

func (z *zygoteEngine) lost() <-chan struct{} { return z.gone }

// close ends the zygote, which ends its workers, and waits for all of them.
func (z *zygoteEngine) close() {
	z.control.Close()
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

package manager

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// zygoteStartTimeout is how long php-cgi may take from its start until its zygote script reports, of time of its own.
	zygoteStartTimeout = 20 * time.Second
	// forkTimeout is how long a zygote may take to fork a worker, of time of its own. One that takes longer has been stopped or hangs.
	forkTimeout = 10 * time.Second
	// commandQueue is how many commands may wait for a zygote that does not read them.
	commandQueue = 1024
	// burialPatience is how long a zygote may take to tell how a worker ended that has ended.
	burialPatience = 2 * time.Second
)

// errZygoteEnded is the answer to who waits for a worker when the zygote ends.
var errZygoteEnded = errors.New("the zygote ended")

// zygoteEngine forks workers from one php-cgi that runs runtime/zygote.php.
type zygoteEngine struct {
	pool     *Pool
	log      *slog.Logger
	endpoint *endpoint // where the workers accept
	child    *child    // the zygote
	lifeline *lifeline
	output   *output        // what it and the workers write to fd 1 and 2
	control  io.WriteCloser // the pipe for commands to the zygote
	answers  io.ReadCloser  // the pipe for what it answers
	commands chan byte
	boot     io.ReadCloser  // the zygote's request
	gone     chan struct{}  // closed when the zygote ended
	wg       sync.WaitGroup // goroutines that end with the zygote, and the one that reads output
	orphans  sync.WaitGroup // those that wait for workers that have outlived it

	mu      sync.Mutex // guards the fields below
	procs   map[int]*process
	unseen  []int      // processes that it has forked and that phpserve could not look at, see endUnseen
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

// newZygote starts a pool's zygote. heard says whether its output and that of its workers is read.
func newZygote(ctx context.Context, p *Pool, heard bool) (z *zygoteEngine, err error) {
	maker := p.dir.owner
	if p.late {
		maker = nil // root makes its socket itself
	}
	folder, err := p.dir.newProcessFolder(maker)
	if err != nil {
		return nil, err
	}
	line, err := newLifeline()
	if err != nil {
		folder.remove()
		return nil, err
	}
	z = &zygoteEngine{
		pool: p, log: p.log, lifeline: line, output: p.newOutput(heard),
		gone: make(chan struct{}), procs: map[int]*process{}, commands: make(chan byte, commandQueue),
	}
	if z.child, err = z.output.start(func(out *os.File) (*child, error) {
		return startChild(p, folder.socket(), out, line.inherited()...)
	}, &z.wg); err != nil {
		line.close()
		folder.remove()
		return nil, err
	}
	z.endpoint = newEndpoint(folder, z.child.pid())
	z.endpoint.zygote = true
	if err = line.hold(z.child.pid()); err == nil {
		patient, stop := withPatience(ctx, z.child.pid(), zygoteStartTimeout)
		err = z.boots(patient, p, maker)
		stop()
	}
	if err != nil {
		z.child.kill()
		z.release()
		return nil, fmt.Errorf("[pool %s] cannot start the zygote: %w%s", p.cfg.Name, err, z.output.said())
	}
	z.wg.Go(func() {
		<-z.child.done
		z.answers.Close() // ends listen, also where a process that the zygote forked holds the pipe
	})
	z.wg.Go(z.listen)
	z.wg.Go(z.command)
	return z, nil
}

// boots runs the zygote script and waits until it is ready to fork.
func (z *zygoteEngine) boots(ctx context.Context, p *Pool, maker *credential) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	z.wg.Go(func() { // what is waited for does not come any more
		select {
		case <-z.child.done:
			cancel()
		case <-ctx.Done():
		}
	})
	folder := z.endpoint.folder
	control, err := makePipe(filepath.Join(folder.path, commandsFile), maker)
	if err != nil {
		return err
	}
	z.control = control
	answers, err := makePipe(filepath.Join(folder.path, answersFile), maker)
	if err != nil {
		return err
	}
	z.answers = answers
	failed := func(err error) error {
		select {
		case <-z.child.done:
			return fmt.Errorf("php-cgi %s", z.child.exit)
		default:
		}
		return err
	}
	nc, err := z.endpoint.dial(ctx)
	if err != nil {
		return failed(fmt.Errorf("php-cgi does not listen: %w", err))
	}
	params := map[string]string{}
	if p.late {
		params = p.cfg.lateDropParams(p.dir.owner)
	}
	params["PHPSERVE_COMMANDS"] = filepath.Join(folder.path, commandsFile)
	params["PHPSERVE_ANSWERS"] = filepath.Join(folder.path, answersFile)
	if z.boot, err = p.dialer.Launch(nc, p.dir.file(bootDir, "zygote.php"), params); err != nil {
		return failed(err)
	}
	scriptEnded := make(chan string, 1)
	z.wg.Go(func() {
		said, _ := io.ReadAll(io.LimitReader(z.boot, 8192)) // the error is the connection's end
		scriptEnded <- strings.TrimSpace(string(said))
		_, _ = io.Copy(io.Discard, z.boot) // it must not wait for who does not read
	})
	// The zygote's first answer ends the wait, or the end of its script or of php-cgi.
	stop := context.AfterFunc(ctx, func() { _ = answers.SetReadDeadline(time.Now()) })
	defer stop()
	ready := make(chan error, 1)
	z.wg.Go(func() { ready <- z.getReady(p, answers) })
	select {
	case err = <-ready:
	case said := <-scriptEnded:
		cancel()
		if err = <-ready; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("its script ended: %s", said)
		}
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errors.New("it did not report in time")
		}
		return failed(err)
	}
	if err := z.endpoint.takeBack(); err != nil {
		return err
	}
	folder.removePipes()
	if p.late {
		return checkDropped(z.child.pid(), p.dir.owner)
	}
	return nil
}

// getReady waits until the zygote says that it can fork, or why not.
func (z *zygoteEngine) getReady(p *Pool, answers io.Reader) error {
	line, err := readLine(answers)
	if err == nil && p.late && line == "root" {
		p.forgetEnvironment(z.child.pid()) // afterwards it belongs to nobody who may
		if _, err = z.control.Write([]byte{'d'}); err == nil {
			line, err = readLine(answers)
		}
	}
	why, failed := strings.CutPrefix(line, "failed ")
	switch {
	case err != nil:
		return err
	case failed:
		return errors.New("it " + why)
	case line != "ready":
		return fmt.Errorf("it said %q instead of \"ready\"", line)
	case !p.late:
		p.forgetEnvironment(z.child.pid()) // it has no worker yet, and waits for commands
	}
	return nil
}

// readLine reads a line and no byte behind it.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for len(line) < 1024 {
		var c [1]byte
		if _, err := io.ReadFull(r, c[:]); err != nil {
			return "", err
		}
		if c[0] == '\n' {
			break
		}
		line = append(line, c[0])
	}
	return string(line), nil
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

// listen reads the zygote's answers until it ends.
func (z *zygoteEngine) listen() {
	lines := bufio.NewScanner(z.answers)
	for lines.Scan() {
		if err := z.report(lines.Text()); err != nil {
			// Whoever speaks there is no zygote of ours any more: a script can make another process of its user say anything
			// (ptrace(2)).
			z.log.Error("the zygote is not to be trusted and is ended", "error", err)
			break
		}
	}
	_ = z.child.cmd.Process.Kill() // an error means that it has ended
	<-z.child.done
	z.mu.Lock()
	z.ended = true
	for _, f := range z.waiting {
		f.result <- forked{err: errZygoteEnded}
	}
	z.waiting = nil
	left := z.procs
	z.procs = map[int]*process{}
	z.mu.Unlock()
	for _, proc := range left {
		z.orphans.Go(func() {
			proc.awaitEnd()
			proc.exited(bury(proc.pid)) // to whom the kernel gave it
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
		return z.reportForked(pid)
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
		if proc := z.forget(pid); proc != nil {
			proc.exited(waitStatus(status))
		}
	default:
		return nonsense
	}
	return nil
}

// reportForked takes in a new worker, after a look at whether it is one.
func (z *zygoteEngine) reportForked(pid int) error {
	proc, err := z.look(pid)
	if errors.Is(err, errNoChild) {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.procs[pid] != nil || len(z.waiting) == 0 {
		return fmt.Errorf("it reported %q", fmt.Sprint("forked ", pid))
	}
	switch {
	case err == nil:
		proc.output = z.output
		z.procs[pid] = proc
		z.orphans.Go(func() { z.await(proc) })
	case !isGone(err):
		z.unseen = append(z.unseen, pid)
	}
	z.answer(forked{proc, err})
	return nil
}

// errNoChild is a process that a zygote called its child and that is not.
var errNoChild = errors.New("it reported a process that is not its child as a worker")

// look takes hold of a process that the zygote says to have forked. Who asks after the process has a handle is told about that
// very process.
func (z *zygoteEngine) look(pid int) (*process, error) {
	proc, err := newProcess(pid, z.endpoint)
	if err != nil {
		return nil, err
	}
	parent, err := parentOf(pid)
	switch {
	case err == nil && parent != z.child.pid():
		err = errNoChild
	case errors.Is(err, errors.ErrUnsupported) || isGone(err): // one that has ended and been buried meanwhile can do nobody harm
		err = nil
	}
	if err != nil {
		proc.letGo()
		return nil, err
	}
	return proc, nil
}

// endUnseen ends the workers that could not be looked at when they were forked, for want of descriptors, for example: they wait for
// requests that they will not get.
func (z *zygoteEngine) endUnseen() {
	z.mu.Lock()
	unseen := z.unseen
	z.unseen = nil
	z.mu.Unlock()
	for _, pid := range unseen {
		proc, err := z.look(pid)
		switch {
		case err == nil:
			proc.signal(syscall.SIGKILL)
			proc.letGo()
		case !isGone(err) && !errors.Is(err, errNoChild):
			z.mu.Lock()
			z.unseen = append(z.unseen, pid)
			z.mu.Unlock()
		}
	}
}

// forget takes a worker off the list, and returns it if it was there.
func (z *zygoteEngine) forget(pid int) *process {
	z.mu.Lock()
	defer z.mu.Unlock()
	proc := z.procs[pid]
	delete(z.procs, pid)
	return proc
}

// await waits for the end of a worker and has the zygote tell how it ended.
func (z *zygoteEngine) await(proc *process) {
	proc.awaitEnd()
	z.nudge()
	select {
	case <-proc.done:
	case <-z.gone: // listen has left it to another
	case <-time.After(burialPatience):
		if z.forget(proc.pid) == proc { // such as by a zygote that has been stopped
			proc.exited(exitStatus{})
		}
	}
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
	f := &forking{result: make(chan forked, 1)}
	z.endUnseen()
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
	ctx, stop := withPatience(ctx, z.child.pid(), forkTimeout)
	defer stop()
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
	if context.Cause(ctx) != errHangs {
		return nil, context.Cause(ctx)
	}
	// SIGKILL ends also a process that SIGSTOP has stopped; listen then sees its end, and another one takes its place.
	_ = z.child.cmd.Process.Kill() // an error means that it has ended
	return nil, fmt.Errorf("the zygote did not fork within %v and is ended", forkTimeout)
}

func (z *zygoteEngine) owns(proc *process) bool { return proc.inGroup(z.child.pid()) }

func (z *zygoteEngine) nudge() {
	select {
	case z.commands <- 'r':
	default: // it has enough to do
	}
}

func (z *zygoteEngine) lost() <-chan struct{} { return z.gone }

// retire ends the zygote and lets its workers be.
func (z *zygoteEngine) retire() { _ = z.child.cmd.Process.Kill() } // an error means that it has ended

// close ends the zygote, and its workers unless they have outlived another end of it, and waits for all of them.
func (z *zygoteEngine) close() {
	z.mu.Lock()
	var left []*process
	for _, proc := range z.procs {
		left = append(left, proc)
	}
	z.mu.Unlock()
	for _, proc := range left {
		proc.signal(syscall.SIGKILL)
	}
	z.child.kill()
	<-z.gone
	z.release()
}

// release waits for the goroutines and gives back what the engine held.
func (z *zygoteEngine) release() {
	if z.boot != nil {
		z.boot.Close()
	}
	for _, pipe := range []io.Closer{z.control, z.answers} {
		if pipe != nil {
			pipe.Close()
		}
	}
	z.orphans.Wait() // they may still write
	z.output.finish()
	z.wg.Wait()
	if z.pool.stops() {
		z.lifeline.close()
	} else { // what scripts left in the background goes on, but for copies of php-cgi that wait for requests
		endStrangers(z.child.pid(), z.pool.php.Path)
		z.lifeline.letGo()
	}
	z.endpoint.folder.remove()
}

package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
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
		z.child.buried()
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
	answers, err := z.makePipes(folder, maker)
	if err != nil {
		return err
	}
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
	if err = z.launch(p, nc); err == nil {
		err = z.awaitReady(ctx, cancel, p, answers)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("it did not report in time")
	}
	if err != nil {
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

// makePipes makes the pipes between phpserve and the zygote, and returns that for its answers.
func (z *zygoteEngine) makePipes(folder *processFolder, maker *credential) (answers *os.File, err error) {
	control, err := makePipe(filepath.Join(folder.path, commandsFile), maker)
	if err != nil {
		return nil, err
	}
	z.control = control
	if answers, err = makePipe(filepath.Join(folder.path, answersFile), maker); err != nil {
		return nil, err
	}
	z.answers = answers
	return answers, nil
}

// launch has php-cgi run the zygote script.
func (z *zygoteEngine) launch(p *Pool, nc net.Conn) (err error) {
	folder, params := z.endpoint.folder, map[string]string{}
	if p.late {
		params = p.cfg.lateDropParams(p.dir.owner)
	}
	params["PHPSERVE_COMMANDS"] = filepath.Join(folder.path, commandsFile)
	params["PHPSERVE_ANSWERS"] = filepath.Join(folder.path, answersFile)
	z.boot, err = p.dialer.Launch(nc, p.dir.file(bootDir, "zygote.php"), params)
	return err
}

// awaitReady waits for the zygote's first answer, or the end of its script or of php-cgi. cancel ends ctx.
func (z *zygoteEngine) awaitReady(ctx context.Context, cancel func(), p *Pool, answers *os.File) error {
	scriptEnded := make(chan string, 1)
	z.wg.Go(func() {
		said, _ := io.ReadAll(io.LimitReader(z.boot, 8192)) // the error is the connection's end
		scriptEnded <- strings.TrimSpace(string(said))
		_, _ = io.Copy(io.Discard, z.boot) // it must not wait for who does not read
	})
	stop := context.AfterFunc(ctx, func() { _ = answers.SetReadDeadline(time.Now()) })
	defer stop()
	ready := make(chan error, 1)
	z.wg.Go(func() { ready <- z.getReady(p, answers) })
	select {
	case err := <-ready:
		return err
	case said := <-scriptEnded:
		cancel()
		if err := <-ready; err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		return fmt.Errorf("its script ended: %s", said)
	}
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

// errNoChild is a process that a zygote called its child and that is not.
var errNoChild = errors.New("it reported a process that is not its child as a worker")

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
	z.child.end()
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
func (z *zygoteEngine) retire() { z.child.end() }

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

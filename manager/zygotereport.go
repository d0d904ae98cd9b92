package manager

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

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
	z.child.end()
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

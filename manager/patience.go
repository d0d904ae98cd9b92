package manager

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

// A limit on how long PHP may take is there to find a PHP that hangs. On a machine whose processors are busy a healthy one takes any
// time, and more of them would not help: so these limits count only the time in which the process could have gone on, and the clock only
// as a last resort.

// errHangs is why a context of [withPatience] ended.
var errHangs = errors.New("it hangs")

// patienceLooks is how often a process is looked at within its limit.
const patienceLooks = 20

// withPatience is ctx until a process has had so much time of its own, see [ownTime]. The caller calls stop when it is done with it.
func withPatience(ctx context.Context, pid int, limit time.Duration) (patient context.Context, stop func()) {
	patient, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if hangs(patient, pid, limit) {
			cancel(errHangs)
		}
	}()
	return patient, func() {
		cancel(nil)
		<-done
	}
}

// hangs waits until the process has had its time. It says false if ctx ends before.
func hangs(ctx context.Context, pid int, limit time.Duration) bool {
	p := newPatience(pid, limit)
	defer p.looks.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-p.looks.C:
			if p.look() {
				return true
			}
		}
	}
}

// patience measures the time that one process has had.
type patience struct {
	looks      *time.Ticker                      // when to call look
	own        func(time.Duration) time.Duration // how much of the time since the last look was the process's own
	last       time.Time                         // of the last look
	had, limit time.Duration
	clock      time.Duration // the time that has passed, own or not
}

func newPatience(pid int, limit time.Duration) *patience {
	own := ownTime{pid: pid}
	return &patience{looks: time.NewTicker(limit / patienceLooks), own: own.of, last: time.Now(), limit: limit}
}

// clockLimit is how many times its limit a process may take by the clock: there are ways to hang that take all the time that is not the
// process's own, and kernels that do not count it.
const clockLimit = 20

// look says whether the process has had its time.
func (p *patience) look() bool {
	now := time.Now()
	passed := now.Sub(p.last)
	p.last = now
	return p.pass(passed)
}

// pass is look after some time.
func (p *patience) pass(passed time.Duration) bool {
	passed = min(passed, 2*p.limit/patienceLooks) // more is phpserve's own wait for a processor
	p.clock += passed
	p.had += p.own(passed)
	return p.had >= p.limit || p.clock >= clockLimit*p.limit
}

// runPatiently runs a command of a context, and ends it when it hangs. What it leaves in the background does not hold it up for longer
// than the limit.
func runPatiently(cmd *exec.Cmd, limit time.Duration) error {
	cmd.WaitDelay = limit
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := endHanging(cmd, limit)
	err := cmd.Wait()
	switch hung := ended(); {
	case err != nil && hung:
		return fmt.Errorf("it did not answer within %v and was ended", limit)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // it has succeeded; what it said is there
	}
	return err
}

// endHanging ends a command that was started when it hangs. The caller calls stop after cmd.Wait; it says whether that was so.
func endHanging(cmd *exec.Cmd, limit time.Duration) (stop func() (hung bool)) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan bool, 1)
	go func() {
		// Kill fails where the command has ended, and only what it left in the background is waited for.
		over <- hangs(ctx, cmd.Process.Pid, limit) && cmd.Process.Kill() == nil
	}()
	return sync.OnceValue(func() bool {
		cancel()
		return <-over
	})
}

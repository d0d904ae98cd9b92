package manager

import (
	"context"
	"errors"
	"os/exec"
	"time"
)

// A limit on how long PHP may take is there to find a PHP that hangs. On a machine whose processors are busy a healthy one takes any
// time, and more of them would not help: so these limits count only the time in which the process could have gone on.

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
	looks      *time.Ticker // when to call look
	own        ownTime
	last       time.Time // of the last look
	had, limit time.Duration
}

func newPatience(pid int, limit time.Duration) *patience {
	return &patience{looks: time.NewTicker(limit / patienceLooks), own: ownTime{pid: pid}, last: time.Now(), limit: limit}
}

// look says whether the process has had its time.
func (p *patience) look() bool {
	now := time.Now()
	p.had += p.own.of(min(now.Sub(p.last), 2*p.limit/patienceLooks)) // more is phpserve's own wait for a processor
	p.last = now
	return p.had >= p.limit
}

// runPatiently runs a command of a context, and ends it when it hangs.
func runPatiently(cmd *exec.Cmd, limit time.Duration) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	defer endHanging(cmd, limit)()
	return cmd.Wait()
}

// endHanging ends a command that was started when it hangs. The caller calls stop after cmd.Wait.
func endHanging(cmd *exec.Cmd, limit time.Duration) (stop func()) {
	patient, stop := withPatience(context.Background(), cmd.Process.Pid, limit)
	context.AfterFunc(patient, func() {
		if context.Cause(patient) == errHangs {
			_ = cmd.Process.Kill() // an error means that it has ended
		}
	})
	return stop
}

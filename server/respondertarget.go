package server

import (
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/phpserve/phpserve/safefile"
	"github.com/phpserve/phpserve/server/accesslog"
)

// responderTarget is what the requests of an address are run with. A reload replaces it. What it has open is closed when the last
// request has done with it.
type responderTarget struct {
	log    *slog.Logger
	cfg    ResponderConfig
	php    *poolSlot
	script fpmScriptConfig
	access *sharedAccessLog // nil: none
	root   *safefile.Root   // the chroot of the pool; nil: none

	users   atomic.Int64 // its requests, and one more until it is replaced
	dismiss sync.Once
}

// enter returns what a request is to be run with. The caller calls leave when that is over.
func (p *responder) enter() *responderTarget {
	for {
		t := p.target.Load()
		n := t.users.Load()
		if n > 0 && t.users.CompareAndSwap(n, n+1) {
			return t
		}
	}
}

// leave ends the use of a target.
func (t *responderTarget) leave() {
	if t.users.Add(-1) > 0 {
		return
	}
	t.access.release()
	if t.root != nil {
		t.root.Close()
	}
}

// replace has the requests that come from now on run with t.
func (p *responder) replace(t *responderTarget) {
	t.users.Store(1)
	if old := p.target.Swap(t); old != nil {
		old.dismiss.Do(old.leave)
	}
}

// close gives up what the requests of the address were run with. None comes any more.
func (p *responder) close() {
	if t := p.target.Load(); t != nil {
		t.dismiss.Do(t.leave)
	}
}

// sharedAccessLog is an access log that goes on from one target to the next.
type sharedAccessLog struct {
	*accesslog.FPMLog
	targets atomic.Int64
	failed  func(error) // tells that it could not be closed
}

// release ends one target's use of the log, and with the last one's the log.
func (l *sharedAccessLog) release() {
	if l == nil || l.targets.Add(-1) > 0 {
		return
	}
	if err := l.Close(); err != nil {
		l.failed(err)
	}
}

// log is the log; nil if there is none.
func (l *sharedAccessLog) log() *accesslog.FPMLog {
	if l == nil {
		return nil
	}
	return l.FPMLog
}

// accessLogs are those of the targets that are to be made next, in the order of their addresses.
type accessLogs []*sharedAccessLog

// openAccessLogs opens the access logs of addresses; one that does not change goes on.
func openAccessLogs(responders []*responder, cfgs []ResponderConfig, log *slog.Logger) (logs accessLogs, err error) {
	for i, p := range responders {
		// Only reloads and Stop replace a target, one at a time: this one is not given up meanwhile.
		if t := p.target.Load(); t != nil && t.access != nil && reflect.DeepEqual(t.cfg.Access, cfgs[i].Access) {
			t.access.targets.Add(1)
			logs = append(logs, t.access)
			continue
		}
		opened, err := accesslog.OpenFPM(cfgs[i].Pool, cfgs[i].Access, log)
		if err != nil {
			logs.release()
			return nil, err
		}
		if opened == nil {
			logs = append(logs, nil)
			continue
		}
		l := &sharedAccessLog{FPMLog: opened, failed: func(err error) {
			log.Error("cannot close the access log", "pool", cfgs[i].Pool, "error", err)
		}}
		l.targets.Store(1)
		logs = append(logs, l)
	}
	return logs, nil
}

// take is the log of the i-th address, which is the caller's to release.
func (l accessLogs) take(i int) *sharedAccessLog {
	taken := l[i]
	l[i] = nil
	return taken
}

// release gives up those that nobody has taken.
func (l accessLogs) release() {
	for i := range l {
		l.take(i).release()
	}
}

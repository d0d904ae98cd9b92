//go:build unix

package manager

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// credential is the user that a pool's PHP runs as, when it is not the user of phpserve.
type credential struct {
	name, home string
	byNumber   bool // scripts see no USER and no HOME
	uid, gid   uint32
	groups     []uint32
}

// findCredential looks up the pool's user and group. It returns nil where nothing is to be changed.
func findCredential(c *PoolConfig) (*credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil // php-fpm ignores user and group without root, too
	}
	if c.User == "" {
		if c.AllowRoot {
			return nil, nil
		}
		return nil, fmt.Errorf("[pool %s] %w: 'user' is not set", c.Name, ErrRoot)
	}
	cred, err := lookUpUser(c)
	if err != nil {
		return nil, err
	}
	if (cred.uid == 0 || cred.gid == 0) && !c.AllowRoot {
		return nil, fmt.Errorf("[pool %s] %w: user %q, group %q", c.Name, ErrRoot, c.User, c.Group)
	}
	return cred, nil
}

// id32 reads a numeric id; os/user gives nothing else on Unix.
func id32(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic("internal error: uid or gid " + s)
	}
	return uint32(n)
}

// sysProcAttr starts a process in a process group of its own, so that a terminal's Ctrl-C reaches only phpserve.
// With a deathSignal the kernel sends that to it when phpserve dies.
func sysProcAttr(owner *credential, deathSignal syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if owner != nil {
		attr.Credential = &syscall.Credential{Uid: owner.uid, Gid: owner.gid, Groups: owner.groups}
	}
	dieWithParent(attr, deathSignal)
	return attr
}

// maxSocketPath is the longest path of a socket in bytes, unix(7).
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

// makePipe makes a named pipe that maker, nil for phpserve's own user, may open, and opens it for both directions: so that
// this never waits for the other end, fifo(7).
func makePipe(path string, maker *credential) (*os.File, error) {
	err := unix.Mkfifo(path, 0o600)
	if err == nil && maker != nil {
		err = os.Lchown(path, int(maker.uid), int(maker.gid)) // follows no link
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe to the zygote: %v", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open a pipe to the zygote: %v", err)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		f.Close()
		return nil, fmt.Errorf("cannot open a pipe to the zygote: %s is none any more", path)
	}
	return f, nil
}

// inGroup says whether a process is in a process group. As isChildOf it is asked after the process has its handle.
func (p *process) inGroup(leader int) bool {
	group, err := unix.Getpgid(p.pid)
	return err == nil && group == leader
}

// exitStatusOf tells how a child of phpserve ended.
func exitStatusOf(ps *os.ProcessState) exitStatus {
	if ps == nil {
		return exitStatus{} // somebody else has buried it
	}
	return fromWaitStatus(ps.Sys().(syscall.WaitStatus))
}

// waitStatus decodes the status that pcntl_waitpid() gave.
func waitStatus(status uint32) exitStatus { return fromWaitStatus(syscall.WaitStatus(status)) }

func fromWaitStatus(ws syscall.WaitStatus) exitStatus {
	if ws.Signaled() {
		return exitStatus{known: true, signal: unix.SignalName(ws.Signal()), coreDump: ws.CoreDump()}
	}
	return exitStatus{known: true, code: ws.ExitStatus()}
}

// terminate lets an idle php-cgi exit by itself (main/fastcgi.c:fcgi_signal_handler).
const terminate = syscall.SIGTERM

// stopSignal stops a process, which it cannot prevent, and continueSignal has it go on.
const (
	stopSignal     = syscall.SIGSTOP
	continueSignal = syscall.SIGCONT
)

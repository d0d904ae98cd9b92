//go:build unix

package manager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

// CanEnter says whether the user that the pool runs as can reach the files of a folder.
func (c *PoolConfig) CanEnter(path string) error {
	cred, err := findCredential(c)
	if err != nil || cred == nil {
		return err
	}
	cmd := exec.Command("/bin/ls", "-d", path+"/.")
	cmd.SysProcAttr = sysProcAttr(cred, 0)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("user %q, whom PHP runs as, cannot enter %s", cred.name, path)
	}
	return nil
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

// listenPool opens the listening socket of a pool's workers. php-cgi needs it in blocking mode, and Go never accepts on
// it, so it is made without package net.
func listenPool(path string) (*os.File, error) {
	fail := func(err error) (*os.File, error) { return nil, fmt.Errorf("cannot listen on %s: %v", path, err) }
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return fail(err)
	}
	f := os.NewFile(uintptr(fd), path)
	setSocketMode(fd, 0o600)
	if len(path) >= len(unix.RawSockaddrUnix{}.Path) {
		f.Close()
		return fail(errors.New("the path is longer than a socket's may be; set TMPDIR to a shorter one"))
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
		err = unix.Listen(fd, 511)
	}
	if err != nil {
		f.Close()
		return fail(err)
	}
	return f, nil
}

// setSocketMode gives a socket the mode of the file that bind will make, before it has a name. Where the system does not take
// a mode (BSD, macOS), that of the folder holds alone.
func setSocketMode(fd int, mode uint32) { _ = unix.Fchmod(fd, mode) }

// listenControl opens the socket for the zygote to dial back on; acceptReady checks that it is the zygote who does.
func listenControl(path string, owner *credential) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { setSocketMode(int(fd), 0o600) })
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err == nil && owner != nil {
		err = os.Lchown(path, int(owner.uid), int(owner.gid)) // follows no link
	}
	if err != nil {
		if l != nil {
			l.Close()
		}
		return nil, fmt.Errorf("cannot listen on %s: %v", filepath.Base(path), err)
	}
	return l, nil
}

// inGroup says whether a process is in a process group. As isChildOf it is asked after the process has its handle.
func (p *process) inGroup(leader int) bool {
	group, err := unix.Getpgid(p.pid)
	return err == nil && group == leader
}

// exitStatusOf tells how a child of phpserve ended.
func exitStatusOf(ps *os.ProcessState) exitStatus {
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

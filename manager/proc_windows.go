package manager

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// credential is the user that a pool's PHP runs as; Windows pools run as the user of phpserve.
type credential struct {
	name, home string
	uid, gid   uint32
	groups     []uint32
}

func (c *credential) environment() []string { return nil }

func findCredential(c *PoolConfig) (*credential, error) {
	if c.User != "" || c.Group != "" {
		return nil, fmt.Errorf("[pool %s] cannot change user or group: %w", c.Name, errors.ErrUnsupported)
	}
	return nil, nil
}

// CanEnter says whether the user that the pool runs as can reach the files of a folder: it is the user of phpserve.
func (c *PoolConfig) CanEnter(string) error { return nil }

// CanRead says whether the user that the pool runs as can read a file: it is the user of phpserve.
func (c *PoolConfig) CanRead(string) error { return nil }

func sysProcAttr(*credential, syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// maxSocketPath is the longest path of a socket in bytes.
const maxSocketPath = 107

func makePipe(string, *credential) (*os.File, error) {
	return nil, fmt.Errorf("cannot run the zygote engine: %w", errors.ErrUnsupported)
}

func peerPID(*net.UnixConn) (int, error) { return 0, errors.ErrUnsupported }

func processExists(pid int) bool {
	p, err := os.FindProcess(pid)
	if err == nil {
		_ = p.Release() // never fails
	}
	return err == nil
}

func bury(int) exitStatus { return exitStatus{} }

func (*process) inGroup(int) bool { return false }

func isStopped(int) (bool, error) { return false, errors.ErrUnsupported }

func isRunnable(int) bool { return false }

func isEnding(int) bool { return false }

func checkDropped(int, *credential) error { return nil }

func exitStatusOf(ps *os.ProcessState) exitStatus {
	if ps == nil {
		return exitStatus{}
	}
	return exitStatus{known: true, code: ps.ExitCode()}
}

func waitStatus(status uint32) exitStatus { return exitStatus{known: true, code: int(status)} }

// terminate is the only way to end a process here.
const terminate = syscall.SIGKILL

// lifeline does nothing: there is no zygote on Windows.
type lifeline struct{}

func newLifeline() (*lifeline, error)   { return &lifeline{}, nil }
func (*lifeline) inherited() []*os.File { return nil }
func (*lifeline) hold(int) error        { return nil }
func (*lifeline) letGo()                {}
func (*lifeline) close()                {}

// These are never sent: nobody can tell here whether a process has run.
const (
	stopSignal     = syscall.Signal(0)
	continueSignal = syscall.Signal(0)
)

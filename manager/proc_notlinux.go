//go:build unix && !linux

package manager

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// dieWithParent does nothing: only Linux has a parent-death signal. The zygote still ends with its control connection.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

func peerPID(*net.UnixConn) (int, error) { return 0, errors.ErrUnsupported }

func isStopped(int) (bool, error) { return false, errors.ErrUnsupported }

func isRunnable(int) bool { return false }

func isEnding(int) bool { return false }

// checkDropped is not asked here: late drops need Linux.
func checkDropped(int, *credential) error { return nil }

// lifeline does nothing: only Linux has the means. The zygote still ends its workers with its control connection.
type lifeline struct{}

func newLifeline() (*lifeline, error)   { return &lifeline{}, nil }
func (*lifeline) inherited() []*os.File { return nil }
func (*lifeline) hold(int) error        { return nil }
func (*lifeline) letGo()                {}
func (*lifeline) close()                {}

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

// awaitHandle is not called: only Linux has handles of processes.
func awaitHandle(uintptr) {}

// isChildOf is not asked here. What a zygote says is believed: a script that could make it lie runs as the same user.
func (*process) isChildOf(int) bool { return true }

// lifeline does nothing: only Linux has the means. The zygote still ends its workers with its control connection.
type lifeline struct{}

func newLifeline() (*lifeline, error)   { return &lifeline{}, nil }
func (*lifeline) inherited() []*os.File { return nil }
func (*lifeline) hold(int) error        { return nil }
func (*lifeline) letGo()                {}
func (*lifeline) close()                {}

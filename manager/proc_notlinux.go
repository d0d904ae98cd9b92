//go:build unix && !linux

package manager

import (
	"errors"
	"net"
	"syscall"
)

// dieWithParent does nothing: only Linux has a parent-death signal. The zygote still ends with its control connection.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

func peerPID(*net.UnixConn) (int, error) { return 0, errors.ErrUnsupported }

func awaitOrphan(pid int) { awaitByPolling(pid) }

//go:build !unix

package listen

import (
	"net"
	"syscall"
)

func closeSocketMode(string, syscall.RawConn) error { return nil } // who may connect is the folder's to say

func setBacklog(net.Listener, int) error { return nil } // the system's own

package manager

import (
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// statusAddress is an abstract one (unix(7)): workers in a chroot reach it, too.
func (d *runtimeDir) statusAddress() string {
	return "@phpserve-status-" + d.token[strings.LastIndexByte(d.token, '-')+1:][:16]
}

// mayAskStatus says whether a process of the pool's user is at the other end: an abstract address has no permissions.
func mayAskStatus(nc net.Conn, owner *credential) bool {
	want := uint32(os.Geteuid())
	if owner != nil {
		want = owner.uid
	}
	raw, err := nc.(*net.UnixConn).SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	err = raw.Control(func(fd uintptr) { peer, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return err == nil && peer != nil && peer.Uid == want
}

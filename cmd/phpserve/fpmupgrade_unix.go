//go:build unix

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
)

// runningImage is the program that runs, also when another is there by its name.
const runningImage = "/proc/self/exe"

// become executes the new binary with the listening sockets in the place of this one. Should the system refuse, this one begins
// anew.
func (m *fpmMaster) become(sockets map[string]*os.File) error {
	var lines []string
	for address, f := range sockets {
		fd := f.Fd()
		if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil { // it is not closed by execve(2)
			return fmt.Errorf("cannot hand over %s: %w", address, err)
		}
		lines = append(lines, fmt.Sprintf("%d=%s", fd, address))
	}
	env := append(os.Environ(), socketsVariable+"="+strings.Join(lines, "\n"))
	if m.systemd.address != "" {
		env = append(env, "NOTIFY_SOCKET="+m.systemd.address)
	}
	if m.background {
		env = append(env, daemonVariable+"="+daemonNobody)
	}
	// What this thread has is what the new process has.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	resetThread()
	err := syscall.Exec(m.binary.path, os.Args, env)
	m.log.Print(fpmconf.LevelError, fmt.Sprintf("cannot execute %s: %v; the old binary goes on", m.binary.path, err))
	err = syscall.Exec(runningImage, os.Args, env)
	runtime.KeepAlive(sockets)
	return fmt.Errorf("cannot execute the old binary either: %w", err)
}

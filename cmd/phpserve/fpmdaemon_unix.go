//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// daemonVariable names the descriptor on which a process in the background tells the one in front that it serves.
const daemonVariable = "PHPSERVE_FPM_READY"

// daemonPatience is how long the process in front waits for that (fpm_unix.c:fpm_unix_init_main has 10 seconds). Many pools
// take their time.
const daemonPatience = time.Minute

// daemonize starts this program again, in a session of its own, and waits until it serves. It is not forked, because a Go
// program cannot be; so the configuration is read twice.
func daemonize(stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot daemonize: %w", err)
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot daemonize: %w", err)
	}
	defer ready.Close()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0] // a link named php-fpm
	cmd.Env = append(os.Environ(), daemonVariable+"=3")
	cmd.ExtraFiles, cmd.Stderr = []*os.File{tell}, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return fmt.Errorf("cannot daemonize: %w", err)
	}
	_ = ready.SetReadDeadline(time.Now().Add(daemonPatience)) // pipes have deadlines
	var status [1]byte
	if _, err := io.ReadFull(ready, status[:]); err == nil {
		return cmd.Process.Release() // it is init's now
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the master process didn't send back its status (via the pipe to the calling process)")
	}
	err = cmd.Wait() // it has said why
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &saidError{err, exit.ExitCode()}
	}
	return fmt.Errorf("the process in the background ended: %w", err)
}

// inBackground says whether this is the process that daemonize started, and how it tells that it serves. Its environment is
// then as if it had been started by hand.
func inBackground() (tell func(), ok bool) {
	if os.Getenv(daemonVariable) != "3" {
		return nil, false
	}
	if err := os.Unsetenv(daemonVariable); err != nil {
		panic("internal error: " + err.Error()) // the name is ours
	}
	syscall.CloseOnExec(3)
	pipe := os.NewFile(3, "ready")
	return func() {
		_, _ = pipe.Write([]byte{1}) // the one in front may have been ended
		_ = pipe.Close()
	}, true
}

// tieStderr has standard error be a file, as php-fpm does (fpm_stdio.c:fpm_stdio_init_final): the terminal or the script that
// started it is not held, and what Go itself says in its last moment is in the log.
func tieStderr(f *os.File) error { return unix.Dup2(int(f.Fd()), int(os.Stderr.Fd())) }

// isFPMName says whether a program of this name is php-fpm.
func isFPMName(name string) bool {
	return strings.HasPrefix(name[strings.LastIndexByte(name, '/')+1:], "php-fpm")
}

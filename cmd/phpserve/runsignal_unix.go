//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyStop passes on the signals that let requests finish.
func notifyStop(c chan<- os.Signal) { signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT) }

// notifyReload passes on the signals for reading the configuration again.
func notifyReload(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP, syscall.SIGUSR2) }

// hasTerminal says whether this process has a controlling terminal, tty(4).
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

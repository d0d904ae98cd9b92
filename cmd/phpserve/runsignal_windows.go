package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyStop passes on Ctrl-C, and the closing of the window.
func notifyStop(c chan<- os.Signal) { signal.Notify(c, os.Interrupt, syscall.SIGTERM) }

// notifyReload has no signal to pass on.
func notifyReload(chan<- os.Signal) {}

// hasTerminal matters where closing it is a signal for something else, too.
func hasTerminal() bool { return false }

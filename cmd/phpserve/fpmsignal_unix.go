//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// fpmSignals are the signals of php-fpm's master (fpm_signals.c:fpm_signals_init_main), and SIGHUP, which Debian's takes as SIGUSR2.
var fpmSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP}

// fpmAction is what a signal asks for.
func fpmAction(sig os.Signal) fpmRequest {
	switch sig {
	case syscall.SIGUSR1:
		return fpmReopen
	case syscall.SIGUSR2, syscall.SIGHUP:
		return fpmReload
	case syscall.SIGQUIT:
		return fpmFinish
	}
	return fpmTerminate
}

// notifyReopen passes on the signal for opening logs anew.
func notifyReopen(c chan<- os.Signal) { signal.Notify(c, syscall.SIGUSR1) }

// reopen has the stand-in open its logs anew, too.
func (s *standIn) reopen() { _ = s.process.Signal(syscall.SIGUSR1) } // it may have ended

package main

import "os"

// fpmSignals are those that the system has.
var fpmSignals = []os.Signal{os.Interrupt}

// fpmAction is what a signal asks for.
func fpmAction(os.Signal) fpmRequest { return fpmTerminate }

// notifyReopen has no signal to pass on.
func notifyReopen(chan<- os.Signal) {}

// reopen has no signal to pass on.
func (*standIn) reopen() {}

package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// tuneRuntime leaves the machine to PHP. Requests spend their time there; a front end that spreads over every processor
// only wakes threads that compete with it. GOMAXPROCS and GOGC of the environment win.
func tuneRuntime() {
	calmMonitor()
	closeToChildren()
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
	if os.Getenv("GOGC") == "" {
		// The live heap is a few MiB: collecting at twice that would run many times a second under load.
		debug.SetGCPercent(400)
	}
}

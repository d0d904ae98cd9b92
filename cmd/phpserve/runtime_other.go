//go:build !linux

package main

// Only Linux has threads with priorities and timers of their own, and phpserve as process 1.

func calmMonitor()     {}
func favourFrontEnd()  {}
func closeToChildren() {}
func buryForeign()     {}

//go:build !linux

package main

// calmMonitor does nothing: only Linux lets one thread's timers be put off.
func calmMonitor() {}

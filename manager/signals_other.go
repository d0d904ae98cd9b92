//go:build !linux

package manager

// unblockSignals leaves signals as phpserve was started with them.
func unblockSignals() {}

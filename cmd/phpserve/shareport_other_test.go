//go:build !unix

package main

import "syscall"

// sharePort has no effect on this system.
func sharePort(_, _ string, _ syscall.RawConn) error { return nil }

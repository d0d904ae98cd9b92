//go:build !linux

package server

import "time"

// cpuTime is unknown: the access log shows 0.
func cpuTime(int) (user, system time.Duration) { return 0, 0 }

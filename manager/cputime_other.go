//go:build !linux

package manager

import "time"

// cpuTime is not known here.
func (w *Worker) cpuTime() time.Duration { return 0 }

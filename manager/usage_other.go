//go:build !linux

package manager

import (
	"errors"
	"time"
)

// usageOf is not known here.
func usageOf(int) (Usage, error) { return Usage{}, errors.ErrUnsupported }

// processorTime is not known here.
func processorTime(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

// cpuTime is not known here.
func (w *Worker) cpuTime() time.Duration { return 0 }

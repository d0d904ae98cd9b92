//go:build !linux

package phpstack

import (
	"errors"
	"fmt"
)

// OpenProcess opens the binary that a process runs. Only Linux can do it.
func OpenProcess(pid int) (*Reader, error) {
	return nil, fmt.Errorf("cannot read the PHP stack of process %d: %w", pid, errors.ErrUnsupported)
}

// Attach prepares to read a process. Only Linux can do it.
func (r *Reader) Attach(pid int) (*Process, error) {
	return nil, fmt.Errorf("cannot read the PHP stack of process %d: %w", pid, errors.ErrUnsupported)
}

func explain(_ int, err error) error { return err }

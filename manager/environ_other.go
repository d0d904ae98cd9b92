//go:build !linux

package manager

import (
	"errors"
	"fmt"
)

// cleanEnvironment would change the environment of a process, of which only Linux lets another process at the memory.
func cleanEnvironment(int, *credential) error {
	return fmt.Errorf("cannot change the environment of a process: %w", errors.ErrUnsupported)
}

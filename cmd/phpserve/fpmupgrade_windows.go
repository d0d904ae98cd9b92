package main

import (
	"errors"
	"fmt"
	"os"
)

// become cannot be: a process does not become another program here.
func (m *fpmMaster) become(map[string]*os.File) error {
	return fmt.Errorf("cannot execute %s: %w", m.binary.path, errors.ErrUnsupported)
}

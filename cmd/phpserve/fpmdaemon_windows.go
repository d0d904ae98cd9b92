package main

import (
	"errors"
	"fmt"
	"io"
)

// daemonize fails: the system has services instead.
func daemonize(io.Writer) error {
	return &hintError{fmt.Errorf("cannot daemonize: %w", errors.ErrUnsupported), "start it with -F"}
}

func inBackground() (tell func(), ok bool) { return nil, false }

func isFPMName(string) bool { return false }

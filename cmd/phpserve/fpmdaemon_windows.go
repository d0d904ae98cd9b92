package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// daemonize fails: the system has services instead.
func daemonize(io.Writer) error {
	return &hintError{fmt.Errorf("cannot daemonize: %w", errors.ErrUnsupported), "start it with -F"}
}

func inBackground() (tell func(), ok bool) { return nil, false }

func tieStderr(*os.File) error { return errors.ErrUnsupported }

func isFPMName(string) bool { return false }

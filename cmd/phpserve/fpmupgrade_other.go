//go:build !linux

package main

import (
	"context"
	"errors"
	"os"

	"github.com/phpserve/phpserve/server/listen"
)

// runningBinary is nothing where a process cannot become another program with all that it has.
type runningBinary struct{}

// findBinary finds none.
func findBinary() (*runningBinary, error) { return &runningBinary{}, nil }

// replaced says that none is.
func (*runningBinary) replaced() bool { return false }

// inheritedFile is a descriptor that this process was started with.
func inheritedFile(fd int, name string) *os.File { return os.NewFile(uintptr(fd), name) }

// upgrade cannot be done.
func (*fpmMaster) upgrade(context.Context) (*standIn, []listen.Socket, error) {
	return nil, nil, errors.ErrUnsupported
}

// become cannot be done.
func (*fpmMaster) become(chan os.Signal) error { return errors.ErrUnsupported }

// monotonicUsec is for systemd, which runs on Linux.
func monotonicUsec() int64 { return 0 }

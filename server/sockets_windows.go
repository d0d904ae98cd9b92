package server

import (
	"errors"
	"net"
	"os"
)

// socketFile has no other descriptor to give.
func socketFile(net.Listener) (*os.File, error) { return nil, errors.ErrUnsupported }

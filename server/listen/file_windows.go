package listen

import (
	"errors"
	"net"
	"os"
)

// File has no other descriptor to give.
func File(net.Listener) (*os.File, error) { return nil, errors.ErrUnsupported }

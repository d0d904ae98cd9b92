//go:build !linux

package manager

import "net"

// wire is the connection to a worker. Only Linux tells with each read who has written.
type wire struct {
	*net.UnixConn
	stranger func(pid int)
	writer   int
}

func newWire(c *net.UnixConn) (*wire, error) { return &wire{UnixConn: c}, nil }

func (*wire) quiet() error { return nil }

func (w *wire) listener() (int, error) { return peerPID(w.UnixConn) }

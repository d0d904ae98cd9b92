//go:build !linux

package manager

import "net"

// statusAddress is empty: there is none.
func (d *runtimeDir) statusAddress() string { return "" }

func mayAskStatus(net.Conn, *credential) bool { return false }

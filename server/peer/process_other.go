//go:build !linux

package peer

import (
	"errors"
	"net/netip"
)

// UserOf is told on Linux only: elsewhere the error is errors.ErrUnsupported.
func UserOf(netip.AddrPort, netip.AddrPort) (uid int, err error) { return 0, errors.ErrUnsupported }

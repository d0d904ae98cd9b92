//go:build !linux

package peer

import "net/netip"

// UserOf is known on Linux only.
func UserOf(netip.AddrPort, netip.AddrPort) (uid int, ok bool) { return 0, false }

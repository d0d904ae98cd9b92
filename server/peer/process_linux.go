package peer

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// UserOf is the user whose process has the other end of a connection within this machine: peer is its address, local ours. It is known for
// TCP of this network namespace only.
func UserOf(peer, local netip.AddrPort) (uid int, ok bool) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		wide := strings.HasSuffix(table, "6")
		from, to := inTable(peer, wide), inTable(local, wide)
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid ... (proc_net_tcp.txt of the kernel)
			if f := strings.Fields(line); len(f) > 7 && f[1] == from && f[2] == to {
				if uid, err := strconv.Atoi(f[7]); err == nil {
					return uid, true
				}
			}
		}
	}
	return 0, false
}

// inTable is an address as the kernel's tables have it: words of 32 bits in the machine's order.
func inTable(a netip.AddrPort, wide bool) string {
	bytes := a.Addr().Unmap().AsSlice()
	if wide {
		sixteen := a.Addr().As16()
		bytes = sixteen[:]
	}
	words := make([]byte, len(bytes))
	for i := 0; i+4 <= len(bytes); i += 4 {
		binary.BigEndian.PutUint32(words[i:], binary.NativeEndian.Uint32(bytes[i:]))
	}
	return strings.ToUpper(hex.EncodeToString(words)) + fmt.Sprintf(":%04X", a.Port())
}

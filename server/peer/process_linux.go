package peer

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// established is a TCP connection whose both ends are open, in the kernel's tables. Others may have no user any more and show root.
const established = "01"

// UserOf is the user whose process has the other end of a TCP connection within this machine: other is its address, local ours. The error is
// errors.ErrUnsupported where the system does not tell, fs.ErrNotExist where there is no such connection, or what kept from looking.
func UserOf(other, local netip.AddrPort) (uid int, err error) {
	tables := 0
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		wide := strings.HasSuffix(table, "6")
		uid, err := userIn(table, inTable(other, wide), inTable(local, wide))
		switch {
		case err == nil:
			return uid, nil
		case !errors.Is(err, fs.ErrNotExist):
			return 0, err
		case errors.Is(err, errNoRow):
			tables++
		}
	}
	if tables == 0 {
		return 0, errors.ErrUnsupported
	}
	return 0, errNoRow
}

// errNoRow is a table without the connection.
var errNoRow = fmt.Errorf("the kernel knows no such connection: %w", fs.ErrNotExist)

// userIn looks through one table, whose rows are: sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid ... (proc_net_tcp.txt
// of the kernel).
func userIn(table, from, to string) (uid int, err error) {
	f, err := os.Open(table)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	rows := bufio.NewScanner(f)
	for rows.Scan() {
		if row := strings.Fields(rows.Text()); len(row) > 7 && row[1] == from && row[2] == to && row[3] == established {
			return strconv.Atoi(row[7])
		}
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	return 0, errNoRow
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

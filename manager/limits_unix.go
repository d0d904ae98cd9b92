//go:build unix

package manager

import (
	"fmt"
	"strconv"
)

// coreBlock is the unit of "ulimit -c" in bytes (POSIX.1-2017, ulimit, as shells extend it).
const coreBlock = 512

// command is what starts php-cgi with arguments. With limits it is a shell that takes them on and then becomes php-cgi: they must be set by
// the process itself, because in a container even root may not change those of another user's (CAP_SYS_RESOURCE of
// capabilities(7)). As in php-fpm one that the system refuses is reported by the shell and ends nothing.
func (c *PoolConfig) command(php ...string) (args []string, err error) {
	script := ""
	if c.RlimitFiles > 0 {
		script += fmt.Sprintf("ulimit -n %d; ", c.RlimitFiles)
	}
	switch {
	case c.RlimitCore == RlimitUnlimited:
		script += "ulimit -c unlimited; "
	case c.RlimitCore > 0:
		script += "ulimit -c " + strconv.FormatInt((c.RlimitCore+coreBlock-1)/coreBlock, 10) + "; "
	}
	if script == "" {
		return php, nil
	}
	return append([]string{"/bin/sh", "-c", script + `exec "$0" "$@"`}, php...), nil
}

package manager

import (
	"errors"
	"fmt"
)

// command is what starts php-cgi with arguments; limits there are none.
func (c *PoolConfig) command(php ...string) (args []string, err error) {
	if c.RlimitFiles != 0 || c.RlimitCore != 0 {
		return nil, fmt.Errorf("[pool %s] cannot set rlimit_files and rlimit_core: %w", c.Name, errors.ErrUnsupported)
	}
	return php, nil
}

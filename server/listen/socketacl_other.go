//go:build !linux

package listen

import (
	"errors"
	"fmt"
)

func socketACL(uint32, []string, []string) ([]byte, error) {
	return nil, fmt.Errorf("cannot set listen.acl_users and listen.acl_groups: %w", errors.ErrUnsupported)
}

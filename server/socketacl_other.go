//go:build !linux

package server

import (
	"errors"
	"fmt"
)

func setACL(string, uint32, []string, []string) error {
	return fmt.Errorf("cannot set listen.acl_users and listen.acl_groups: %w", errors.ErrUnsupported)
}

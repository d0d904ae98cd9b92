package main

import (
	"fmt"

	"github.com/phpserve/phpserve/server/files"
)

// linkRule is follow_symlinks: owner, or yes or no in any of the words of YAML.
type linkRule string

func (l *linkRule) UnmarshalText(text []byte) error {
	switch string(text) {
	case files.FollowOwner:
		*l = files.FollowOwner
	case "true", "yes", "on", "1":
		*l = files.FollowYes
	case "false", "no", "off", "0":
		*l = files.FollowNo
	default:
		return fmt.Errorf("%q is not owner, yes or no", text)
	}
	return nil
}

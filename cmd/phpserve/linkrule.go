package main

import (
	"fmt"

	"github.com/phpserve/phpserve/server"
)

// linkRule is follow_symlinks: owner, or yes or no in any of the words of YAML.
type linkRule string

func (l *linkRule) UnmarshalText(text []byte) error {
	switch string(text) {
	case server.FollowOwner:
		*l = server.FollowOwner
	case "true", "yes", "on", "1":
		*l = server.FollowYes
	case "false", "no", "off", "0":
		*l = server.FollowNo
	default:
		return fmt.Errorf("%q is not owner, yes or no", text)
	}
	return nil
}

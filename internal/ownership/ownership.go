// Package ownership says in words whose a file is.
package ownership

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
)

// User is the name of a user; "user 1234" where the number has none.
func User(uid uint32) string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", uid)
}

// Group is the name of a group; "group 1234" where the number has none.
func Group(gid uint32) string {
	if g, err := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10)); err == nil {
		return g.Name
	}
	return fmt.Sprintf("group %d", gid)
}

// Of tells whom a file belongs to, and its mode: "it belongs to jan:www-data and has mode 0640". Where the system has no such owners
// it tells the mode alone.
func Of(info fs.FileInfo) string {
	mode := fmt.Sprintf("has mode %04o", info.Mode().Perm())
	if uid, gid, ok := ids(info); ok {
		return fmt.Sprintf("it belongs to %s:%s and %s", User(uid), Group(gid), mode)
	}
	return "it " + mode
}

// Owner is whom a file belongs to; empty where the system has no such owners.
func Owner(info fs.FileInfo) string {
	if uid, _, ok := ids(info); ok {
		return User(uid)
	}
	return ""
}

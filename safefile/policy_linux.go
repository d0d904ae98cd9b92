package safefile

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// access is who can change what is in a folder.
type access int

const (
	closed access = iota // nobody else
	sticky               // others can add to it, but change only what is theirs (S_ISVTX)
	shared               // a group can
	open                 // its owner, who is somebody else, or everybody can
)

// own says whether a user is trusted: root, and who this process is.
func own(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// accessTo tells it for a folder. Entries of an access control list show in the bits of the group.
func accessTo(folder *unix.Stat_t) access {
	switch {
	case !own(folder.Uid):
		return open
	case folder.Mode&0o022 == 0, folder.Mode&0o002 == 0 && folder.Gid == 0:
		return closed
	case folder.Mode&unix.S_ISVTX != 0:
		return sticky
	case folder.Mode&0o002 == 0:
		return shared
	}
	return open
}

// checkLink says why a symbolic link may not be followed; see the table of the package.
func checkLink(folder *unix.Stat_t, name string, entry *unix.Stat_t) error {
	if entry.Mode&unix.S_IFMT != unix.S_IFLNK {
		return nil
	}
	switch accessTo(folder) {
	case closed:
		return nil
	case sticky, shared:
		if own(entry.Uid) && entry.Nlink == 1 {
			return nil
		}
	}
	return fmt.Errorf("%w: %s is a symbolic link in a folder that %s can change", ErrUnsafe, name, changers(folder))
}

// checkFile says why a file that was found may not be written to; see the table of the package.
func checkFile(folder, entry *unix.Stat_t) error {
	regular := entry.Mode&unix.S_IFMT == unix.S_IFREG
	why := ""
	switch a := accessTo(folder); {
	case a == closed:
		return nil
	case a == sticky && !own(entry.Uid):
		why = "it belongs to " + userName(entry.Uid)
	case a == sticky && !regular:
		return nil
	case !regular && (a != shared || !own(entry.Uid)):
		why = "it is not a regular file"
	case regular && entry.Nlink > 1:
		why = "it has another name (hard link)"
	case a == open && !own(entry.Uid) && entry.Uid != folder.Uid:
		why = "it belongs to " + userName(entry.Uid)
	default:
		return nil
	}
	return fmt.Errorf("%w: %s, in a folder that %s can change", ErrUnsafe, why, changers(folder))
}

// changers names those who can change what is in a folder.
func changers(folder *unix.Stat_t) string {
	switch {
	case folder.Mode&0o002 != 0:
		return "everybody"
	case !own(folder.Uid):
		return "user " + userName(folder.Uid)
	}
	return "group " + groupName(folder.Gid)
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

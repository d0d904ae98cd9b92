//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/phpserve/phpserve/safefile"
)

// ownerOf names the owner of a folder, empty if that is root or has no name. A folder to which somebody else's link leads is refused:
// PHP would run as the user whom that link chooses.
func ownerOf(dir string) (string, error) {
	uid, gid, err := safefile.Owner(dir)
	if errors.Is(err, safefile.ErrUnsafe) {
		return "", &hintError{
			fmt.Errorf("cannot tell whom PHP is to run as: %w", err), "say it: --user USER; or name the folder itself, not by the link",
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "", nil // that it cannot be served is said elsewhere
	case err != nil: // nobody else must be chosen because descriptors are short
		return "", fmt.Errorf("cannot tell whose the folder %s is, whom PHP is to run as: %w", dir, err)
	case uid == 0 || gid == 0:
		return "", nil
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	var unknown user.UnknownUserIdError
	switch {
	case errors.As(err, &unknown), errors.Is(err, fs.ErrNotExist): // without a list of users nobody has a name
		return "", nil
	case err != nil:
		return "", fmt.Errorf("cannot look up user %d, the owner of %s: %w", uid, dir, err)
	}
	return u.Username, nil
}

// otherAuthor names who else than root can change a file that root found by itself, by the file, by a folder or by a link on the way;
// empty if nobody can, or if phpserve does not run as root.
func otherAuthor(file string) string {
	if os.Geteuid() != 0 {
		return ""
	}
	author, err := safefile.Author(file)
	if err != nil {
		return "somebody"
	}
	return author
}

// ownedByMe says whether a file belongs to the user of phpserve.
func ownedByMe(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// processGone says whether there is no process of this pid.
func processGone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }

package fpmconf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"syscall"

	"github.com/phpserve/phpserve/safefile"
)

// maxFile is the most bytes of one configuration file; php-fpm knows no limit and would read /dev/zero for ever.
const maxFile = 16 << 20

// system is what a configuration is compared with: the files and accounts of this machine.
type system struct {
	// readFile returns the content of a file, and an error only if it cannot be opened.
	readFile func(name string) ([]byte, error)
	// readDir lists the names in a directory, "." and ".." included where there are such.
	readDir func(name string) ([]string, error)
	// exists and isDir follow symbolic links; exists counts a dangling one as existing.
	exists, isDir func(name string) bool
	// appendable creates the file with mode 0600 if need be and opens it for writing.
	appendable func(name string) error
	user       func(name string) (*user.User, error)
	userID     func(id string) (*user.User, error)
	group      func(name string) (*user.Group, error)
}

func thisSystem() system {
	return system{
		readFile: readFile,
		readDir: func(name string) ([]string, error) {
			f, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			names, err := f.Readdirnames(-1)
			return append(names, ".", ".."), err
		},
		exists: func(name string) bool {
			_, err := os.Lstat(name)
			return err == nil
		},
		isDir: func(name string) bool {
			fi, err := os.Stat(name)
			return err == nil && fi.IsDir()
		},
		appendable: func(name string) error {
			f, err := safefile.OpenAppend(name, 0o600)
			if err != nil {
				return err
			}
			return f.Close()
		},
		user:   user.Lookup,
		userID: user.LookupId,
		group:  user.LookupGroup,
	}
}

// readFile takes an error while reading for the end of the file, so that a directory is an empty file, as with php-fpm.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if n, _ := io.Copy(&b, io.LimitReader(f, maxFile+1)); n > maxFile {
		return nil, &os.PathError{Op: "read", Path: name, Err: syscall.EFBIG}
	}
	return b.Bytes(), nil
}

// systemError is err as php-fpm appends it to a message: strerror(3) and the number.
func systemError(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	s := errno.Error()
	return fmt.Sprintf("%s%s (%d)", strings.ToUpper(s[:1]), s[1:], int(errno))
}

//go:build unix

package manager

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/phpserve/phpserve/internal/ownership"
)

// CanEnter says whether the user that the pool runs as can reach the files of a folder. Its error names the first folder on the way
// that this user cannot enter. Where nobody can be asked, because descriptors or memory are short, the error says that.
func (c *PoolConfig) CanEnter(folder string) error {
	cred, err := findCredential(c)
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(folder)
	if err != nil {
		return fmt.Errorf("cannot enter %s: %v", folder, err)
	}
	ok, err := enters(cred, abs)
	if ok || err != nil {
		return err
	}
	closed, err := firstClosed(cred, abs)
	if err != nil {
		return err
	}
	return fmt.Errorf("user %q, whom PHP runs as, cannot enter %s: %s", userName(cred), closed, whose(closed))
}

// CanRead says whether the user that the pool runs as can read a file. A file that is not there is none that cannot be read.
func (c *PoolConfig) CanRead(file string) error {
	id, err := c.Identity()
	if err != nil {
		return err
	}
	id.Do(func() {
		var f *os.File
		if f, err = os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0); err == nil { // waits for nobody who writes to a FIFO
			f.Close()
		}
	})
	if !errors.Is(err, fs.ErrPermission) {
		return nil
	}
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		real = file
	}
	for _, folder := range []string{filepath.Dir(file), filepath.Dir(real)} {
		if err := c.CanEnter(folder); err != nil {
			return err
		}
	}
	cred, err := findCredential(c)
	if err != nil {
		return err
	}
	return fmt.Errorf("user %q, whom PHP runs as, cannot read %s: %s", userName(cred), real, whose(real))
}

// enters asks for PHP's user whether it can enter a folder.
func enters(cred *credential, folder string) (bool, error) {
	if cred == nil {
		_, err := os.Stat(folder + "/.")
		return !errors.Is(err, fs.ErrPermission), nil
	}
	cmd := exec.Command("/bin/ls", "-d", folder+"/.")
	cmd.SysProcAttr = sysProcAttr(cred, 0)
	var err error
	outsideOrphans(func() { err = cmd.Run() })
	var refused *exec.ExitError
	if err != nil && !errors.As(err, &refused) { // descriptors or memory are short: that tells nothing of the folder
		return false, fmt.Errorf("cannot look whether user %q, whom PHP runs as, can enter %s: %w", cred.name, folder, err)
	}
	return err == nil, nil
}

// firstClosed is the first folder on the way to one that cannot be entered, links followed.
func firstClosed(cred *credential, folder string) (string, error) {
	for path := "/"; ; {
		ok, err := enters(cred, path)
		if err != nil {
			return "", err
		}
		if !ok {
			if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
				return firstClosed(cred, real)
			}
			return path, nil
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(folder, path), "/")
		if rest == "" {
			return folder, nil // it has been opened meanwhile
		}
		name, _, _ := strings.Cut(rest, "/")
		path = filepath.Join(path, name)
	}
}

// whose tells about a file that PHP's user cannot reach.
func whose(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return ownership.Of(info)
}

// userName is whom PHP runs as.
func userName(cred *credential) string {
	if cred != nil {
		return cred.name
	}
	return ownership.User(uint32(os.Geteuid()))
}

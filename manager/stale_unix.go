//go:build unix

package manager

import (
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockDir locks a new runtime folder. The locks go with the returned files, also when phpserve is killed. The one on the
// folder itself keeps systemd-tmpfiles from removing what has not been touched for days (tmpfiles.d(5)).
// The file gets its name only when it is locked: another phpserve's removeStale must never find it without its lock.
func lockDir(dir string) ([]*os.File, error) {
	unnamed := filepath.Join(dir, lockFile+".new")
	f, err := os.OpenFile(unnamed, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = os.Rename(unnamed, filepath.Join(dir, lockFile))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	folder, err := os.Open(dir)
	if err != nil {
		f.Close()
		return nil, err
	}
	_ = unix.Flock(int(folder.Fd()), unix.LOCK_SH|unix.LOCK_NB) // not every file system has locks on folders
	return []*os.File{f, folder}, nil
}

// removeStale removes the runtime folders below base that a killed phpserve left behind: those whose lock nobody holds.
// The base may be everybody's, so only folders that phpserve's own user made are looked at, a lock is a plain file of the
// expected name, and nothing is followed.
func removeStale(base string) {
	locks, _ := filepath.Glob(filepath.Join(base, "phpserve-*-*", lockFile)) // the only error is a bad pattern
	for _, lock := range locks {
		var st unix.Stat_t
		if unix.Lstat(filepath.Dir(lock), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
			continue
		}
		fd, err := unix.Open(lock, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // not ours to judge
		}
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(lock)) // what cannot be removed stays, as before
		}
		_ = unix.Close(fd)
	}
}

// lockGuest locks a new folder in a chroot. As in lockDir the file gets its name only when it is locked.
func lockGuest(dir *os.Root) (*os.File, error) {
	f, err := dir.OpenFile(lockFile+".new", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		err = dir.Rename(lockFile+".new", lockFile)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// isLeftGuest says whether nobody holds the lock of a folder in a chroot any more. One without a lock may be just being made.
func isLeftGuest(dir *os.Root) bool {
	f, err := dir.OpenFile(lockFile, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

// isOwn says whether a file belongs to the user of phpserve.
func isOwn(info os.FileInfo) bool {
	return ownerOf(info) == os.Geteuid()
}

// ownerOf is the user that a file belongs to.
func ownerOf(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

//go:build unix

package manager

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockFile is held locked in every runtime folder for as long as its phpserve lives.
const lockFile = "lock"

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

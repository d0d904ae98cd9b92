package manager

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Identity is the user that a pool's PHP runs as, for opening files with no more rights than PHP has. The nil Identity is
// that of phpserve itself.
type Identity struct {
	cred   *credential
	groups []int
	own    []int // the groups of phpserve
}

// Identity returns the user that the pool's PHP runs as, nil where that is the one phpserve runs as.
func (c *PoolConfig) Identity() (*Identity, error) {
	cred, err := findCredential(c)
	if err != nil || cred == nil {
		return nil, err
	}
	id := &Identity{cred: cred}
	for _, g := range cred.groups {
		id.groups = append(id.groups, int(g))
	}
	if id.own, err = unix.Getgroups(); err != nil {
		return nil, fmt.Errorf("[pool %s] cannot get the groups of phpserve: %v", c.Name, err)
	}
	return id, nil
}

// Do calls open, during which the kernel decides on files as it would for PHP: setfsuid(2), setfsgid(2). They concern this
// thread alone; open must not start goroutines.
func (id *Identity) Do(open func()) {
	if id == nil {
		open()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setgroups(id.groups); err != nil { // of this thread, unlike syscall.Setgroups
		panic(fmt.Sprintf("internal error: cannot take the groups of user %q: %v", id.cred.name, err))
	}
	setFileUser(int(id.cred.uid), int(id.cred.gid))
	defer func() {
		setFileUser(os.Geteuid(), os.Getegid())
		if err := unix.Setgroups(id.own); err != nil {
			panic(fmt.Sprintf("internal error: cannot give back the groups of user %q: %v", id.cred.name, err))
		}
	}()
	open()
}

// setFileUser sets user and group for file access. These calls report no errors, so it is asked what came of them: a thread
// with the wrong user must not go on.
func setFileUser(uid, gid int) {
	_ = unix.Setfsgid(gid)
	_ = unix.Setfsuid(uid)
	nowGID, _ := unix.SetfsgidRetGid(-1)
	nowUID, _ := unix.SetfsuidRetUid(-1)
	if nowUID != uid || nowGID != gid {
		panic(fmt.Sprintf("internal error: files are opened as user %d, group %d instead of %d, %d", nowUID, nowGID, uid, gid))
	}
}

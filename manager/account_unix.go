//go:build unix

package manager

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// lookUpUser finds the pool's user and group, by name or by number. A number needs no entry in passwd(5) or group(5), which containers
// often lack; as in php-fpm (fpm_unix.c:fpm_unix_conf_wp) it stands for no USER and no HOME.
func lookUpUser(c *PoolConfig) (*credential, error) {
	cred := &credential{name: c.User}
	own := "" // the user's own group
	var u *user.User
	if uid, ok := accountNumber(c.User); ok {
		cred.uid, cred.byNumber = uid, true
		if u, _ = user.LookupId(c.User); u == nil && c.Group == "" && !c.AllowRoot {
			cred.gid = uid // and not root's, which php-fpm refuses unless root is allowed
		}
	} else {
		var err error
		if u, err = user.Lookup(c.User); err != nil {
			return nil, fmt.Errorf("[pool %s] cannot get uid for user %q", c.Name, c.User)
		}
		cred.home, cred.uid = u.HomeDir, id32(u.Uid)
	}
	if u != nil {
		cred.name, cred.gid, own = u.Username, id32(u.Gid), u.Gid
	}
	if c.Group != "" {
		gid, err := lookUpGroup(c.Group)
		if err != nil {
			return nil, fmt.Errorf("[pool %s] %w", c.Name, err)
		}
		cred.gid = gid
	}
	cred.groups = []uint32{cred.gid} // as initgroups(3) has them: the pool's group takes the place of the user's own
	if u == nil {
		return cred, nil
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("[pool %s] cannot get the groups of user %q: %v", c.Name, c.User, err)
	}
	for _, g := range groups {
		if id := id32(g); g != own && !slices.Contains(cred.groups, id) {
			cred.groups = append(cred.groups, id)
		}
	}
	return cred, nil
}

// lookUpGroup finds a group by name or by number.
func lookUpGroup(name string) (gid uint32, err error) {
	if gid, ok := accountNumber(name); ok {
		return gid, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("cannot get gid for group %q", name)
	}
	return id32(g.Gid), nil
}

// accountNumber reads a uid or gid. The largest number stands for none (chown(2)).
func accountNumber(text string) (id uint32, ok bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && n != 1<<32-1 && strings.Trim(text, "0123456789") == ""
}

// environment tells PHP who it is. A user that was given by number has no name: whose phpserve's own is would be wrong.
func (c *credential) environment() []string {
	if c.byNumber {
		return nil
	}
	return []string{"USER=" + c.name, "HOME=" + c.home}
}

package fpmconf

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Identity is who the children of a pool run as (php-src sapi/fpm/fpm/fpm_unix.c:fpm_unix_conf_wp).
type Identity struct {
	// UID and GID are what the children change to. Zero leaves the master's; both are zero unless the master is root.
	UID, GID int
	// GroupsOf is the user whose supplementary groups the children get. Empty when UID is zero.
	GroupsOf string
	// User and Home are the USER and HOME of the children. Empty sets neither.
	User, Home string
}

// SocketPermissions is what is done to a pool's unix socket (fpm_unix.c:fpm_unix_resolve_socket_permissions).
type SocketPermissions struct {
	// UID and GID are the socket's owner; -1 leaves it.
	UID, GID int
	// Mode is the socket's mode, applied through umask(2).
	Mode int
	// ACLUsers and ACLGroups may read and write. If there are any, UID and GID are -1.
	ACLUsers, ACLGroups []int
}

// testNames checks the names php-fpm -t checks (fpm_unix.c:fpm_unix_test_config).
func (l *loader) testNames() bool {
	for _, p := range l.cfg.Pools {
		if !isID(p.User) && l.user(p, p.User, "") == nil || !isID(p.Group) && l.group(p, p.Group, "") == nil ||
			!isID(p.ListenOwner) && l.user(p, p.ListenOwner, notFound) == nil ||
			!isID(p.ListenGroup) && l.group(p, p.ListenGroup, notFound) == nil {
			return false
		}
	}
	return true
}

func (l *loader) resolveIdentities() bool {
	for _, p := range l.cfg.Pools {
		if !l.resolveIdentity(p) {
			return false
		}
	}
	return true
}

func (l *loader) resolveIdentity(p *Pool) bool {
	id := &p.Identity
	if !l.o.Root {
		l.sayIgnored(p, "user", p.User != "")
		l.sayIgnored(p, "group", p.Group != "")
		l.sayIgnored(p, "chroot", p.Chroot != "")
		l.sayIgnored(p, "process.priority", p.ProcessPriority != PriorityUnset)
		if u, err := l.sys.userID(strconv.Itoa(os.Getuid())); err == nil {
			id.User, id.Home = u.Username, u.HomeDir
		}
		return true
	}
	switch {
	case p.User == "":
	case isID(p.User):
		id.UID = accountID(p.User)
		id.GroupsOf = p.User
		if u, err := l.sys.userID(p.User); err == nil {
			id.GID, id.GroupsOf = accountID(u.Gid), u.Username
		}
	default:
		u := l.user(p, p.User, "")
		if u == nil {
			return false
		}
		*id = Identity{UID: accountID(u.Uid), GID: accountID(u.Gid), GroupsOf: p.User, User: u.Username, Home: u.HomeDir}
	}
	switch {
	case p.Group == "":
	case isID(p.Group):
		id.GID = accountID(p.Group)
	default:
		g := l.group(p, p.Group, "")
		if g == nil {
			return false
		}
		id.GID = accountID(g.Gid)
	}
	if id.UID == 0 {
		id.GroupsOf = ""
	}
	if !l.o.AllowRoot && (id.UID == 0 || id.GID == 0) {
		return l.fail("[pool %s] please specify user and group other than root", p.Name)
	}
	return true
}

func (l *loader) sayIgnored(p *Pool, directive string, set bool) {
	if set {
		l.say(LevelNotice, "[pool %s] '%s' directive is ignored when FPM is not running as root", p.Name, directive)
	}
}

// SocketPermissions looks the names of the pool's listen.* directives up, with php-fpm's messages. It is for unix sockets.
func (p *Pool) SocketPermissions(o Options) (SocketPermissions, error) {
	return p.socketPermissions(&loader{o: o, sys: thisSystem(), level: LevelNotice})
}

func (p *Pool) socketPermissions(l *loader) (SocketPermissions, error) {
	s := SocketPermissions{UID: -1, GID: -1, Mode: 0o660}
	if p.ListenMode != "" {
		s.Mode = octal(p.ListenMode)
	}
	failed := func() (SocketPermissions, error) {
		return SocketPermissions{}, &Error{File: p.Listen, Text: l.first}
	}
	for _, name := range names(p.ListenACLUsers) {
		u := l.user(p, name, notFound)
		if u == nil {
			return failed()
		}
		s.ACLUsers = append(s.ACLUsers, accountID(u.Uid))
	}
	for _, name := range names(p.ListenACLGroups) {
		g := l.group(p, name, notFound)
		if g == nil {
			return failed()
		}
		s.ACLGroups = append(s.ACLGroups, accountID(g.Gid))
	}
	if len(s.ACLUsers)+len(s.ACLGroups) > 0 {
		if p.ListenOwner != "" {
			l.say(LevelWarning, "[pool %s] ACL set, listen.owner = '%s' is ignored", p.Name, p.ListenOwner)
		}
		if p.ListenGroup != "" {
			l.say(LevelWarning, "[pool %s] ACL set, listen.group = '%s' is ignored", p.Name, p.ListenGroup)
		}
		return s, nil
	}
	switch {
	case p.ListenOwner == "":
	case isID(p.ListenOwner):
		s.UID = accountID(p.ListenOwner)
	default:
		u := l.user(p, p.ListenOwner, notFound)
		if u == nil {
			return failed()
		}
		s.UID, s.GID = accountID(u.Uid), accountID(u.Gid)
	}
	switch {
	case p.ListenGroup == "":
	case isID(p.ListenGroup):
		s.GID = accountID(p.ListenGroup)
	default:
		g := l.group(p, p.ListenGroup, notFound)
		if g == nil {
			return failed()
		}
		s.GID = accountID(g.Gid)
	}
	return s, nil
}

// notFound is the error php-fpm appends where it prints errno after looking in vain for a name: the C library sets none.
const notFound = ": Success (0)"

func (l *loader) user(p *Pool, name, detail string) *user.User {
	u, err := l.sys.user(name)
	if err != nil {
		l.fail("[pool %s] cannot get uid for user '%s'%s", p.Name, name, detail)
		return nil
	}
	return u
}

func (l *loader) group(p *Pool, name, detail string) *user.Group {
	g, err := l.sys.group(name)
	if err != nil {
		l.fail("[pool %s] cannot get gid for group '%s'%s", p.Name, name, detail)
		return nil
	}
	return g
}

// isID reports whether a user or group is given by number; nothing counts as one.
func isID(name string) bool { return strings.Trim(name, "0123456789") == "" }

// accountID is strtoul(3) stored in an int.
func accountID(s string) int {
	n, _ := strconv.ParseUint(s, 10, 64)
	return int(int32(uint32(n)))
}

// octal is strtoul(3) with base 8: what follows the octal digits is not looked at, and nothing is zero.
func octal(s string) int {
	s = strings.TrimLeft(s, " \t")
	end := len(s) - len(strings.TrimLeft(s, "01234567"))
	n, _ := strconv.ParseUint(s[:end], 8, 31)
	return int(n)
}

// names splits a list of names.
func names(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

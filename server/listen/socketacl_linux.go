package listen

import (
	"encoding/binary"
	"fmt"
	"os/user"
	"slices"
)

// The entries of a POSIX access control list in the attribute system.posix_acl_access (Linux
// include/uapi/linux/posix_acl_xattr.h), which must be in the order of their tags.
const (
	aclVersion  = 2
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
	aclNobody   = 0xffffffff // the id of entries that are about no one by name

	aclReadWrite = 6
)

// socketACLName is the extended attribute with the list.
const socketACLName = "system.posix_acl_access"

// socketACL lets users and groups use a socket (listen.acl_users, listen.acl_groups), besides its owner
// (fpm_unix.c:fpm_unix_set_socket_permissions). mode says what the owner, the group and others may.
func socketACL(mode uint32, users, groups []string) ([]byte, error) {
	acl := binary.LittleEndian.AppendUint32(nil, aclVersion)
	entry := func(tag, perm uint16, id uint32) {
		acl = binary.LittleEndian.AppendUint16(acl, tag)
		acl = binary.LittleEndian.AppendUint16(acl, perm)
		acl = binary.LittleEndian.AppendUint32(acl, id)
	}
	var uids, gids []uint32
	for _, name := range users {
		u, err := user.Lookup(name)
		if err != nil {
			return nil, fmt.Errorf("cannot get uid for user '%s'", name)
		}
		uids = append(uids, uint32(number(u.Uid)))
	}
	for _, name := range groups {
		g, err := user.LookupGroup(name)
		if err != nil {
			return nil, fmt.Errorf("cannot get gid for group '%s'", name)
		}
		gids = append(gids, uint32(number(g.Gid)))
	}
	slices.Sort(uids)
	slices.Sort(gids)
	entry(aclUserObj, uint16(mode>>6&7), aclNobody)
	for _, uid := range slices.Compact(uids) {
		entry(aclUser, aclReadWrite, uid)
	}
	entry(aclGroupObj, uint16(mode>>3&7), aclNobody)
	for _, gid := range slices.Compact(gids) {
		entry(aclGroup, aclReadWrite, gid)
	}
	entry(aclMask, uint16(mode>>3&7)|aclReadWrite, aclNobody)
	entry(aclOther, uint16(mode&7), aclNobody)
	return acl, nil
}

package peer

import (
	"errors"
	"net/netip"
	"os"
)

// firstLogin is the first uid that systems give to people; below it are those of services (login.defs(5)). The highest, 65534, is nobody's.
const firstLogin, nobody = 1000, 65534

// SitsHere says whether the process at the other end of a connection within this machine is one of a person who works with phpserve: it
// has phpserve's own user, or, where that is root, a user who can log in. A web server or a tunnel in front has a user of its own. Where the
// system does not tell users at all, it is so; where the look fails, it is not.
func SitsHere(other, local netip.AddrPort) bool {
	uid, err := UserOf(other, local)
	if err != nil {
		return errors.Is(err, errors.ErrUnsupported)
	}
	return uid == os.Geteuid() || os.Geteuid() == 0 && uid >= firstLogin && uid != nobody
}

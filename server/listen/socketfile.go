package listen

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"sync"
)

// unixSocket is a listening socket with a name in the file system. The folder may belong to the pool's user, who can put anything in
// the place of that name: what is changed or removed by us is the socket itself and nothing else.
type unixSocket struct {
	*net.UnixListener
	path string
	once sync.Once
	mu   sync.Mutex // guards stays
	// stays says that the name is not removed when the listener closes, because another process listens on the socket.
	stays bool
}

// asUnix takes over a listener; others than those of unix sockets stay as they are.
func asUnix(l net.Listener, path string) net.Listener {
	u, ok := l.(*net.UnixListener)
	if !ok {
		return l
	}
	u.SetUnlinkOnClose(false) // by its name: that may lead elsewhere by now
	return &unixSocket{UnixListener: u, path: path}
}

// LeaveName has the name of a unix socket stay when l closes, because another process listens on it; other listeners have none.
func LeaveName(l net.Listener) {
	s, ok := l.(*unixSocket)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stays = true
}

// Close removes the name and ends accepting.
func (s *unixSocket) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.stays {
			s.removeName()
		}
	})
	return s.UnixListener.Close()
}

// socketRights are who may use a socket.
type socketRights struct {
	uid, gid int // -1: as it is
	mode     os.FileMode
	acl      []byte // nil: none
}

// rights are those of listen.owner, listen.group, listen.mode and the lists, which admit the web server.
func (c *FastCGI) rights() (socketRights, error) {
	r := socketRights{uid: -1, gid: -1, mode: os.FileMode(c.Mode)}
	if r.mode == 0 {
		r.mode = 0o660
	}
	if len(c.ACLUsers)+len(c.ACLGroups) > 0 {
		var err error
		r.acl, err = socketACL(uint32(r.mode), c.ACLUsers, c.ACLGroups)
		return r, err
	}
	if r.uid = number(c.Owner); r.uid < 0 && c.Owner != "" { // a number has no group of its own
		u, err := user.Lookup(c.Owner)
		if err != nil {
			return r, fmt.Errorf("cannot get uid for user '%s'", c.Owner)
		}
		r.uid, r.gid = number(u.Uid), number(u.Gid)
	}
	if c.Group != "" {
		if r.gid = number(c.Group); r.gid < 0 {
			g, err := user.LookupGroup(c.Group)
			if err != nil {
				return r, fmt.Errorf("cannot get gid for group '%s'", c.Group)
			}
			r.gid = number(g.Gid)
		}
	}
	return r, nil
}

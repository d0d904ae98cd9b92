package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// FastCGI is the address of a pool, as php-fpm's directives describe it.
type FastCGI struct {
	// Pool is the pool's name, for messages.
	Pool string
	// Address is listen: HOST:PORT, PORT for all addresses of the machine, or the path of a unix socket.
	Address string
	// Backlog is listen.backlog. Zero or less: the most that the system allows.
	Backlog int
	// Owner is listen.owner, a name or a uid. Empty: the user of phpserve.
	Owner string
	// Group is listen.group, a name or a gid. Empty: the group of an owner that is named, else that of phpserve.
	Group string
	// Mode is listen.mode. Zero: 0660.
	Mode uint32
	// ACLUsers and ACLGroups are listen.acl_users and listen.acl_groups. With any, Owner and Group are ignored.
	ACLUsers, ACLGroups []string
}

// OpenFastCGI opens the address of a pool as php-fpm does (fpm_sockets.c:fpm_sockets_get_listening_socket); it says what goes wrong
// in the same words.
func OpenFastCGI(c *FastCGI, log *slog.Logger) (net.Listener, error) {
	network, addr := splitFastCGI(c.Address)
	fail := func(err error, hint string) (net.Listener, error) {
		return nil, &Error{Addr: c.Address, Err: fmt.Errorf("[pool %s] %w", c.Pool, err), Hint: hint}
	}
	if network == "unix" {
		if err := removeStaleSocket(addr); err != nil {
			if errno, ok := errors.AsType[syscall.Errno](err); ok {
				return nil, bindError(c.Address, errno)
			}
			return nil, err
		}
	}
	if port := addr[strings.LastIndexByte(addr, ':')+1:]; network != "unix" && !validPort(port) {
		return nil, fmt.Errorf("invalid port value '%s'", port)
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return closeSocketMode(network, raw) }}
	l, err := config.Listen(context.Background(), network, addr)
	if err != nil && strings.HasPrefix(addr, ":") {
		log.Info("Failed implicitly binding to ::, retrying with 0.0.0.0") //nolint:sloglint // php-fpm's words
		l, err = config.Listen(context.Background(), "tcp4", "0.0.0.0"+addr)
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return nil, bindError(c.Address, errno)
	}
	if err != nil {
		return fail(err, "")
	}
	l = asUnix(l, addr)
	if err := setBacklog(l, c.Backlog); err != nil {
		l.Close()
		return fail(err, "")
	}
	if err := c.giveSocket(l); err != nil {
		l.Close()
		return fail(err, "listen.owner, listen.group and listen.mode say whose the socket is")
	}
	return l, nil
}

// bindError says in php-fpm's words why an address cannot be had.
func bindError(address string, errno syscall.Errno) error {
	text := errno.Error()
	return fmt.Errorf("unable to bind listening socket for address '%s': %s%s (%d)%w",
		address, strings.ToUpper(text[:1]), text[1:], int(errno), saidErrno{errno})
}

// saidErrno is in an error whose text tells it already.
type saidErrno struct{ errno syscall.Errno }

func (saidErrno) Error() string   { return "" }
func (e saidErrno) Unwrap() error { return e.errno }

// validPort says whether text is the number of a port; 0 has the system choose one.
func validPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// ReopenFastCGI gives an address that stays open what may be changed of it.
func ReopenFastCGI(l net.Listener, c *FastCGI) error {
	if err := setBacklog(l, c.Backlog); err != nil {
		return err
	}
	return c.giveSocket(l)
}

// EffectiveBacklog is how many connections the kernel keeps for an address that asks for so many (listen(2)).
func EffectiveBacklog(asked int) int {
	const before = 4096 // the default since Linux 5.4
	most := before
	if text, err := os.ReadFile("/proc/sys/net/core/somaxconn"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			most = n
		}
	}
	if asked <= 0 {
		return most
	}
	return min(asked, most)
}

// splitFastCGI tells the forms of listen apart: what holds a colon or only digits is a port, all else a path.
func splitFastCGI(listen string) (network, addr string) {
	switch {
	case strings.Trim(listen, "0123456789") == "":
		return "tcp", ":" + listen
	case strings.Contains(listen, ":"):
		return tcpNetwork(listen[:strings.LastIndexByte(listen, ':')]), listen
	}
	return "unix", listen
}

// inUse says that another process listens on a socket, in php-fpm's words.
func inUse(path string) string { return "Another FPM instance seems to already listen on " + path }

// giveSocket gives a unix socket its owner, group and mode, which admit the web server.
func (c *FastCGI) giveSocket(l net.Listener) error {
	s, ok := l.(*unixSocket)
	if !ok {
		return nil
	}
	rights, err := c.rights()
	if err != nil {
		return err
	}
	return rights.give(s)
}

// number is the id that text is, which needs no entry in passwd(5) or group(5); -1 where it is none.
func number(id string) int {
	n, err := strconv.ParseUint(id, 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

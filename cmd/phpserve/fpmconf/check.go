package fpmconf

import (
	"errors"
	"os"
	"path/filepath"
)

// NewPool returns a pool with php-fpm's defaults.
func NewPool(name string) *Pool { return newPool(name) }

// Check holds a pool that was not read by Load to php-fpm's rules, says what php-fpm says and completes it. Left out is what the
// pool itself checks (pm with its numbers, user and group, chroot and chdir, process.priority), and that user and listen must be there. A directive with an empty
// value counts as not set, but for security.limit_extensions. Paths must be absolute. Log files are not opened: their folder must be there. The pools
// are p and the invisible one of its pm.status_listen. The error, if any, is of type *Error.
func Check(p *Pool, o Options) ([]*Pool, error) {
	sys := thisSystem()
	sys.appendable = func(name string) error {
		_, err := os.Stat(filepath.Dir(name))
		return err
	}
	l := &loader{o: o, sys: sys, cfg: &Config{Global: newGlobal(), Pools: []*Pool{p}}, level: LevelNotice}
	for name, value := range map[string]string{
		"pm.status_listen": p.StatusListen, "pm.status_path": p.StatusPath, "ping.response": p.PingResponse, "access.log": p.AccessLog,
		"access.format": p.AccessFormat, "chroot": p.Chroot, "user": p.User, "group": p.Group, "listen.owner": p.ListenOwner,
		"listen.group": p.ListenGroup,
	} {
		if value != "" {
			p.mark(name)
		}
	}
	if l.check(p) {
		return l.cfg.Pools, nil
	}
	return nil, &Error{File: o.Prefix, Text: l.first}
}

// check is what Check says.
func (l *loader) check(p *Pool) bool {
	if p.MaxSpawnRate < 1 {
		return l.alert("[pool %s] pm.max_spawn_rate must be a positive value", p.Name)
	}
	for _, path := range p.AccessSuppressPath {
		if path == "" || path[0] != '/' {
			return l.fail("[pool %s] Values provided to field 'access.suppress_path' must begin with '/', not '%s'", p.Name, path)
		}
	}
	if !l.finishPages(p) || !l.finishSlowlog(p) || !l.openAccessLogs() {
		return false
	}
	if p.Listen == "" || !IsUnixAddress(p.Listen) {
		return true
	}
	_, err := p.socketPermissions(l)
	return err == nil
}

// ParseBool reads a boolean as php-fpm does (fpm_conf.c:fpm_conf_set_boolean).
func ParseBool(text string) (bool, error) {
	on, reason := parseBool(text)
	if reason != "" {
		return false, errors.New(reason)
	}
	return on, nil
}

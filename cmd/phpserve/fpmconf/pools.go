package fpmconf

import (
	"strings"
	"time"
)

// finishPools checks and completes the pools in order; a pool with pm.status_listen adds another one at the end
// (php-src sapi/fpm/fpm/fpm_conf.c:fpm_conf_process_all_pools).
func (l *loader) finishPools() bool {
	if len(l.cfg.Pools) == 0 {
		return l.fail("No pool defined. at least one pool section must be specified in config file")
	}
	for i := 0; i < len(l.cfg.Pools); i++ {
		p := l.cfg.Pools[i]
		if !l.finishListen(p) || !l.finishPM(p) || !l.finishPages(p) || !l.finishSlowlog(p) || !l.finishDirectories(p) {
			return false
		}
		if !p.given["security.limit_extensions"] {
			p.SecurityLimitExtensions = ".php .phar"
		}
		if !p.given["chroot"] {
			l.expandINIPaths(p)
		}
	}
	for _, p := range l.cfg.Pools {
		for _, q := range l.cfg.Pools {
			if p != q && p.Listen == q.Listen {
				return l.fail("[pool %s] unable to set listen address as it's already used in another pool '%s'", q.Name, p.Name)
			}
		}
	}
	return true
}

func (l *loader) finishListen(p *Pool) bool {
	if p.Prefix != "" {
		p.Prefix = l.fullPath(p.Prefix, nil, l.o.DefaultPrefix)
		if !l.sys.isDir(p.Prefix) {
			return l.fail("[pool %s] the prefix '%s' does not exist or is not a directory", p.Name, p.Prefix)
		}
	}
	if !p.given["user"] && l.o.Root && !l.o.AllowRoot {
		return l.alert("[pool %s] user has not been defined", p.Name)
	}
	if p.Listen == "" {
		return l.alert("[pool %s] no listen address have been defined!", p.Name)
	}
	if IsUnixAddress(p.Listen) {
		p.Listen = l.fullPath(p.Listen, p, l.o.DefaultPrefix)
	}
	if badPriority(p.ProcessPriority) {
		return l.fail("[pool %s] process.priority must be included into [-19,20]", p.Name)
	}
	return true
}

// IsUnixAddress reports whether listen or pm.status_listen names a unix socket: it has no colon and is not just a port
// (php-src sapi/fpm/fpm/fpm_sockets.c:fpm_sockets_domain_from_address).
func IsUnixAddress(address string) bool {
	return !strings.Contains(address, ":") && strings.Trim(address, "0123456789") != ""
}

func (l *loader) finishPM(p *Pool) bool {
	if p.PM == PMUnset {
		return l.alert("[pool %s] the process manager is missing (static, dynamic or ondemand)", p.Name)
	}
	if p.MaxChildren < 1 {
		return l.alert("[pool %s] pm.max_children must be a positive value", p.Name)
	}
	switch p.PM {
	case PMDynamic:
		return l.finishDynamic(p)
	case PMOndemand:
		return l.finishOndemand(p)
	case PMUnset, PMStatic:
	}
	return true
}

func (l *loader) finishDynamic(p *Pool) bool {
	low, high := p.MinSpareServers, p.MaxSpareServers
	switch {
	case low <= 0:
		return l.alert("[pool %s] pm.min_spare_servers(%d) must be a positive value", p.Name, low)
	case high <= 0:
		return l.alert("[pool %s] pm.max_spare_servers(%d) must be a positive value", p.Name, high)
	case low > p.MaxChildren || high > p.MaxChildren:
		return l.alert("[pool %s] pm.min_spare_servers(%d) and pm.max_spare_servers(%d) cannot be greater than"+
			" pm.max_children(%d)", p.Name, low, high, p.MaxChildren)
	case high < low:
		return l.alert("[pool %s] pm.max_spare_servers(%d) must not be less than pm.min_spare_servers(%d)", p.Name, high, low)
	case p.StartServers <= 0:
		p.StartServers = low + (high-low)/2
		l.say(LevelNotice, "[pool %s] pm.start_servers is not set. It's been set to %d.", p.Name, p.StartServers)
	case p.StartServers < low || p.StartServers > high:
		return l.alert("[pool %s] pm.start_servers(%d) must not be less than pm.min_spare_servers(%d) and not greater than"+
			" pm.max_spare_servers(%d)", p.Name, p.StartServers, low, high)
	}
	if p.MaxSpawnRate < 1 {
		return l.alert("[pool %s] pm.max_spawn_rate must be a positive value", p.Name)
	}
	return true
}

func (l *loader) finishOndemand(p *Pool) bool {
	if l.cfg.Global.Mechanism() != "epoll" {
		return l.alert("[pool %s] ondemand process manager can ONLY be used when events.mechanism is either epoll (Linux)"+
			" or kqueue (*BSD).", p.Name)
	}
	if p.ProcessIdleTimeout < time.Second {
		return l.alert("[pool %s] pm.process_idle_timeout(%ds) must be greater than 0s", p.Name, wholeSeconds(p.ProcessIdleTimeout))
	}
	const backlog = -1 // FPM_BACKLOG_DEFAULT on Linux
	if p.ListenBacklog < backlog {
		l.say(LevelWarning, "[pool %s] listen.backlog(%d) was too low for the ondemand process manager. I updated it for you"+
			" to %d.", p.Name, p.ListenBacklog, backlog)
		p.ListenBacklog = backlog
	}
	p.StartServers, p.MinSpareServers, p.MaxSpareServers = 0, 0, 0
	return true
}

// finishPages checks the status and ping pages and completes the access log.
func (l *loader) finishPages(p *Pool) bool {
	if p.given["pm.status_listen"] {
		l.cfg.Pools = append(l.cfg.Pools, statusPool(p))
	}
	short := !p.given["pm.status_listen"] && p.StatusOf == nil && len(p.StatusPath) < 2
	if p.StatusPath != "" && !l.checkPage(p, "status", p.StatusPath, short) {
		return false
	}
	if p.PingPath == "" {
		p.PingResponse = ""
		delete(p.given, "ping.response")
	} else {
		if !l.checkPage(p, "ping", p.PingPath, len(p.PingPath) < 2) {
			return false
		}
		if !p.given["ping.response"] {
			p.PingResponse = "pong"
		} else if p.PingResponse == "" {
			return l.fail("[pool %s] the ping response page '%s' is not long enough", p.Name, p.PingResponse)
		}
	}
	if p.AccessLog != "" {
		p.AccessLog = l.fullPath(p.AccessLog, p, l.o.DefaultPrefix)
		if !p.given["access.format"] {
			p.AccessFormat = `%R - %u %t "%m %r" %s`
		}
	}
	return true
}

func (l *loader) checkPage(p *Pool, kind, path string, short bool) bool {
	if path[0] != '/' {
		return l.fail("[pool %s] the %s path '%s' must start with a '/'", p.Name, kind, path)
	}
	if short {
		return l.fail("[pool %s] the %s path '%s' is not long enough", p.Name, kind, path)
	}
	for i := range len(path) {
		if !inClass("alnum", path[i]) && strings.IndexByte("/-_.~", path[i]) < 0 {
			return l.fail("[pool %s] the %s path '%s' must contain only the following characters '[alphanum]/_-.~'",
				p.Name, kind, path)
		}
	}
	return true
}

// statusPool makes the pool of pm.status_listen (fpm_conf.c:fpm_worker_pool_shared_status_alloc).
func statusPool(of *Pool) *Pool {
	if !of.given["pm.status_path"] {
		of.StatusPath = "/"
		of.mark("pm.status_path")
	}
	p := newPool(of.Name + "_status")
	p.StatusOf = of
	p.Listen = of.StatusListen
	p.ListenACLUsers, p.ListenACLGroups = of.ListenACLUsers, of.ListenACLGroups
	p.ListenAllowedClients = of.ListenAllowedClients
	p.ListenOwner, p.ListenGroup, p.ListenMode = of.ListenOwner, of.ListenGroup, of.ListenMode
	p.User, p.Group, p.StatusPath = of.User, of.Group, of.StatusPath
	for _, name := range [...]string{"user", "group", "listen.owner", "listen.group", "pm.status_path"} {
		if of.given[name] {
			p.mark(name)
		}
	}
	p.PM, p.MaxChildren = PMOndemand, 2
	return p
}

func (l *loader) finishSlowlog(p *Pool) bool {
	if p.Slowlog != "" {
		p.Slowlog = l.fullPath(p.Slowlog, p, l.o.DefaultPrefix)
	}
	slow, terminate := p.RequestSlowlogTimeout, p.RequestTerminateTimeout
	if slow != 0 {
		switch {
		case p.Slowlog == "" && !l.o.SlowlogOptional:
			return l.fail("[pool %s] 'slowlog' must be specified for use with 'request_slowlog_timeout'", p.Name)
		case p.Slowlog != "":
			if err := l.sys.appendable(p.Slowlog); err != nil {
				return l.fail("Unable to create or open slowlog(%s): %s", p.Slowlog, systemError(err))
			}
		}
		if terminate != 0 && slow > terminate {
			return l.fail("[pool %s] 'request_slowlog_timeout' (%d) can't be greater than 'request_terminate_timeout' (%d)",
				p.Name, wholeSeconds(slow), wholeSeconds(terminate))
		}
	}
	switch depth := p.RequestSlowlogTraceDepth; {
	case depth == 0:
		p.RequestSlowlogTraceDepth = 20
	case p.Slowlog == "":
		return l.fail("[pool %s] 'slowlog' must be specified for use with 'request_slowlog_trace_depth'", p.Name)
	case depth < 0:
		return l.fail("[pool %s] 'request_slowlog_trace_depth' (%d) must be a positive value", p.Name, depth)
	}
	return true
}

func (l *loader) finishDirectories(p *Pool) bool {
	if p.Chroot != "" {
		p.Chroot = l.chrootPath(p)
		if !strings.HasPrefix(p.Chroot, "/") {
			return l.fail("[pool %s] the chroot path '%s' must start with a '/'", p.Name, p.Chroot)
		}
		if !l.sys.isDir(p.Chroot) {
			return l.fail("[pool %s] the chroot path '%s' does not exist or is not a directory", p.Name, p.Chroot)
		}
	}
	if p.Chdir == "" {
		return true
	}
	p.Chdir = l.fullPath(p.Chdir, p, l.o.DefaultPrefix)
	if !strings.HasPrefix(p.Chdir, "/") {
		return l.fail("[pool %s] the chdir path '%s' must start with a '/'", p.Name, p.Chdir)
	}
	if p.given["chroot"] {
		if dir := p.Chroot + "/" + p.Chdir; !l.sys.isDir(dir) {
			return l.fail("[pool %s] the chdir path '%s' within the chroot path '%s' ('%s') does not exist or is not a directory",
				p.Name, p.Chdir, p.Chroot, dir)
		}
	} else if !l.sys.isDir(p.Chdir) {
		return l.fail("[pool %s] the chdir path '%s' does not exist or is not a directory", p.Name, p.Chdir)
	}
	return true
}

// openAccessLogs tries all access logs and then all formats that are in use (fpm_log.c:fpm_log_open, fpm_log_write).
func (l *loader) openAccessLogs() bool {
	for _, p := range l.cfg.Pools {
		if p.AccessLog == "" && !p.given["access.log"] {
			continue
		}
		if err := l.sys.appendable(p.AccessLog); err != nil {
			return l.fail("failed to open access log (%s): %s", p.AccessLog, systemError(err))
		}
	}
	for _, p := range l.cfg.Pools {
		if p.AccessLog == "" || l.o.CheckAccessFormat == nil {
			continue
		}
		warning, err := l.o.CheckAccessFormat(p.AccessFormat)
		if warning != "" {
			l.say(LevelWarning, "%s", warning)
		}
		if err != nil {
			return l.fail("[pool %s] wrong format for access.format '%s'", p.Name, p.AccessFormat)
		}
	}
	return true
}

func wholeSeconds(d time.Duration) int { return int(d / time.Second) }

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server"
	"github.com/phpserve/phpserve/server/accesslog"
	"github.com/phpserve/phpserve/server/listen"
)

const (
	// fpmControlTimeout is process_control_timeout where it is not set: php-fpm's own zero would cut running requests off.
	fpmControlTimeout = 10 * time.Second

	// fpmQueueTimeout is how long a request may wait for a worker. php-fpm leaves it in the listen queue without a limit; the
	// web server's own is what ends it.
	fpmQueueTimeout = 24 * time.Hour
)

// serverConfig turns a php-fpm configuration into a server's.
func (o *fpmOptions) serverConfig(conf *fpmconf.Config) (server.Config, error) {
	c := server.DefaultConfig()
	c.Listen, c.AccessLog = nil, "off"
	c.Admin, c.AdminToken = o.admin, os.Getenv(envPrefix+"ADMIN_TOKEN")
	if c.ProcessControlTimeout = conf.Global.ProcessControlTimeout; c.ProcessControlTimeout == 0 {
		c.ProcessControlTimeout = fpmControlTimeout
	}
	c.ProcessMax = conf.Global.ProcessMax
	c.EmergencyRestartThreshold, c.EmergencyRestartInterval = conf.Global.EmergencyRestartThreshold, conf.Global.EmergencyRestartInterval
	var errs []error
	for _, p := range conf.Pools {
		if p.StatusOf != nil {
			responder, err := fpmResponder(conf, p)
			errs = append(errs, err)
			responder.Pool, responder.Status.Only = p.StatusOf.Name, true
			responder.Status.PingPath, responder.Status.PingResponse = p.StatusOf.PingPath, p.StatusOf.PingResponse
			c.Responders = append(c.Responders, responder)
			continue
		}
		pool, err := o.pool(conf, p)
		errs = append(errs, err)
		c.Pools = append(c.Pools, pool)
		responder, err := fpmResponder(conf, p)
		errs = append(errs, err)
		c.Responders = append(c.Responders, responder)
	}
	return c, errors.Join(errs...)
}

// pool is the workers' side of a pool.
func (o *fpmOptions) pool(conf *fpmconf.Config, p *fpmconf.Pool) (manager.PoolConfig, error) {
	c := manager.DefaultPoolConfig(1)
	c.Name, c.Engine, c.User, c.Group, c.AllowRoot = p.Name, o.engine, p.User, p.Group, o.allowRoot
	c.PM, c.MaxChildren, c.StartServers = p.PM.String(), p.MaxChildren, p.StartServers
	c.MinSpareServers, c.MaxSpareServers = p.MinSpareServers, p.MaxSpareServers
	c.ProcessIdleTimeout, c.MaxRequests = p.ProcessIdleTimeout, p.MaxRequests
	c.RequestTerminateTimeout, c.QueueTimeout = p.RequestTerminateTimeout, fpmQueueTimeout
	c.RequestTerminateTimeoutTrackFinished = p.RequestTerminateTimeoutTrackFinished
	c.QueueSize = max(c.QueueSize, listen.EffectiveBacklog(p.ListenBacklog))
	c.Chroot, c.Chdir, c.ClearEnv = p.Chroot, p.Chdir, p.ClearEnv
	c.Dumpable, c.DiscardOutput = &p.ProcessDumpable, !p.CatchWorkersOutput
	c.RequestSlowlogTimeout, c.Slowlog, c.RequestSlowlogTraceDepth = p.RequestSlowlogTimeout, p.Slowlog, p.RequestSlowlogTraceDepth
	c.ObserveAll = p.AccessLog != "" && wantsMemory.MatchString(p.AccessFormat)
	c.Observe = p.StatusPath != "" || c.ObserveAll
	c.RlimitFiles, c.RlimitCore = p.RlimitFiles, int64(p.RlimitCore)
	if priority := p.ProcessPriority; priority != fpmconf.PriorityUnset {
		c.Priority = &priority
	} else if priority := conf.Global.ProcessPriority; priority != fpmconf.PriorityUnset {
		c.Priority = &priority // php-fpm's master has it and the children inherit it; so with the limits
	}
	if c.RlimitFiles == 0 {
		c.RlimitFiles = conf.Global.RlimitFiles
	}
	if c.RlimitCore == 0 {
		c.RlimitCore = int64(conf.Global.RlimitCore)
	}
	o.setINI(&c, conf.File)
	if euid := os.Geteuid(); euid > 0 { // php-fpm asks the system who it is, not its environment (fpm_unix.c:fpm_unix_conf_wp)
		if me, err := user.LookupId(strconv.Itoa(euid)); err == nil {
			c.Env = append(c.Env, "USER="+me.Username, "HOME="+me.HomeDir)
		}
	}
	for _, e := range slices.Backward(p.Env) { // as with settings
		if name, ok := strings.CutPrefix(e.Value, "$"); ok {
			value, _ := os.LookupEnv(name)
			c.Env = append(c.Env, e.Name+"="+value)
			continue
		}
		c.Env = append(c.Env, e.Name+"="+e.Value)
	}
	c.PHPValue = o.iniDefines()
	// Of two settings with one name php-fpm uses the first, the pool the last.
	for _, v := range slices.Backward(p.PHPValues) {
		c.PHPValue = append(c.PHPValue, v.Name+"="+v.Value)
	}
	for _, v := range slices.Backward(p.PHPAdminValues) {
		c.PHPAdminValue = append(c.PHPAdminValue, v.Name+"="+v.Value)
	}
	return c, nil
}

// wantsMemory finds %M in access.format.
var wantsMemory = regexp.MustCompile(`%(\{[^}]*\})?M`)

// fpmList splits names at commas, as php-fpm does without looking for blanks (fpm_unix.c:fpm_unix_resolve_socket_permissions).
func fpmList(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' })
}

// fpmResponder is the web server's side of a pool.
func fpmResponder(conf *fpmconf.Config, p *fpmconf.Pool) (server.ResponderConfig, error) {
	r := server.ResponderConfig{
		Access: accesslog.FPMConfig{
			File: p.AccessLog, Format: p.AccessFormat, SuppressPath: p.AccessSuppressPath, Limit: conf.Global.LogLimit,
		},
		Pool: p.Name, Listen: p.Listen, Backlog: p.ListenBacklog, Owner: p.ListenOwner, Group: p.ListenGroup,
		ACLUsers: fpmList(p.ListenACLUsers), ACLGroups: fpmList(p.ListenACLGroups),
		LimitExtensions: strings.Fields(p.SecurityLimitExtensions), Chdir: p.Chdir,
		Status: server.FPMStatusConfig{Path: p.StatusPath, PingPath: p.PingPath, PingResponse: p.PingResponse},
	}
	if p.ListenMode != "" {
		mode, err := strconv.ParseUint(p.ListenMode, 8, 32)
		if err != nil {
			return r, fmt.Errorf("[pool %s] listen.mode: %q is not an octal number", p.Name, p.ListenMode)
		}
		r.Mode = uint32(mode)
	}
	if p.ListenAllowedClients == "" || fpmconf.IsUnixAddress(p.Listen) {
		return r, nil
	}
	r.AllowedClients = []netip.Addr{} // nobody, should none of them make sense
	for _, text := range strings.FieldsFunc(p.ListenAllowedClients, func(c rune) bool { return c == ',' || c == ' ' }) {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return r, fmt.Errorf("[pool %s] Wrong IP address '%s' in listen.allowed_clients", p.Name, text)
		}
		r.AllowedClients = append(r.AllowedClients, addr)
	}
	return r, nil
}

package fpmconf

import "time"

// PriorityUnset is the value of process.priority that php-fpm takes for "not set".
const PriorityUnset = 64

// Unlimited is the value of rlimit_core = unlimited.
const Unlimited = -1

// Config is a complete configuration: checked, with defaults filled in and paths made absolute.
type Config struct {
	// File is the configuration file, as given to Load.
	File   string
	Global Global
	// Pools are the pools in the order of their first section, then the invisible pools of pm.status_listen.
	Pools []*Pool
}

// Pool returns the pool of that name, or nil.
func (c *Config) Pool(name string) *Pool {
	for _, p := range c.Pools {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Global holds the directives of [global] (php-src sapi/fpm/fpm/fpm_conf.h:fpm_global_config_s).
type Global struct {
	// PID is pid: the file for the master's process id, absolute. Empty writes none.
	PID string
	// ErrorLog is error_log: an absolute file or "syslog" in any case. Default log/php-fpm.log below Localstatedir.
	ErrorLog string
	// SyslogIdent is syslog.ident. Default "php-fpm".
	SyslogIdent string
	// SyslogFacility is syslog.facility as syslog(3) numbers it. Default 24, LOG_DAEMON.
	SyslogFacility int
	// LogBuffering is log_buffering: a line of worker output is written at once. Default true.
	LogBuffering bool
	// LogLevel is log_level: the least severe level logged. LevelUnset, the default, means LevelNotice.
	LogLevel Level
	// LogLimit is log_limit: the longest log line in bytes, at least 512. Default 1024.
	LogLimit int
	// EmergencyRestartThreshold is emergency_restart_threshold: so many crashed children within EmergencyRestartInterval
	// restart everything gracefully. Zero, the default, is off.
	EmergencyRestartThreshold int
	// EmergencyRestartInterval is emergency_restart_interval, whole seconds. Zero, the default, is off.
	EmergencyRestartInterval time.Duration
	// ProcessControlTimeout is process_control_timeout: how long children may take to obey a signal, whole seconds. Zero, the
	// default, does not wait.
	ProcessControlTimeout time.Duration
	// ProcessMax is process.max: the most children of all pools together. Zero, the default, is no limit.
	ProcessMax int
	// ProcessPriority is process.priority: the master's nice value, -19 to 20, as root only. Default PriorityUnset.
	ProcessPriority int
	// Daemonize is daemonize; -D and -F override it. Default true.
	Daemonize bool
	// RlimitFiles is rlimit_files: RLIMIT_NOFILE of the master. Zero, the default, leaves it.
	RlimitFiles int
	// RlimitCore is rlimit_core: RLIMIT_CORE of the master in bytes, or Unlimited. Zero, the default, leaves it.
	RlimitCore int
	// EventsMechanism is events.mechanism as configured: epoll, poll or select in any case. It has no effect here, except
	// that ondemand is refused with anything but epoll. Empty, the default, is epoll.
	EventsMechanism string
	// SystemdInterval is systemd_interval: how often health is reported to systemd; half of WATCHDOG_USEC when that is set
	// and longer than two seconds. Zero is off, the default 10 s.
	SystemdInterval time.Duration
	// SystemdWatchdog says that SystemdInterval comes from WATCHDOG_USEC.
	SystemdWatchdog bool

	given given
}

// Pool holds the directives of one pool (php-src sapi/fpm/fpm/fpm_conf.h:fpm_worker_pool_config_s).
type Pool struct {
	// Name is the section's name, in the letters of its first section.
	Name string
	// Prefix is prefix: the existing directory relative paths of the pool start at, absolute. Empty is the global one.
	Prefix string
	// User is user: a name or a number. Empty keeps the master's.
	User string
	// Group is group: a name or a number. Empty is the user's primary group.
	Group string
	// Listen is listen: host:port, port, or the absolute path of a unix socket. Mandatory.
	Listen string
	// ListenBacklog is listen.backlog, as listen(2) takes it. Default -1, the system's most.
	ListenBacklog int
	// ListenACLUsers is listen.acl_users: user names separated by commas that may use the unix socket. When it or
	// ListenACLGroups is set, ListenOwner and ListenGroup are ignored.
	ListenACLUsers string
	// ListenACLGroups is listen.acl_groups: as ListenACLUsers, for groups.
	ListenACLGroups string
	// ListenOwner is listen.owner: name or number of the unix socket's owner. Empty leaves it.
	ListenOwner string
	// ListenGroup is listen.group: name or number of the unix socket's group. Empty is the owner's, if there is one.
	ListenGroup string
	// ListenMode is listen.mode: octal digits. Empty is 0660.
	ListenMode string
	// ListenAllowedClients is listen.allowed_clients: addresses separated by commas; TCP only. Empty allows all.
	ListenAllowedClients string
	// ListenSetfib is listen.setfib: FreeBSD's routing table. Parsed and kept, without effect. Default -1.
	ListenSetfib int
	// ProcessPriority is process.priority: nice value of the children, -19 to 20, as root only. Default PriorityUnset.
	ProcessPriority int
	// ProcessDumpable is process.dumpable: children may dump core and be traced by their user. Default false.
	ProcessDumpable bool
	// PM is pm: how the number of children is managed. Mandatory.
	PM PM
	// MaxChildren is pm.max_children: the most children at a time, all of them when PM is PMStatic. Mandatory, 1 or more.
	MaxChildren int
	// StartServers is pm.start_servers: children at the start of a dynamic pool. Default half way between the two spares.
	StartServers int
	// MinSpareServers is pm.min_spare_servers: the fewest idle children of a dynamic pool. Mandatory there.
	MinSpareServers int
	// MaxSpareServers is pm.max_spare_servers: the most idle children of a dynamic pool. Mandatory there.
	MaxSpareServers int
	// MaxSpawnRate is pm.max_spawn_rate: the most children started in one go. Default 32.
	MaxSpawnRate int
	// ProcessIdleTimeout is pm.process_idle_timeout: an ondemand child idle for longer ends; whole seconds. Default 10 s.
	ProcessIdleTimeout time.Duration
	// MaxRequests is pm.max_requests: a child ends after so many requests. Zero, the default, is never.
	MaxRequests int
	// StatusPath is pm.status_path: the URI of the status page. Empty is none.
	StatusPath string
	// StatusListen is pm.status_listen: an address of its own for the status page. Empty is none.
	StatusListen string
	// PingPath is ping.path: the URI of the ping page. Empty is none.
	PingPath string
	// PingResponse is ping.response: what the ping page answers. Default "pong", and empty without PingPath.
	PingResponse string
	// AccessLog is access.log: an absolute file. Empty is none.
	AccessLog string
	// AccessFormat is access.format. With AccessLog the default is `%R - %u %t "%m %r" %s`.
	AccessFormat string
	// AccessSuppressPath is access.suppress_path[]: paths of successful plain requests that are not logged, as declared.
	AccessSuppressPath []string
	// Slowlog is slowlog: an absolute file for the traces of slow requests. Empty is none.
	Slowlog string
	// RequestSlowlogTimeout is request_slowlog_timeout: a request that takes longer is traced; whole seconds. Zero, the
	// default, is off.
	RequestSlowlogTimeout time.Duration
	// RequestSlowlogTraceDepth is request_slowlog_trace_depth: the most frames of a trace. Default 20.
	RequestSlowlogTraceDepth int
	// RequestTerminateTimeout is request_terminate_timeout: a request that takes longer is killed; whole seconds. Zero, the
	// default, is off.
	RequestTerminateTimeout time.Duration
	// RequestTerminateTimeoutTrackFinished is request_terminate_timeout_track_finished: the time after
	// fastcgi_finish_request() counts too. Default false.
	RequestTerminateTimeoutTrackFinished bool
	// RlimitFiles is rlimit_files: RLIMIT_NOFILE of each child. Zero, the default, leaves it.
	RlimitFiles int
	// RlimitCore is rlimit_core: RLIMIT_CORE of each child in bytes, or Unlimited. Zero, the default, leaves it.
	RlimitCore int
	// Chroot is chroot: an absolute existing directory, as root only. Empty is none.
	Chroot string
	// Chdir is chdir: an absolute directory, inside Chroot if that is set. Empty is "/" in a chroot, else the master's.
	Chdir string
	// CatchWorkersOutput is catch_workers_output: what children write to standard output and error is logged. Default false.
	CatchWorkersOutput bool
	// DecorateWorkersOutput is decorate_workers_output: such lines say which child wrote them. Default true.
	DecorateWorkersOutput bool
	// ClearEnv is clear_env: children start with an empty environment. Default true.
	ClearEnv bool
	// SecurityLimitExtensions is security.limit_extensions: extensions a script may have, separated by blanks. Empty is any,
	// the default ".php .phar".
	SecurityLimitExtensions string
	// AppArmorHat is apparmor_hat: parsed and kept, without effect.
	AppArmorHat string
	// Env is env[]: variables of the children in the order declared. Of two with one name the FIRST wins. A Value that starts
	// with "$" is the name of a variable of the master.
	Env []EnvValue
	// PHPValues is php_value[] and php_flag[]: INI settings of the children in the order declared. Of two with one name the
	// FIRST wins.
	PHPValues []INIValue
	// PHPAdminValues is php_admin_value[] and php_admin_flag[]: as PHPValues, but scripts cannot change them.
	PHPAdminValues []INIValue

	// StatusOf is the pool this invisible one reports on, which was made for its pm.status_listen. Nil for an ordinary pool.
	StatusOf *Pool
	// Identity is who the children run as. It is the zero value when Options.Test is set.
	Identity Identity

	given given
}

// PM is a way to manage the number of children (pm).
type PM int

const (
	// PMUnset is a pool without pm, which is refused.
	PMUnset PM = iota
	// PMStatic keeps MaxChildren children.
	PMStatic
	// PMDynamic keeps between MinSpareServers and MaxSpareServers idle children.
	PMDynamic
	// PMOndemand starts children when there are connections.
	PMOndemand
)

// String is the directive's value.
func (m PM) String() string {
	switch m {
	case PMStatic:
		return "static"
	case PMDynamic:
		return "dynamic"
	case PMOndemand:
		return "ondemand"
	case PMUnset:
	}
	return "undefined"
}

// EnvValue is one env[Name] = Value.
type EnvValue struct {
	Name, Value string
}

// INIValue is one php_value, php_flag, php_admin_value or php_admin_flag.
type INIValue struct {
	Name string
	// Value is the setting; "1" or "0" for a flag.
	Value string
	// Flag marks php_flag and php_admin_flag.
	Flag bool
	// Admin marks php_admin_value and php_admin_flag, which scripts cannot change.
	Admin bool
}

// given holds the names of the directives that were set: php-fpm tells an empty text from a missing one.
type given map[string]bool

func (g *Global) mark(name string) {
	if g.given == nil {
		g.given = given{}
	}
	g.given[name] = true
}

func (p *Pool) mark(name string) {
	if p.given == nil {
		p.given = given{}
	}
	p.given[name] = true
}

package manager

import (
	"slices"
	"time"
)

// The process managers of a pool, named as in php-fpm.
const (
	PMStatic   = "static"   // always max_children workers
	PMDynamic  = "dynamic"  // between min_spare_servers and max_spare_servers idle workers
	PMOndemand = "ondemand" // workers only while there is work
)

// The engines that make worker processes.
const (
	EngineAuto   = "auto"   // zygote where PHP can, else spawn
	EngineZygote = "zygote" // workers forked from one php-cgi, sharing its opcache
	EngineSpawn  = "spawn"  // one php-cgi started per worker
)

// RlimitUnlimited is the value of rlimit_core that sets no limit.
const RlimitUnlimited = -1

// PoolConfig describes one pool of workers. Names and units are php-fpm's where php-fpm has the thing.
type PoolConfig struct {
	// Name of the pool, in logs and in the worker's runtime folder. Default "www".
	Name string
	// PHP is the path of the php-cgi binary.
	PHP string
	// Engine is "auto", "zygote" or "spawn". Default "auto".
	Engine string
	// User the workers run as; only root can change it. Empty: the user of phpserve itself.
	User string
	// Group of the workers. Empty: User's primary group.
	Group string
	// AllowRoot lets PHP run as root (php-fpm -R). Default false: an error.
	AllowRoot bool

	// PHPINI is the php.ini that PHP reads in place of its own, or the folder with it (php-fpm -c). Empty: php-cgi's own.
	PHPINI string
	// INIScanDir are the folders with further ini files, as PHP_INI_SCAN_DIR has them. Empty: php-cgi's own.
	INIScanDir string
	// FPMINI has PHP read the ini files that php-fpm of the same PHP reads, where PHPINI and INIScanDir say nothing else. Default false.
	FPMINI bool
	// NoPHPINI has PHP read no ini file but the pool's own settings (php-fpm -n).
	NoPHPINI bool

	// Chroot is the folder that is the root folder of the pool's workers, chroot(2): an absolute path. No PHP is needed in it,
	// but what scripts use by path is: files of time zones, /etc/resolv.conf, a folder for sessions. It needs root, the zygote
	// engine and a User. Scripts are named as they are inside. The pool's user must not be able to rename
	// the folder or one around it. Empty: none.
	Chroot string
	// Chdir is the working folder that PHP starts in, inside of Chroot. Empty: the root folder.
	Chdir string
	// Dumpable is process.dumpable: whether the pool's user may trace the workers (ptrace(2)) and gets their core dumps,
	// PR_SET_DUMPABLE of prctl(2). Nil: as it comes, which is no in a chroot and yes else. No makes the zygote one of root,
	// whose workers drop it; yes has no effect in a chroot. Where PHP runs as phpserve's own user it has none.
	Dumpable *bool
	// Priority is process.priority, the nice value of PHP, from -19 to 20. Nil: that of phpserve. Below phpserve's own only
	// root can set it.
	Priority *int
	// RlimitFiles is rlimit_files, how many files a worker may have open. Zero: as phpserve was started.
	RlimitFiles int
	// RlimitCore is rlimit_core, the largest core dump in bytes, rounded up to 512, or [RlimitUnlimited]. Zero: as phpserve
	// was started.
	RlimitCore int64

	// PM is the process manager: "static", "dynamic" or "ondemand".
	PM string
	// MaxChildren is pm.max_children: the most workers at the same time. At least 1.
	MaxChildren int
	// StartServers is pm.start_servers (dynamic): workers at start. Zero: halfway between the spare limits.
	StartServers int
	// MinSpareServers is pm.min_spare_servers (dynamic): idle workers kept ready. Zero: 1.
	MinSpareServers int
	// MaxSpareServers is pm.max_spare_servers (dynamic): more idle workers than this are ended. Zero: half of
	// pm.max_children, but not less than pm.min_spare_servers.
	MaxSpareServers int
	// ProcessIdleTimeout is pm.process_idle_timeout (ondemand): an idle worker ends after it. Above zero.
	ProcessIdleTimeout time.Duration
	// MaxRequests is pm.max_requests: a worker is replaced after so many requests, give or take an eighth so that not all
	// are replaced together. Zero: never.
	MaxRequests int

	// QueueSize is how many requests may wait for a worker; one more is refused with [ErrQueueFull]. Zero: none wait.
	QueueSize int
	// QueueTimeout is how long a request may wait for a worker before [ErrQueueTimeout]. Above zero.
	QueueTimeout time.Duration
	// RequestTerminateTimeout ends the worker of a request that runs longer. Zero: no limit.
	RequestTerminateTimeout time.Duration
	// RequestTerminateTimeoutTrackFinished has the limit hold for what a script does after fastcgi_finish_request(), too.
	RequestTerminateTimeoutTrackFinished bool

	// RequestSlowlogTimeout is request_slowlog_timeout: a request that runs longer is traced. Zero: none is.
	RequestSlowlogTimeout time.Duration
	// Slowlog is the file for the traces; empty: they are only remembered, see [Pool.SlowRequests].
	Slowlog string
	// RequestSlowlogTraceDepth is request_slowlog_trace_depth, the most frames of a trace. Zero: 20.
	RequestSlowlogTraceDepth int
	// SlowlogReport has Slowlog tell more than php-fpm's does: the request, classes, the line that runs. SlowlogArgs adds arguments.
	SlowlogReport, SlowlogArgs bool
	// Observe has the processor time and the memory of each request measured, for [Status]; not the memory of scripts that exit or die of
	// an error. Default false.
	Observe bool
	// ObserveAll, with Observe, has it measured of those, too: by a script that runs in front of each, and that scripts see
	// (get_included_files). Default false.
	ObserveAll bool

	// ClearEnv starts workers with an empty environment but for Env, PATH, USER and HOME. Default true, as in php-fpm.
	// False: with the environment of phpserve without its own PHPSERVE_* variables, all of which php-cgi then shows to
	// scripts in $_SERVER.
	ClearEnv bool
	// Env is NAME=VALUE for the workers' environment (env[NAME] of php-fpm), or NAME for the value that phpserve itself
	// was started with.
	Env []string
	// PHPValue is NAME=VALUE of php.ini settings that scripts may change (php_value of php-fpm).
	PHPValue []string
	// PHPAdminValue is NAME=VALUE of php.ini settings that scripts cannot change (php_admin_value of php-fpm). They hold
	// for scripts of which [PoolConfig.AdminHolds] says so.
	PHPAdminValue []string
	// AdminRoots are folders in the root folder, as PHP sees them, whose scripts PHPAdminValue holds for; server fills it with
	// [AdminFolders].
	AdminRoots []string
	// DiscardOutput has what scripts and the programs that they start write to standard output and error go nowhere, as
	// catch_workers_output = no of php-fpm does: both are the null device. Default false: it is logged.
	DiscardOutput bool
	// Responder says that a web server names the scripts: php-cgi has cgi.fix_pathinfo and cgi.discard_path as php.ini says. Else
	// phpserve names them, and php-cgi runs SCRIPT_FILENAME whatever these are.
	Responder bool
	// ClientValue and ClientAdminValue are settings like these two that came with a request. They count after those, and no PHP of
	// root ever reads them: whoever reaches the pool's socket could have it load an extension or write a log. So the zygote is one of
	// the pool's user and, in a chroot, they hold for scripts alone, where each is named with two slashes in front.
	ClientValue, ClientAdminValue []string
}

// DefaultPoolConfig returns the pool that runs when nothing is configured.
func DefaultPoolConfig(cpus int) PoolConfig {
	return PoolConfig{
		Name: "www", Engine: EngineAuto,
		PM: PMDynamic, MaxChildren: max(8, 4*cpus),
		ProcessIdleTimeout: 10 * time.Second,
		QueueSize:          1024, QueueTimeout: 30 * time.Second,
		ClearEnv: true,
	}
}

// values are all that scripts may change, and adminValues all that they cannot.
func (c *PoolConfig) values() []string { return slices.Concat(c.PHPValue, c.ClientValue) }

func (c *PoolConfig) adminValues() []string {
	return slices.Concat(c.PHPAdminValue, c.ClientAdminValue)
}

// fromClient says whether there are settings that came with a request.
func (c *PoolConfig) fromClient() bool { return len(c.ClientValue)+len(c.ClientAdminValue) > 0 }

// complete fills in what follows from other fields.
func (c *PoolConfig) complete() {
	if c.MinSpareServers == 0 {
		c.MinSpareServers = 1
	}
	if c.MaxSpareServers == 0 {
		c.MaxSpareServers = max(c.MinSpareServers, c.MaxChildren/2)
	}
}

// startServers is how many workers run right after the start.
func (c *PoolConfig) startServers() int {
	switch {
	case c.PM == PMStatic:
		return c.MaxChildren
	case c.PM == PMOndemand:
		return 0
	case c.StartServers > 0:
		return c.StartServers
	}
	return c.MinSpareServers + (c.MaxSpareServers-c.MinSpareServers)/2
}

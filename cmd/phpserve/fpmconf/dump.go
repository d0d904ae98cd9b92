package fpmconf

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Dump returns the messages of php-fpm -tt, each at LevelNotice (php-src sapi/fpm/fpm/fpm_conf.c:fpm_conf_dump). What has no
// effect here and is not in php-fpm's dump is not in this one either.
func (c *Config) Dump() []string {
	g := &c.Global
	d := dumper{given: g.given}
	d.head("global")
	d.text("pid", g.PID)
	d.text("error_log", g.ErrorLog)
	d.text("syslog.ident", g.SyslogIdent)
	d.number("syslog.facility", g.SyslogFacility)
	d.flag("log_buffering", g.LogBuffering)
	d.line("log_level", g.LogLevel.String())
	d.number("log_limit", g.LogLimit)
	d.seconds("emergency_restart_interval", g.EmergencyRestartInterval)
	d.number("emergency_restart_threshold", g.EmergencyRestartThreshold)
	d.seconds("process_control_timeout", g.ProcessControlTimeout)
	d.number("process.max", g.ProcessMax)
	d.priority(g.ProcessPriority)
	d.flag("daemonize", g.Daemonize)
	d.number("rlimit_files", g.RlimitFiles)
	d.number("rlimit_core", g.RlimitCore)
	d.line("events.mechanism", g.Mechanism())
	d.seconds("systemd_interval", g.SystemdInterval)
	d.lines = append(d.lines, " ")
	for _, p := range c.Pools {
		if p.StatusOf == nil {
			d.pool(p)
		}
	}
	return d.lines
}

type dumper struct {
	lines []string
	given given
}

func (d *dumper) pool(p *Pool) {
	d.given = p.given
	d.head(p.Name)
	d.text("prefix", p.Prefix)
	d.text("user", p.User)
	d.text("group", p.Group)
	d.text("listen", p.Listen)
	d.number("listen.backlog", p.ListenBacklog)
	d.text("listen.acl_users", p.ListenACLUsers)
	d.text("listen.acl_groups", p.ListenACLGroups)
	d.text("listen.owner", p.ListenOwner)
	d.text("listen.group", p.ListenGroup)
	d.text("listen.mode", p.ListenMode)
	d.text("listen.allowed_clients", p.ListenAllowedClients)
	d.priority(p.ProcessPriority)
	d.flag("process.dumpable", p.ProcessDumpable)
	d.line("pm", p.PM.String())
	d.number("pm.max_children", p.MaxChildren)
	d.number("pm.start_servers", p.StartServers)
	d.number("pm.min_spare_servers", p.MinSpareServers)
	d.number("pm.max_spare_servers", p.MaxSpareServers)
	d.number("pm.max_spawn_rate", p.MaxSpawnRate)
	d.number("pm.process_idle_timeout", wholeSeconds(p.ProcessIdleTimeout))
	d.number("pm.max_requests", p.MaxRequests)
	d.text("pm.status_path", p.StatusPath)
	d.text("pm.status_listen", p.StatusListen)
	d.text("ping.path", p.PingPath)
	d.text("ping.response", p.PingResponse)
	d.text("access.log", p.AccessLog)
	d.text("access.format", p.AccessFormat)
	for _, v := range slices.Backward(p.AccessSuppressPath) {
		d.line("access.suppress_path[]", v)
	}
	d.text("slowlog", p.Slowlog)
	d.seconds("request_slowlog_timeout", p.RequestSlowlogTimeout)
	d.number("request_slowlog_trace_depth", p.RequestSlowlogTraceDepth)
	d.seconds("request_terminate_timeout", p.RequestTerminateTimeout)
	d.flag("request_terminate_timeout_track_finished", p.RequestTerminateTimeoutTrackFinished)
	d.number("rlimit_files", p.RlimitFiles)
	d.number("rlimit_core", p.RlimitCore)
	d.text("chroot", p.Chroot)
	d.text("chdir", p.Chdir)
	d.flag("catch_workers_output", p.CatchWorkersOutput)
	d.flag("decorate_workers_output", p.DecorateWorkersOutput)
	d.flag("clear_env", p.ClearEnv)
	d.line("security.limit_extensions", p.SecurityLimitExtensions)
	d.arrays(p)
	d.lines = append(d.lines, " ")
}

// arrays prints the arrays, whose lists php-fpm has built back to front.
func (d *dumper) arrays(p *Pool) {
	for _, v := range slices.Backward(p.Env) {
		d.line("env["+v.Name+"]", v.Value)
	}
	for _, v := range slices.Backward(p.PHPValues) {
		d.line("php_value["+v.Name+"]", v.Value)
	}
	for _, v := range slices.Backward(p.PHPAdminValues) {
		d.line("php_admin_value["+v.Name+"]", v.Value)
	}
}

func (d *dumper) head(name string) { d.lines = append(d.lines, "["+name+"]") }

func (d *dumper) line(name, value string) { d.lines = append(d.lines, "\t"+name+" = "+value) }

func (d *dumper) text(name, value string) {
	if value == "" && !d.given[name] {
		value = "undefined"
	}
	d.line(name, value)
}

func (d *dumper) number(name string, n int) { d.line(name, strconv.Itoa(n)) }

func (d *dumper) seconds(name string, t time.Duration) {
	d.line(name, fmt.Sprintf("%ds", wholeSeconds(t)))
}

func (d *dumper) flag(name string, on bool) {
	if on {
		d.line(name, "yes")
	} else {
		d.line(name, "no")
	}
}

func (d *dumper) priority(n int) {
	if n == PriorityUnset {
		d.line("process.priority", "undefined")
	} else {
		d.number("process.priority", n)
	}
}

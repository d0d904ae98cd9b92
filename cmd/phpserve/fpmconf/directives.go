package fpmconf

import (
	"strings"
	"time"
)

// section is what directives are set in: Global or Pool.
type section interface{ mark(name string) }

// directive is one scalar entry: its name and how its value is stored. set returns php-fpm's reason for refusing the value.
type directive[S section] struct {
	name string
	set  func(s S, pool *Pool, value string) (reason string)
}

// assign finds the directive by name in any case and sets it. found is false when there is no such directive; name is the
// directive's own spelling, which is what php-fpm's messages use.
func assign[S section](table []directive[S], s S, pool *Pool, entry, value string) (name, reason string, found bool) {
	for _, d := range table {
		if strings.EqualFold(d.name, entry) && len(d.name) == len(entry) {
			s.mark(d.name)
			return d.name, d.set(s, pool, value), true
		}
	}
	return "", "", false
}

func parsed[S section, V any](name string, parse func(string) (V, string), field func(S) *V) directive[S] {
	return directive[S]{name, func(s S, _ *Pool, value string) string {
		v, reason := parse(value)
		if reason == "" {
			*field(s) = v
		}
		return reason
	}}
}

func text[S section](name string, field func(S) *string) directive[S] {
	return directive[S]{name, func(s S, pool *Pool, value string) string {
		v, reason := expandPool(value, pool)
		*field(s) = v
		return reason
	}}
}

func number[S section](name string, field func(S) *int) directive[S] {
	return parsed(name, parseInt, field)
}

func flag[S section](name string, field func(S) *bool) directive[S] {
	return parsed(name, parseBool, field)
}

func seconds[S section](name string, field func(S) *time.Duration) directive[S] {
	return parsed(name, parseTime, field)
}

// globalDirectives is the table of php-src sapi/fpm/fpm/fpm_conf.c:ini_fpm_global_options.
func globalDirectives() []directive[*Global] {
	return []directive[*Global]{
		text("pid", func(g *Global) *string { return &g.PID }),
		text("error_log", func(g *Global) *string { return &g.ErrorLog }),
		text("syslog.ident", func(g *Global) *string { return &g.SyslogIdent }),
		parsed("syslog.facility", parseFacility, func(g *Global) *int { return &g.SyslogFacility }),
		flag("log_buffering", func(g *Global) *bool { return &g.LogBuffering }),
		parsed("log_level", parseLevel, func(g *Global) *Level { return &g.LogLevel }),
		number("log_limit", func(g *Global) *int { return &g.LogLimit }),
		number("emergency_restart_threshold", func(g *Global) *int { return &g.EmergencyRestartThreshold }),
		seconds("emergency_restart_interval", func(g *Global) *time.Duration { return &g.EmergencyRestartInterval }),
		seconds("process_control_timeout", func(g *Global) *time.Duration { return &g.ProcessControlTimeout }),
		number("process.max", func(g *Global) *int { return &g.ProcessMax }),
		number("process.priority", func(g *Global) *int { return &g.ProcessPriority }),
		flag("daemonize", func(g *Global) *bool { return &g.Daemonize }),
		number("rlimit_files", func(g *Global) *int { return &g.RlimitFiles }),
		parsed("rlimit_core", parseRlimitCore, func(g *Global) *int { return &g.RlimitCore }),
		text("events.mechanism", func(g *Global) *string { return &g.EventsMechanism }),
		seconds("systemd_interval", func(g *Global) *time.Duration { return &g.SystemdInterval }),
	}
}

// poolDirectives is the table of php-src sapi/fpm/fpm/fpm_conf.c:ini_fpm_pool_options, and FreeBSD's listen.setfib.
func poolDirectives() []directive[*Pool] {
	return []directive[*Pool]{
		text("prefix", func(p *Pool) *string { return &p.Prefix }),
		text("user", func(p *Pool) *string { return &p.User }),
		text("group", func(p *Pool) *string { return &p.Group }),
		text("listen", func(p *Pool) *string { return &p.Listen }),
		number("listen.backlog", func(p *Pool) *int { return &p.ListenBacklog }),
		text("listen.acl_users", func(p *Pool) *string { return &p.ListenACLUsers }),
		text("listen.acl_groups", func(p *Pool) *string { return &p.ListenACLGroups }),
		text("listen.owner", func(p *Pool) *string { return &p.ListenOwner }),
		text("listen.group", func(p *Pool) *string { return &p.ListenGroup }),
		text("listen.mode", func(p *Pool) *string { return &p.ListenMode }),
		text("listen.allowed_clients", func(p *Pool) *string { return &p.ListenAllowedClients }),
		number("listen.setfib", func(p *Pool) *int { return &p.ListenSetfib }),
		number("process.priority", func(p *Pool) *int { return &p.ProcessPriority }),
		flag("process.dumpable", func(p *Pool) *bool { return &p.ProcessDumpable }),
		parsed("pm", parsePM, func(p *Pool) *PM { return &p.PM }),
		number("pm.max_children", func(p *Pool) *int { return &p.MaxChildren }),
		number("pm.start_servers", func(p *Pool) *int { return &p.StartServers }),
		number("pm.min_spare_servers", func(p *Pool) *int { return &p.MinSpareServers }),
		number("pm.max_spare_servers", func(p *Pool) *int { return &p.MaxSpareServers }),
		number("pm.max_spawn_rate", func(p *Pool) *int { return &p.MaxSpawnRate }),
		seconds("pm.process_idle_timeout", func(p *Pool) *time.Duration { return &p.ProcessIdleTimeout }),
		number("pm.max_requests", func(p *Pool) *int { return &p.MaxRequests }),
		text("pm.status_path", func(p *Pool) *string { return &p.StatusPath }),
		text("pm.status_listen", func(p *Pool) *string { return &p.StatusListen }),
		text("ping.path", func(p *Pool) *string { return &p.PingPath }),
		text("ping.response", func(p *Pool) *string { return &p.PingResponse }),
		text("access.log", func(p *Pool) *string { return &p.AccessLog }),
		text("access.format", func(p *Pool) *string { return &p.AccessFormat }),
		text("slowlog", func(p *Pool) *string { return &p.Slowlog }),
		seconds("request_slowlog_timeout", func(p *Pool) *time.Duration { return &p.RequestSlowlogTimeout }),
		number("request_slowlog_trace_depth", func(p *Pool) *int { return &p.RequestSlowlogTraceDepth }),
		seconds("request_terminate_timeout", func(p *Pool) *time.Duration { return &p.RequestTerminateTimeout }),
		flag("request_terminate_timeout_track_finished", func(p *Pool) *bool { return &p.RequestTerminateTimeoutTrackFinished }),
		number("rlimit_files", func(p *Pool) *int { return &p.RlimitFiles }),
		parsed("rlimit_core", parseRlimitCore, func(p *Pool) *int { return &p.RlimitCore }),
		text("chroot", func(p *Pool) *string { return &p.Chroot }),
		text("chdir", func(p *Pool) *string { return &p.Chdir }),
		flag("catch_workers_output", func(p *Pool) *bool { return &p.CatchWorkersOutput }),
		flag("decorate_workers_output", func(p *Pool) *bool { return &p.DecorateWorkersOutput }),
		flag("clear_env", func(p *Pool) *bool { return &p.ClearEnv }),
		text("security.limit_extensions", func(p *Pool) *string { return &p.SecurityLimitExtensions }),
		text("apparmor_hat", func(p *Pool) *string { return &p.AppArmorHat }),
	}
}

package fpmconf

import (
	"strconv"
	"time"
)

// minLogLimit is the least log_limit (php-src sapi/fpm/fpm/zlog.h:ZLOG_MIN_LIMIT).
const minLogLimit = 512

// logDaemon is LOG_DAEMON of syslog(3).
const logDaemon = 3 << 3

// finishGlobal checks and completes [global] (php-src sapi/fpm/fpm/fpm_conf.c:fpm_conf_post_process).
func (l *loader) finishGlobal() bool {
	g := &l.cfg.Global
	if g.given["pid"] || g.PID != "" {
		g.PID = l.fullPath(g.PID, nil, l.base())
	}
	if g.LogLevel != LevelUnset {
		l.level = g.LogLevel
	}
	switch {
	case g.LogLimit < minLogLimit:
		return l.fail("log_limit must be greater than %d", minLogLimit)
	case g.ProcessMax < 0:
		return l.fail("process_max can't be negative")
	case badPriority(g.ProcessPriority):
		return l.fail("process.priority must be included into [-19,20]")
	}
	if !g.given["error_log"] {
		g.ErrorLog = "log/php-fpm.log"
	}
	l.finishSystemd(g)
	if !g.given["syslog.ident"] {
		g.SyslogIdent = "php-fpm"
	}
	if g.SyslogFacility < 0 {
		g.SyslogFacility = logDaemon
	}
	if !equalFold(g.ErrorLog, "syslog") {
		g.ErrorLog = l.fullPath(g.ErrorLog, nil, l.base())
		if err := l.sys.appendable(g.ErrorLog); err != nil {
			return l.fail("failed to open error_log (%s): %s", g.ErrorLog, systemError(err))
		}
	}
	if g.given["events.mechanism"] && g.Mechanism() == "" {
		return l.fail("event mechanism '%s' is not available on this system", g.EventsMechanism)
	}
	return true
}

// base is where a relative pid and error_log are.
func (l *loader) base() string {
	if l.o.Localstatedir != "" {
		return l.o.Localstatedir
	}
	return l.o.DefaultPrefix
}

// finishSystemd is php-src sapi/fpm/fpm/fpm_systemd.c:fpm_systemd_conf.
func (l *loader) finishSystemd(g *Global) {
	var interval int32 // milliseconds
	if usec, ok := l.o.LookupEnv("WATCHDOG_USEC"); ok {
		n, _ := strconv.ParseInt(usec, 10, 64)
		interval = int32(n / 2000)
		l.say(LevelDebug, "WATCHDOG_USEC=%s, interval=%d", usec, interval)
	}
	switch {
	case interval > 1000:
		if g.SystemdInterval > 0 {
			l.say(LevelWarning, "systemd_interval option ignored")
		}
		l.say(LevelNotice, "systemd watchdog configured to %.3gsec", float64(interval)/1000)
		g.SystemdWatchdog = true
		g.SystemdInterval = time.Duration(interval) * time.Millisecond
	case g.SystemdInterval < 0:
		g.SystemdInterval = 10 * time.Second
	}
}

// Mechanism is the name of the event mechanism php-fpm would use on Linux, or "" if it has none of the configured name.
func (g *Global) Mechanism() string {
	if !g.given["events.mechanism"] && g.EventsMechanism == "" {
		return "epoll"
	}
	for _, name := range [...]string{"epoll", "poll", "select"} {
		if equalFold(name, g.EventsMechanism) {
			return name
		}
	}
	return ""
}

func badPriority(n int) bool { return n != PriorityUnset && (n < -19 || n > 20) }

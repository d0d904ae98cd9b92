package manager

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// rule is a rule for one setting.
type rule struct {
	field   string
	holds   bool
	allowed string // what the setting must be
	value   any    // what it is
}

// complaint takes what is wrong.
type complaint func(format string, args ...any)

// check tells which rules do not hold.
func (bad complaint) check(rules ...rule) {
	for _, r := range rules {
		value := fmt.Sprint(r.value)
		if text, ok := r.value.(string); ok {
			value = strconv.Quote(text)
		}
		if !r.holds {
			bad("%s must be %s, not %s", r.field, r.allowed, value)
		}
	}
}

// Validate fills in what follows from other fields and reports every value that cannot work, with what is allowed.
func (c *PoolConfig) Validate() error {
	c.complete()
	var errs []error
	bad := complaint(func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("[pool %s] "+format, append([]any{c.Name}, args...)...))
	})
	bad.check(
		rule{"engine", slices.Contains([]string{EngineAuto, EngineZygote, EngineSpawn}, c.Engine), "auto, zygote or spawn", c.Engine},
		rule{"pm.max_children", c.MaxChildren >= 1, "a positive value", c.MaxChildren},
		rule{"pm.process_idle_timeout", c.PM != PMOndemand || c.ProcessIdleTimeout > 0, "greater than 0s", c.ProcessIdleTimeout},
		rule{"pm", slices.Contains([]string{PMStatic, PMDynamic, PMOndemand}, c.PM), "static, dynamic or ondemand", c.PM},
	)
	if c.PM == PMDynamic {
		c.validateDynamic(bad)
	}
	c.validateChroot(os.Geteuid(), bad)
	if c.Priority != nil {
		bad.check(rule{"process.priority", *c.Priority >= -19 && *c.Priority <= 20, "included into [-19,20]", *c.Priority})
	}
	bad.check(
		rule{"rlimit_files", c.RlimitFiles >= 0, "0 (as it is) or greater", c.RlimitFiles},
		rule{"rlimit_core", c.RlimitCore >= RlimitUnlimited, "unlimited, 0 (as it is) or greater", c.RlimitCore},
		rule{"pm.max_requests", c.MaxRequests >= 0, "0 (never) or greater", c.MaxRequests},
		rule{"queue.size", c.QueueSize >= 0, "0 (nothing waits) or greater", c.QueueSize},
		rule{"queue.timeout", c.QueueTimeout > 0, "greater than 0s", c.QueueTimeout},
		rule{"request_terminate_timeout", c.RequestTerminateTimeout >= 0, "0 (no limit) or greater", c.RequestTerminateTimeout},
	)
	c.validateSlowlog(bad)
	c.validateEnv(bad)
	bad.checkINI("php_value", c.PHPValue)
	bad.checkINI("php_admin_value", c.PHPAdminValue)
	return errors.Join(errs...)
}

func (c *PoolConfig) validateSlowlog(bad complaint) {
	if c.RequestSlowlogTimeout < 0 || c.RequestSlowlogTraceDepth < 0 {
		bad("request_slowlog_timeout and request_slowlog_trace_depth must be 0 (off, and 20) or greater")
	}
	if c.RequestTerminateTimeout > 0 && c.RequestSlowlogTimeout > c.RequestTerminateTimeout {
		bad("'request_slowlog_timeout' (%v) can't be greater than 'request_terminate_timeout' (%v)", c.RequestSlowlogTimeout, c.RequestTerminateTimeout)
	}
}

func (c *PoolConfig) validateEnv(bad complaint) {
	for _, kv := range c.Env {
		name, _, hasValue := strings.Cut(kv, "=")
		if name == "" || strings.ContainsRune(kv, 0) {
			bad("env %q must be NAME=VALUE or NAME", kv)
		} else if _, set := os.LookupEnv(name); !hasValue && !set {
			bad("env %q: phpserve itself has no such variable to pass on", kv)
		}
	}
}

// checkINI tells which settings of php.ini cannot be one.
func (bad complaint) checkINI(field string, settings []string) {
	for _, kv := range settings {
		if err := CheckINI(kv); err != nil {
			bad("%s %q: %v", field, kv, err)
		}
	}
}

// validateDynamic holds php-fpm's rules between the sizes (fpm_conf.c:fpm_conf_process_all_pools).
func (c *PoolConfig) validateDynamic(bad complaint) {
	switch {
	case c.MaxChildren < 1: // said already; what follows from it would hide that
	case c.MinSpareServers < 1:
		bad("pm.min_spare_servers(%d) must be a positive value", c.MinSpareServers)
	case c.MaxSpareServers < c.MinSpareServers:
		bad("pm.max_spare_servers(%d) must not be less than pm.min_spare_servers(%d)", c.MaxSpareServers, c.MinSpareServers)
	case c.MinSpareServers > c.MaxChildren || c.MaxSpareServers > c.MaxChildren:
		bad("pm.min_spare_servers(%d) and pm.max_spare_servers(%d) cannot be greater than pm.max_children(%d)",
			c.MinSpareServers, c.MaxSpareServers, c.MaxChildren)
	case c.StartServers != 0 && (c.StartServers < c.MinSpareServers || c.StartServers > c.MaxSpareServers):
		bad("pm.start_servers(%d) must not be less than pm.min_spare_servers(%d) and not greater than pm.max_spare_servers(%d)",
			c.StartServers, c.MinSpareServers, c.MaxSpareServers)
	}
}

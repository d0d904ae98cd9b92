package fpmconf

import (
	"math"
	"strings"
	"time"
)

// The parsers return the reason php-fpm gives for refusing a value, or "" (php-src sapi/fpm/fpm/fpm_conf.c:fpm_conf_set_*).

const (
	reasonInteger = "is not a valid number (greater or equal than zero)"
	reasonPool    = "Can't use '$pool' when the pool is not defined"
)

func parseBool(s string) (v bool, reason string) {
	switch s {
	case "1", "yes", "true", "on":
		return true, ""
	case "", "0", "no", "none", "false", "off":
		return false, ""
	}
	return false, "invalid boolean value"
}

// parseInt accepts what php-fpm accepts, which includes the empty text, "-" and numbers that do not fit.
func parseInt(s string) (v int, reason string) {
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (i > 0 || s[i] != '-') {
			return 0, reasonInteger
		}
	}
	return int(atoi(s)), ""
}

// parseTime reads seconds, or another unit named by the last letter. What precedes the letter goes through atoi, so "10ms" is
// ten seconds and "1.5h" one hour, as with php-fpm.
func parseTime(s string) (v time.Duration, reason string) {
	if s == "" {
		return 0, "invalid time value"
	}
	unit := int32(1)
	last := s[len(s)-1]
	switch last {
	case 's':
	case 'm':
		unit = 60
	case 'h':
		unit = 60 * 60
	case 'd':
		unit = 24 * 60 * 60
	default:
		if last < '0' || last > '9' {
			return 0, "unknown suffix used in time value"
		}
		return time.Duration(atoi(s)) * time.Second, ""
	}
	return time.Duration(unit*atoi(s[:len(s)-1])) * time.Second, ""
}

func parseLevel(s string) (v Level, reason string) {
	switch strings.ToLower(s) {
	case "debug":
		return LevelDebug, ""
	case "notice":
		return LevelNotice, ""
	case "warning", "warn":
		return LevelWarning, ""
	case "error":
		return LevelError, ""
	case "alert":
		return LevelAlert, ""
	}
	return LevelUnset, "invalid value for 'log_level'"
}

// parseFacility returns the facility as syslog(3) of Linux numbers it.
func parseFacility(s string) (v int, reason string) {
	names := [...]string{
		"KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP", "", "", "", "",
		"LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7",
	}
	for i, name := range names {
		if name != "" && strings.EqualFold(s, name) {
			return i << 3, ""
		}
	}
	return 0, "invalid value"
}

func parseRlimitCore(s string) (v int, reason string) {
	if strings.EqualFold(s, "unlimited") {
		return Unlimited, ""
	}
	v, reason = parseInt(s)
	if reason == "" && v < 0 {
		return 0, "must be greater than zero or 'unlimited'"
	}
	return v, reason
}

func parsePM(s string) (v PM, reason string) {
	switch strings.ToLower(s) {
	case "static":
		return PMStatic, ""
	case "dynamic":
		return PMDynamic, ""
	case "ondemand":
		return PMOndemand, ""
	}
	return PMUnset, "invalid process manager (static, dynamic or ondemand)"
}

// expandPool replaces $pool. php-fpm looks at what it has put in again, and never ends on a pool whose name contains "$pool".
func expandPool(s string, pool *Pool) (v, reason string) {
	if !strings.Contains(s, "$pool") {
		return s, ""
	}
	if pool == nil {
		return "", reasonPool
	}
	return strings.ReplaceAll(s, "$pool", pool.Name), ""
}

// atoi is the C library's on Linux: leading white space, one sign, digits, anything; cut to 64 and then to 32 bits.
func atoi(s string) int32 {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	var v uint64
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		digit := uint64(s[i] - '0')
		if v > (limit-digit)/10 {
			v = limit
			break
		}
		v = v*10 + digit
	}
	if negative {
		v = -v
	}
	return int32(uint32(v))
}

package fpmconf

import "strconv"

// Level is the severity of a message, in php-fpm's order (php-src sapi/fpm/fpm/zlog.h:fpm_zlog levels).
type Level int

const (
	// LevelPlain marks a line that php-fpm writes to standard error without time and level: the INI parser's own errors.
	LevelPlain Level = iota - 1
	// LevelUnset is the log_level of a configuration that sets none; php-fpm then logs from LevelNotice.
	LevelUnset
	// LevelDebug is log_level = debug.
	LevelDebug
	// LevelNotice is log_level = notice.
	LevelNotice
	// LevelWarning is log_level = warning or warn.
	LevelWarning
	// LevelError is log_level = error.
	LevelError
	// LevelAlert is log_level = alert.
	LevelAlert
)

// String is the level as php-fpm writes it at the start of a log line; a level it has no name for is "unknown value".
func (l Level) String() string {
	switch l {
	case LevelDebug:
		return "DEBUG"
	case LevelNotice:
		return "NOTICE"
	case LevelWarning:
		return "WARNING"
	case LevelError:
		return "ERROR"
	case LevelAlert:
		return "ALERT"
	case LevelPlain, LevelUnset:
	}
	return "unknown value"
}

// Options says what a configuration is read for. The zero value reads as an ordinary user with no prefix.
type Options struct {
	// Prefix is php-fpm's -p: the base of relative paths and, with no file given, of etc/php-fpm.conf. Empty is none.
	Prefix string
	// DefaultPrefix is the prefix php-fpm was compiled with, used where Prefix is empty. Debian's is /usr.
	DefaultPrefix string
	// Sysconfdir holds php-fpm.conf when neither a file nor Prefix is given. Debian's is /etc/php/8.2/fpm.
	Sysconfdir string
	// Localstatedir is the base of a relative pid and error_log when Prefix is empty. Debian's is /var.
	Localstatedir string
	// PID is php-fpm's -g: the pid file unless the configuration names another. Empty is none.
	PID string
	// Root says that the effective user is root: user and group become mandatory, chroot and process.priority act.
	Root bool
	// AllowRoot is php-fpm's -R.
	AllowRoot bool
	// SlowlogOptional allows request_slowlog_timeout without slowlog, which php-fpm does not: there is another place for the stacks.
	SlowlogOptional bool
	// Test is php-fpm's -t: names of users and groups are checked, and nothing is resolved.
	Test bool
	// Message receives what php-fpm would print, in order and already filtered by log_level. Nil drops it.
	Message func(level Level, text string)
	// LookupEnv answers ${NAME}; php-fpm asks php.ini and -d first and the environment then. Nil is os.LookupEnv.
	LookupEnv func(name string) (value string, ok bool)
	// LookupConstant answers a bare word the built-in table does not know, such as PHP_VERSION. Nil knows none.
	LookupConstant func(name string) (value string, ok bool)
	// CheckAccessFormat examines an access.format that is in use. A non-nil error refuses it, after the warning, if there is
	// one, has been printed. Nil accepts all.
	CheckAccessFormat func(format string) (warning string, err error)
}

// Error is why a configuration was refused. Everything php-fpm says about it has gone to Options.Message already.
type Error struct {
	// File is the configuration file given to Load, or its default.
	File string
	// Text is the first error message, as php-fpm words it.
	Text string
}

// Error implements the error interface.
func (e *Error) Error() string { return "cannot load " + strconv.Quote(e.File) + ": " + e.Text }

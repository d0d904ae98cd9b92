package fpmconf

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

// maxNesting is how many files may include one another.
const maxNesting = 5

// loader is one reading of a configuration.
type loader struct {
	o   Options
	sys system
	cfg *Config

	globalTable []directive[*Global]
	poolTable   []directive[*Pool]

	// Where the reading is, for messages. line is not restored after an include, see the package comment.
	file    string
	line    int
	nesting int
	pool    *Pool // nil in [global]
	failed  bool  // the line has an error: the rest of it is not looked at
	include *string

	level Level  // messages below it are dropped
	first string // first message at LevelError or above, or of the parser
}

// Load reads a configuration. An empty file is php-fpm.conf where php-fpm looks for it. The error, if any, is of type *Error.
// Like php-fpm, Load creates the log files that are named, to see whether it can. The caller prints php-fpm's last line,
// "FPM initialization failed" or "configuration file ... test is successful", the latter after the lines of Dump.
func Load(file string, o Options) (*Config, error) { return load(file, o, thisSystem()) }

func load(file string, o Options, sys system) (*Config, error) {
	l := &loader{
		o: o, sys: sys, cfg: &Config{File: file, Global: newGlobal()}, level: LevelNotice,
		globalTable: globalDirectives(), poolTable: poolDirectives(),
	}
	if l.o.LookupEnv == nil {
		l.o.LookupEnv = os.LookupEnv
	}
	if l.run() {
		return l.cfg, nil
	}
	return nil, &Error{File: l.cfg.File, Text: l.first}
}

// run is php-src sapi/fpm/fpm/fpm_conf.c:fpm_conf_init_main and, unless testing, fpm_unix.c:fpm_unix_init_main.
func (l *loader) run() bool {
	if l.o.Prefix != "" && !l.sys.isDir(l.o.Prefix) {
		return l.fail("the global prefix '%s' does not exist or is not a directory", l.o.Prefix)
	}
	l.cfg.Global.PID = l.o.PID
	if l.cfg.File == "" {
		l.cfg.File = l.o.Sysconfdir + "/php-fpm.conf"
		if l.o.Prefix != "" {
			l.cfg.File = l.o.Prefix + "/etc/php-fpm.conf"
		}
	}
	if !l.readFile(l.cfg.File) {
		return l.fail("failed to load configuration file '%s'", l.cfg.File)
	}
	if !l.finishGlobal() || !l.finishPools() || !l.openAccessLogs() {
		return l.fail("failed to post process the configuration")
	}
	if l.o.Test {
		return l.testNames()
	}
	return l.resolveIdentities()
}

func newGlobal() Global {
	return Global{
		SyslogFacility: -1, LogBuffering: true, LogLimit: 1024, ProcessPriority: PriorityUnset, Daemonize: true,
		SystemdInterval: -time.Second,
	}
}

func newPool(name string) *Pool {
	return &Pool{
		Name: name, ListenBacklog: -1, ListenSetfib: -1, ProcessPriority: PriorityUnset, MaxSpawnRate: 32,
		ProcessIdleTimeout: 10 * time.Second, DecorateWorkersOutput: true, ClearEnv: true,
	}
}

// say passes a message on if the configured log_level lets it through.
func (l *loader) say(level Level, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if l.first == "" && (level >= LevelError || level == LevelPlain) {
		l.first = text
	}
	if l.o.Message != nil && (level >= l.level || level == LevelPlain) {
		l.o.Message(level, text)
	}
}

// fail says an error and returns false.
func (l *loader) fail(format string, args ...any) bool {
	l.say(LevelError, format, args...)
	return false
}

// alert says an alert and returns false.
func (l *loader) alert(format string, args ...any) bool {
	l.say(LevelAlert, format, args...)
	return false
}

// failAt says an error about the line being read.
func (l *loader) failAt(format string, args ...any) {
	l.failed = true
	l.fail("[%s:%d] "+format, append([]any{l.file, l.line}, args...)...)
}

// readFile reads a file line by line; every line is parsed by itself.
func (l *loader) readFile(name string) bool {
	if name == "" {
		return l.fail("configuration filename is empty")
	}
	content, err := l.sys.readFile(name)
	if err != nil {
		return l.fail("failed to open configuration file '%s': %s", name, systemError(err))
	}
	if l.nesting++; l.nesting > maxNesting {
		return l.fail("failed to include more than 5 files recursively")
	}
	defer func() { l.nesting-- }()

	l.line = 0
	for more := true; more; {
		var line []byte
		line, content, more = bytes.Cut(content, []byte{'\n'})
		l.line++ // counts once more at the end of the file, which shows after an include
		l.file = name
		if len(line) == 0 {
			continue
		}
		l.failed = false
		ok := parseLine(append(bytes.Clone(line), '\n'), l)
		include := l.include
		l.include = nil
		if !ok || l.failed {
			return false
		}
		if include != nil && !l.includeFiles(l.fullPath(*include, nil, l.o.DefaultPrefix), name) {
			return false
		}
	}
	return true
}

func (l *loader) includeFiles(pattern, from string) bool {
	matches, readable := l.sys.glob(pattern)
	switch {
	case !readable:
		const aborted = 2 // GLOB_ABORTED
		return l.fail("Unable to globalize '%s' (ret=%d) from %s at line %d.", pattern, aborted, from, l.line)
	case len(matches) == 0:
		l.say(LevelWarning, "Nothing matches the include pattern '%s' from %s at line %d.", pattern, from, l.line)
		return true
	}
	for _, name := range matches {
		if strings.HasSuffix(name, "/") {
			continue
		}
		if !l.readFile(name) {
			return l.fail("Unable to include %s from %s at line %d", name, from, l.line)
		}
	}
	return true
}

// section implements handler: fpm_conf.c:fpm_conf_ini_parser_section.
func (l *loader) section(name string) {
	if l.failed {
		return
	}
	l.pool = nil
	if equalFold(name, "global") {
		return
	}
	for _, p := range l.cfg.Pools {
		if equalFold(p.Name, name) {
			l.pool = p
			return
		}
	}
	l.pool = newPool(name)
	l.cfg.Pools = append(l.cfg.Pools, l.pool)
}

// entry implements handler: fpm_conf.c:fpm_conf_ini_parser_entry.
func (l *loader) entry(name string, value *string) {
	switch {
	case l.failed:
		return
	case value == nil:
		l.failAt("value is NULL for a ZEND_INI_PARSER_ENTRY")
		return
	case name == "include":
		if l.include != nil {
			l.failAt("two includes at the same time !")
			return
		}
		l.include = value
		return
	}
	var known, reason string
	var found bool
	if l.pool == nil {
		known, reason, found = assign(l.globalTable, &l.cfg.Global, nil, name, *value)
	} else {
		known, reason, found = assign(l.poolTable, l.pool, l.pool, name, *value)
	}
	switch {
	case !found:
		l.failAt("unknown entry '%s'", name)
	case reason != "":
		l.failAt("unable to parse value for entry '%s': %s", known, reason)
	}
}

// array implements handler: fpm_conf.c:fpm_conf_ini_parser_array.
func (l *loader) array(name, key, value string) {
	switch {
	case l.failed:
		return
	case name == "access.suppress_path":
		l.suppressPath(key, value)
		return
	case key == "":
		l.failAt("You must provide a key for field '%s'", name)
		return
	case l.pool == nil:
		l.failAt("Array are not allowed in the global section")
		return
	}
	flagged := name == "php_flag" || name == "php_admin_flag"
	switch name {
	case "env", "php_value", "php_flag", "php_admin_value", "php_admin_flag":
	default:
		l.failAt("unknown directive '%s'", name)
		return
	}
	if name == "env" && value == "" {
		l.failAt("empty value")
		return
	}
	value, reason := l.arrayValue(value, flagged)
	if reason != "" {
		l.failAt("error while parsing '%s[%s]' : %s", name, key, reason)
		return
	}
	switch name {
	case "env":
		l.pool.Env = append(l.pool.Env, EnvValue{Name: key, Value: value})
	case "php_value", "php_flag":
		l.pool.PHPValues = append(l.pool.PHPValues, INIValue{Name: key, Value: value, Flag: flagged})
	case "php_admin_value", "php_admin_flag":
		l.pool.PHPAdminValues = append(l.pool.PHPAdminValues, INIValue{Name: key, Value: value, Flag: flagged, Admin: true})
	}
}

// arrayValue is the value an array entry keeps.
func (l *loader) arrayValue(value string, flagged bool) (v, reason string) {
	if !flagged {
		return expandPool(value, l.pool)
	}
	on, reason := parseBool(value)
	if on {
		return "1", reason
	}
	return "0", reason
}

func (l *loader) suppressPath(key, value string) {
	if key != "" {
		l.failAt("Keys provided to field 'access.suppress_path' are ignored")
	}
	switch {
	case !strings.HasPrefix(value, "/"):
		l.failAt("Values provided to field 'access.suppress_path' must begin with '/'")
	case l.failed:
	case l.pool == nil:
		l.failAt("Array are not allowed in the global section")
	default:
		value, _ = expandPool(value, l.pool)
		l.pool.AccessSuppressPath = append(l.pool.AccessSuppressPath, value)
	}
}

// syntaxError implements handler.
func (l *loader) syntaxError(text string) { l.say(LevelPlain, "%s", text) }

// lookupEnv implements handler.
func (l *loader) lookupEnv(name string) string {
	v, _ := l.o.LookupEnv(name)
	return v
}

// lookupConstant implements handler.
func (l *loader) lookupConstant(name string) (string, bool) {
	if v, ok := constant(name); ok || l.o.LookupConstant == nil {
		return v, ok
	}
	return l.o.LookupConstant(name)
}

// equalFold compares as strcasecmp(3) does in the C locale: only ASCII letters fold.
func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
